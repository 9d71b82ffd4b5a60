package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// logged is a store whose log can be broken for real: its table is renamed.
type logged interface {
	storage.Complete
	storage.AuditLog
	cached.Base
}

// breakable returns how to break and to mend the log of a store.
func breakable(t *testing.T, s logged) (logged, func(broken bool)) {
	db, ok := s.(*gormstore.Store)
	if !ok {
		f := &failing{Store: s.(*memory.Store)}
		return f, func(broken bool) { f.broken = broken }
	}
	return s, func(broken bool) {
		from, to := "vestibule_audit", "vestibule_audit_gone"
		if !broken {
			from, to = to, from
		}
		if err := db.DB(t.Context()).Exec("ALTER TABLE " + from + " RENAME TO " + to).Error; err != nil {
			t.Fatal(err)
		}
	}
}

type failing struct {
	*memory.Store
	broken bool
}

func (f *failing) AppendAudit(ctx context.Context, records ...storage.AuditRecord) error {
	if f.broken {
		return errors.New("no space left on device")
	}
	return f.Store.AppendAudit(ctx, records...)
}

// A revoke whose event cannot be stored is 503 and undone, and so is a login.
func TestRequired(t *testing.T) {
	t.Run("attack_475", func(t *testing.T) {
		storetest.EachOwn(t, func(t *testing.T, s storagetest.Store) {
			base, broken := breakable(t, s.(logged))
			t.Run("store", func(t *testing.T) { required(t, base, base, broken) })
			t.Run("cached", func(t *testing.T) { required(t, must(cached.New(base, nil))(t), base, broken) })
		})
	})
}

func required(t *testing.T, db logged, log storage.AuditLog, broken func(bool)) {
	name := "alice-" + strings.ReplaceAll(t.Name(), "/", "-")
	schemetest.Add(t, db, name)
	u := must(db.UserByName(t.Context(), name))(t)
	var hooked []audit.Kind
	events := must(audit.New(func(_ context.Context, e audit.Event) { hooked = append(hooked, e.Kind) }, &audit.Options{Required: true}))(t)
	seen := make(map[string]bool)
	stored := func(want ...audit.Kind) {
		t.Helper()
		var got []audit.Kind
		for _, r := range must(log.AuditAfter(t.Context(), "", 100))(t) {
			if seen[r.ID] || r.Subject != u.ID { // IDs of one millisecond have no order
				continue
			}
			seen[r.ID] = true
			var e audit.Event
			if err := json.Unmarshal(r.Event, &e); err != nil || string(e.Kind) != r.Kind || e.ID != r.ID || e.Subject != r.Subject || e.Count == 0 {
				t.Errorf("%s, %v", r.Event, err)
			}
			got = append(got, e.Kind)
		}
		if text := kinds(got); text != kinds(want) || kinds(hooked) != text {
			t.Errorf("stored %q, called %q, want %q", text, kinds(hooked), kinds(want))
		}
		hooked = nil
	}
	ask := func(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		authn.New(authn.Chain{}, &authn.Options{Logger: schemetest.Quiet}).Public(h).ServeHTTP(w, r)
		return w
	}
	with := func(keyword, text string) *http.Request {
		r := httptest.NewRequest("POST", "https://app.example/", nil)
		r.Header.Set("Authorization", keyword+" "+text)
		return r
	}
	accepted := func(a authn.Authenticator, r *http.Request) bool {
		id, err := a.Authenticate(r)
		return err == nil && id.Subject == u.ID
	}

	devices := must(knox.New(db, &knox.Options{Audit: events}))(t)
	text, _, err := devices.Issue(t.Context(), u.ID, u.Epoch, knox.Token{})
	if err != nil {
		t.Fatal(err)
	}
	stored(audit.TokenCreated)
	broken(true)
	if w := ask(devices.Logout(), with("Knox", text)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("logout without its event: %d %s", w.Code, w.Body)
	}
	if !accepted(devices, with("Knox", text)) {
		t.Error("a logout that failed took effect")
	}
	if _, _, err := devices.Issue(t.Context(), u.ID, u.Epoch, knox.Token{}); err == nil {
		t.Error("a token was issued without its event")
	}
	broken(false)
	if list := must(devices.List(t.Context(), u.ID))(t); len(list) != 1 {
		t.Errorf("%d tokens", len(list))
	}
	stored()
	if w := ask(devices.Logout(), with("Knox", text)); w.Code != 204 || accepted(devices, with("Knox", text)) {
		t.Errorf("logout: %d %s", w.Code, w.Body)
	}
	stored(audit.Logout)

	static := must(token.New(db, schemetest.Ring(t), &token.Options{Audit: events}))(t)
	text = must(static.GetOrCreate(t.Context(), u.ID, u.Epoch))(t)
	stored(audit.TokenCreated)
	broken(true)
	if w := ask(static.Logout(), with("Token", text)); w.Code != 503 || !accepted(static, with("Token", text)) {
		t.Errorf("logout without its event: %d %s", w.Code, w.Body)
	}
	broken(false)
	if err := static.Revoke(t.Context(), u.ID); err != nil || accepted(static, with("Token", text)) {
		t.Errorf("%v", err)
	}
	stored(audit.TokenRevoked)

	site := must(csrf.New("https://app.example", nil))(t)
	pages := must(session.New(db, site, &session.Options{Audit: events}))(t)
	w := httptest.NewRecorder()
	login := authn.Login{Subject: u.ID, Epoch: u.Epoch}
	if err := pages.Start(w, httptest.NewRequest("POST", "https://app.example/", nil), login); err != nil {
		t.Fatal(err)
	}
	stored(audit.SessionCreated)
	cookie := w.Result().Cookies()[0]
	visit := func() *http.Request {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		r.AddCookie(cookie)
		return r
	}
	broken(true)
	if err := pages.EndCurrent(httptest.NewRecorder(), visit()); err == nil || !accepted(pages, visit()) {
		t.Errorf("a session ended without its event: %v", err)
	}
	if err := pages.Start(httptest.NewRecorder(), httptest.NewRequest("POST", "https://app.example/", nil), login); err == nil {
		t.Error("a session began without its event")
	}
	broken(false)
	if err := pages.EndCurrent(httptest.NewRecorder(), visit()); err != nil || accepted(pages, visit()) {
		t.Errorf("%v", err)
	}
	stored(audit.Logout)
}

func kinds(list []audit.Kind) string {
	var texts []string
	for _, k := range list {
		texts = append(texts, string(k))
	}
	return strings.Join(texts, " ")
}

// A definite error of the log is no answer to the change.
func TestRequiredErrors(t *testing.T) {
	s := &conflicting{memory.New(nil)}
	events := must(audit.New(func(context.Context, audit.Event) { t.Error("called") }, &audit.Options{Required: true}))(t)
	err := events.Change(t.Context(), s, func(ctx context.Context) error {
		events.Notify(ctx, audit.Event{Kind: audit.Logout})
		return nil
	})
	if err == nil || errors.Is(err, storage.ErrConflict) {
		t.Error(err)
	}
	if _, err := knox.New(struct{ knox.Store }{memory.New(nil)}, &knox.Options{Audit: events}); err == nil {
		t.Error("a store without a log was accepted")
	}
	if err := events.CheckStore(must(cached.New(struct{ cached.Base }{memory.New(nil)}, nil))(t)); err == nil {
		t.Error("a cached store without a log was accepted")
	}
	if err := must(audit.New(func(context.Context, audit.Event) {}, nil))(t).CheckStore(nil); err != nil {
		t.Error(err)
	}
}

type conflicting struct{ *memory.Store }

func (*conflicting) AppendAudit(context.Context, ...storage.AuditRecord) error {
	return storage.ErrConflict
}

// Without Required, and without a Notifier, Change only calls its function.
func TestChange(t *testing.T) {
	for _, n := range []*audit.Notifier{nil, audit.To(func(context.Context, audit.Event) {})} {
		calls := 0
		want := errors.New("as it is")
		if err := n.Change(t.Context(), nil, func(context.Context) error { calls++; return want }); err != want || calls != 1 {
			t.Errorf("%v, %d", err, calls)
		}
	}
}
