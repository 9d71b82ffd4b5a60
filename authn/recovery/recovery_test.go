package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each runs f with each kind of store.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		db, ok := s.(*gormstore.Store)
		if !ok {
			m := &mailed{Store: s.(*memory.Store)}
			f(t, newWorld(t, m, func(id, mail string) error { m.mails.Store(id, mail); return nil }))
			return
		}
		// Change the address as the application would.
		f(t, newWorld(t, db, func(id, mail string) error {
			return db.DB(t.Context()).Exec("UPDATE vestibule_users SET email = ? WHERE id = ?", mail, id).Error
		}))
	})
}

// mailed is a memory store in which the e-mail addresses of accounts can be changed.
type mailed struct {
	*memory.Store
	mails sync.Map
}

func (m *mailed) mail(u storage.User, err error) (storage.User, error) {
	if mail, ok := m.mails.Load(u.ID); ok {
		u.Email = mail.(string)
	}
	return u, err
}

func (m *mailed) UserByID(ctx context.Context, id string) (storage.User, error) {
	return m.mail(m.Store.UserByID(ctx, id))
}

func (m *mailed) UserByName(ctx context.Context, name string) (storage.User, error) {
	return m.mail(m.Store.UserByName(ctx, name))
}

func (m *mailed) OneTimeTokenByDigest(ctx context.Context, d storage.Digest) (storage.OneTimeToken, storage.User, error) {
	t, u, err := m.Store.OneTimeTokenByDigest(ctx, d)
	u, err = m.mail(u, err)
	return t, u, err
}

// store counts the calls that a request can cause, and fails on demand.
type store interface {
	recovery.Store
	storage.Subjects
}

type watched struct {
	store
	calls atomic.Int64
	fail  atomic.Bool
}

var errDown = errors.New("the database is down")

func (w *watched) note() error {
	w.calls.Add(1)
	if w.fail.Load() {
		return errDown
	}
	return nil
}

func (w *watched) UserByName(ctx context.Context, name string) (storage.User, error) {
	if err := w.note(); err != nil {
		return storage.User{}, err
	}
	return w.store.UserByName(ctx, name)
}

func (w *watched) OneTimeTokenByDigest(ctx context.Context, d storage.Digest) (storage.OneTimeToken, storage.User, error) {
	if err := w.note(); err != nil {
		return storage.OneTimeToken{}, storage.User{}, err
	}
	return w.store.OneTimeTokenByDigest(ctx, d)
}

func (w *watched) CreateOneTimeToken(ctx context.Context, t storage.OneTimeToken) error {
	if err := w.note(); err != nil {
		return err
	}
	return w.store.CreateOneTimeToken(ctx, t)
}

func (w *watched) DeleteOneTimeTokens(ctx context.Context, subject, purpose string) error {
	if err := w.note(); err != nil {
		return err
	}
	return w.store.DeleteOneTimeTokens(ctx, subject, purpose)
}

func (w *watched) ChangePassword(ctx context.Context, id string, epoch int64, hash storage.PasswordHash) error {
	if err := w.note(); err != nil {
		return err
	}
	return w.store.ChangePassword(ctx, id, epoch, hash)
}

// world is a Recovery over a store with the account alice. It records messages.
type world struct {
	t *testing.T
	*recovery.Recovery
	s         *watched
	passwords *password.Checker
	setMail   func(id, mail string) error
	now       atomic.Int64 // seconds
	mu        sync.Mutex
	messages  []recovery.Message
	events    []string
	log       bytes.Buffer
	refuse    error // what Deliver answers
	panics    string
	hasher    *password.Hasher
	meanwhile func() // runs between the check of a token and its use
}

const page = "https://app.example/reset"

func newWorld(t *testing.T, s store, setMail func(id, mail string) error) *world {
	t.Helper()
	w := &world{t: t, s: &watched{store: s}, setMail: setMail}
	w.now.Store(1_800_000_000)
	var err error
	w.hasher = passwordtest.New(t, &password.HasherOptions{MaxWait: time.Minute})
	w.passwords, err = password.New(w.s, w.hasher, &password.Options{FailureFloor: time.Nanosecond, Validate: func(context.Context, storage.User, string) error {
		if w.meanwhile != nil {
			w.meanwhile()
		}
		return nil
	}})
	must(t, err)
	_, err = w.passwords.Register(t.Context(), password.NewUser{ID: "id-alice", Name: "alice", Email: "a@app.example", Password: "wonderland-1"})
	must(t, err)
	w.Recovery = w.recovery(&recovery.Options{InsecureNoLimiter: true})
	return w
}

func (w *world) recovery(o *recovery.Options) *recovery.Recovery {
	w.t.Helper()
	o.Clock = func() time.Time { return time.Unix(w.now.Load(), 0) }
	o.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	o.Audit = audit.To(func(_ context.Context, e audit.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, string(e.Kind)+" "+e.Subject)
	})
	r, err := recovery.New(w.s, w.passwords, page, w.s.UserByName, func(_ context.Context, m recovery.Message) error {
		if w.panics != "" {
			panic(w.panics + m.Link)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.messages = append(w.messages, m)
		return w.refuse
	}, o)
	must(w.t, err)
	return r
}

func post(h http.Handler, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "https://app.example/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Public(h).ServeHTTP(rec, r)
	return rec
}

// token requests a link and returns its token.
func (w *world) token() string {
	w.t.Helper()
	before := len(w.messages)
	if rec := post(w.Request(), `{"address":"alice"}`); rec.Code != 200 {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	w.Drain(w.t.Context())
	if len(w.messages) != before+1 {
		w.t.Fatalf("%d messages; %s", len(w.messages)-before, &w.log)
	}
	return w.messages[before].Token
}

// reset uses the token and returns the status. A rejected token must not cost a hash, unless
// something happened in between.
func (w *world) reset(token, to string) int {
	w.t.Helper()
	before := w.hasher.Hashed()
	code := post(w.Reset(), fmt.Sprintf(`{"token":%q,"password":%q}`, token, to)).Code
	if n := w.hasher.Hashed() - before; code != 204 && w.meanwhile == nil && n != 0 {
		w.t.Errorf("%d hashes for a token that is refused", n)
	}
	return code
}

func (w *world) logsIn(password string) bool {
	_, err := w.passwords.CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", password)
	return err == nil
}

func TestReset(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		token := w.token()
		m := w.messages[0]
		if m.Link != page+"#token="+token || m.User.ID != "id-alice" || !m.Expires.Equal(time.Unix(w.now.Load(), 0).Add(time.Hour)) {
			t.Errorf("%+v to %s until %s", m, m.Link, m.Expires)
		}
		if text := fmt.Sprintf("%v %+v %#v", m, m, m); strings.Contains(text, token) {
			t.Error("a message prints its token")
		}
		before, err := w.s.SubjectEpoch(t.Context(), "id-alice")
		must(t, err)
		for what, body := range map[string]string{"short": `{"token":"` + token + `","password":"short"}`, "missing": `{"token":"` + token + `"}`} {
			if rec := post(w.Reset(), body); rec.Code != 400 || !strings.Contains(rec.Body.String(), `"password":`) {
				t.Errorf("%s: %d %s", what, rec.Code, rec.Body)
			}
		}
		if rec := post(w.Reset(), `{"token":"`+token+`","password":"looking-glass-2"}`); rec.Code != 204 || rec.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("after a refused password: %d %s", rec.Code, rec.Body)
		}
		after, err := w.s.SubjectEpoch(t.Context(), "id-alice")
		if err != nil || after <= before {
			t.Errorf("the epoch stays: every credential lives on (%v)", err)
		}
		if w.logsIn("wonderland-1") || !w.logsIn("looking-glass-2") {
			t.Error("the password is not the new one")
		}
		if got := fmt.Sprint(w.events); got != "[recovery.sent id-alice password.changed id-alice]" {
			t.Errorf("events %s", got)
		}
		t.Run("attack_205_reuse", func(t *testing.T) {
			if got := w.reset(token, "mad-hatter-99"); got != 400 || !w.logsIn("looking-glass-2") {
				t.Errorf("%d", got)
			}
		})
		t.Run("attack_205_after_login", func(t *testing.T) {
			token := w.token()
			if _, err := w.Checker(w.passwords).CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "wrong"); err == nil {
				t.Error("a wrong password logs in")
			}
			if got := w.reset(token, "short"); got != 400 {
				t.Errorf("%d", got)
			}
			_, err := w.Checker(w.passwords).CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "looking-glass-2")
			must(t, err)
			if got := w.reset(token, "mad-hatter-99"); got != 400 || !w.logsIn("looking-glass-2") {
				t.Errorf("%d", got)
			}
		})
		t.Run("attack_205_after_mail_change", func(t *testing.T) {
			token := w.token()
			must(t, w.setMail("id-alice", "new@app.example"))
			if got := w.reset(token, "mad-hatter-99"); got != 400 || !w.logsIn("looking-glass-2") {
				t.Errorf("%d", got)
			}
			must(t, w.setMail("id-alice", "a@app.example"))
		})
		t.Run("attack_205_meanwhile", func(t *testing.T) {
			for what, change := range map[string]func(){
				"mail":  func() { must(t, w.setMail("id-alice", "new@app.example")) },
				"epoch": func() { _, err := w.s.BumpEpoch(t.Context(), "id-alice"); must(t, err) },
			} {
				token := w.token()
				w.meanwhile = change
				if got := w.reset(token, "mad-hatter-99"); got != 400 || !w.logsIn("looking-glass-2") {
					t.Errorf("%s: %d", what, got)
				}
				w.meanwhile = nil
				must(t, w.setMail("id-alice", "a@app.example"))
			}
		})
		t.Run("attack_319_login_meanwhile", func(t *testing.T) {
			token := w.token()
			var login authn.Login
			w.meanwhile = func() {
				w.meanwhile = nil
				var err error
				login, err = w.Checker(w.passwords).CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "looking-glass-2")
				must(t, err)
			}
			if rec := post(w.Reset(), `{"token":"`+token+`","password":"mad-hatter-99"}`); rec.Code != 400 || !strings.Contains(rec.Body.String(), `"token"`) {
				t.Errorf("a reset that a login overtook: %d %s", rec.Code, rec.Body)
			}
			if epoch, err := w.s.SubjectEpoch(t.Context(), "id-alice"); err != nil || epoch != login.Epoch || w.meanwhile != nil {
				t.Errorf("the login's epoch is %d, the account's %d, %v", login.Epoch, epoch, err)
			}
			if w.logsIn("mad-hatter-99") || !w.logsIn("looking-glass-2") {
				t.Error("the password is that of the link")
			}
		})
		t.Run("attack_205_after_password_change", func(t *testing.T) {
			token := w.token()
			must(t, w.passwords.SetPassword(t.Context(), "id-alice", "cheshire-cat-3"))
			if got := w.reset(token, "mad-hatter-99"); got != 400 || !w.logsIn("cheshire-cat-3") {
				t.Errorf("%d", got)
			}
		})
		t.Run("attack_205_log_out_everywhere", func(t *testing.T) {
			token := w.token()
			_, err := w.s.BumpEpoch(t.Context(), "id-alice")
			must(t, err)
			if got := w.reset(token, "mad-hatter-99"); got != 400 {
				t.Errorf("%d", got)
			}
		})
		t.Run("attack_205_two_outstanding", func(t *testing.T) {
			one, two := w.token(), w.token()
			if got := w.reset(one, "march-hare-77"); got != 204 || !w.logsIn("march-hare-77") {
				t.Errorf("the earlier: %d", got)
			}
			if got := w.reset(two, "mad-hatter-99"); got != 400 || !w.logsIn("march-hare-77") {
				t.Errorf("the later, after the use of the earlier: %d", got)
			}
		})
		t.Run("attack_205_host_spoof", func(t *testing.T) {
			n := len(w.messages)
			post(w.Request(), `{"address":"alice"}`, "Host", "evil.example", "X-Forwarded-Host", "evil.example", "Origin", "https://evil.example")
			w.Drain(w.t.Context())
			if len(w.messages) != n+1 || !strings.HasPrefix(w.messages[n].Link, page+"#") {
				t.Errorf("%v", w.messages[n:])
			}
		})
		t.Run("expired", func(t *testing.T) {
			token := w.token()
			w.now.Add(3600)
			if got := w.reset(token, "mad-hatter-99"); got != 400 {
				t.Errorf("%d", got)
			}
			token = w.token()
			w.now.Add(3599)
			if got := w.reset(token, "dormouse-55"); got != 204 {
				t.Errorf("before its end: %d", got)
			}
		})
		t.Run("no token", func(t *testing.T) {
			answers := map[string]bool{}
			used := w.token()
			must(t, w.passwords.SetPassword(t.Context(), "id-alice", "cheshire-cat-3"))
			for _, bad := range []string{"junk", "vpr_", strings.Replace(used, "vpr_", "vst_", 1), used, used + "x", strings.Repeat("a", 4000)} {
				rec := post(w.Reset(), fmt.Sprintf(`{"token":%q,"password":"mad-hatter-99"}`, bad))
				answers[fmt.Sprint(rec.Code, rec.Body)] = true
			}
			if len(answers) != 1 {
				t.Errorf("%d answers: %v", len(answers), answers)
			}
		})
		t.Run("disabled", func(t *testing.T) {
			token := w.token()
			must(t, w.s.SetActive(t.Context(), "id-alice", false))
			if got := w.reset(token, "mad-hatter-99"); got != 400 {
				t.Errorf("%d", got)
			}
		})
		if strings.Contains(w.log.String(), "vpr_") {
			t.Error("a token is in the log")
		}
	})
}

// Of many concurrent uses of a token, one sets the password.
func TestResetRace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		token := w.token()
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				switch err := w.ResetPassword(t.Context(), token, fmt.Sprintf("mad-hatter-%02d", i)); {
				case err == nil:
					won.Add(1)
				default:
					var e *authn.Error
					var busy *authn.Unavailable
					if !errors.As(err, &e) && !errors.As(err, &busy) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
	})
}

// reset is the prefix of the names under which requests are counted. Logins never use it.
const reset = "password reset\x00"

// With nil options requests are limited.
func TestLimitedByDefault(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		t.Run("edge_A14/requests for links", func(t *testing.T) {
			r := w.recovery(&recovery.Options{})
			for _, address := range []string{"alice", "nobody"} {
				got := map[int]int{}
				for range 20 {
					rec := post(r.Request(), fmt.Sprintf(`{"address":%q}`, address))
					if got[rec.Code]++; rec.Code == 429 && rec.Header().Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				}
				if got[200] != 5 || got[429] != 15 {
					t.Errorf("%s: %v", address, got)
				}
			}
			if _, err := recovery.New(w.s, w.passwords, page, w.s.UserByName, func(context.Context, recovery.Message) error { return nil },
				&recovery.Options{InsecureNoLimiter: true, Limiter: &counter{}}); err == nil {
				t.Error("a limiter and none were accepted")
			}
		})
	})
}

// Known and unknown addresses get the same response after the same work.
func TestRequestTellsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		must(t, w.s.CreateUser(t.Context(), storage.User{ID: "id-off", Name: "off", Password: "x"}))
		must(t, w.s.CreateUser(t.Context(), storage.User{ID: "id-sso", Name: "sso", Active: true, Password: "!"}))
		limiter := &counter{left: 1000}
		r := w.recovery(&recovery.Options{Limiter: limiter, Queue: 4})
		t.Run("attack_206_one_answer", func(t *testing.T) {
			answers := map[string]bool{}
			for _, address := range []string{"alice", "nobody", "off", "sso"} {
				before, counted := w.s.calls.Load(), limiter.asked.Load()
				rec := post(r.Request(), fmt.Sprintf(`{"address":%q}`, address))
				answers[fmt.Sprint(rec.Code, rec.Header(), rec.Body)] = true
				if n := w.s.calls.Load() - before; n != 0 {
					t.Errorf("%s: the store was asked %d times before the answer", address, n)
				}
				if n := limiter.asked.Load() - counted; n != 1 {
					t.Errorf("%s: counted %d times", address, n)
				}
			}
			if len(answers) != 1 {
				t.Errorf("%d answers: %v", len(answers), answers)
			}
		})
		t.Run("attack_206_full_queue", func(t *testing.T) {
			answers := map[string]bool{}
			for _, address := range []string{"alice", "nobody"} {
				rec := post(r.Request(), fmt.Sprintf(`{"address":%q}`, address))
				answers[fmt.Sprint(rec.Code, rec.Header(), rec.Body)] = true
				if rec.Code != 503 {
					t.Errorf("%s: %d", address, rec.Code)
				}
			}
			if len(answers) != 1 {
				t.Errorf("%v", answers)
			}
		})
		r.Drain(t.Context())
		if len(w.messages) != 1 || w.messages[0].User.ID != "id-alice" || len(w.events) != 1 {
			t.Errorf("messages %v, events %v", w.messages, w.events)
		}
		limiter.left = 0
		for _, address := range []string{"alice", "nobody"} {
			if rec := post(r.Request(), fmt.Sprintf(`{"address":%q}`, address)); rec.Code != 429 {
				t.Errorf("%s: %d beyond the limit", address, rec.Code)
			}
		}
		if !slices.Equal(limiter.names, []string{reset + "alice", reset + "nobody", reset + "off", reset + "sso", reset + "alice", reset + "nobody", reset + "alice", reset + "nobody"}) {
			t.Errorf("%q", limiter.names)
		}
		for body, want := range map[string]int{`{}`: 400, `{"address":""}`: 400, `{"address":"` + strings.Repeat("a", 255) + `"}`: 400, `[]`: 400, `{`: 400} {
			if rec := post(r.Request(), body); rec.Code != want {
				t.Errorf("%.30s: %d", body, rec.Code)
			}
		}
	})
}

// counter is a limiter that allows a number of attempts.
type counter struct {
	left  int
	asked atomic.Int64
	names []string
}

func (c *counter) Reserve(_ *http.Request, account string) (authn.LoginAttempt, error) {
	c.names = append(c.names, account)
	c.asked.Add(1)
	if c.left--; c.left < 0 {
		return nil, authn.Throttled(time.Minute)
	}
	return nil, nil
}

// A failure is a 503 if a client waits for the response, and a log line otherwise.
func TestFaults(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	token := w.token()
	w.s.fail.Store(true)
	if got := w.reset(token, "mad-hatter-99"); got != 503 {
		t.Errorf("reset: %d", got)
	}
	if rec := post(w.Request(), `{"address":"alice"}`); rec.Code != 200 {
		t.Errorf("request: %d", rec.Code)
	}
	w.Drain(w.t.Context())
	pw := w.Checker(passing{})
	if _, err := pw.CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "x"); !errors.Is(err, errDown) {
		t.Errorf("login: %v", err)
	}
	w.s.fail.Store(false)
	w.refuse = errors.New("no mail server")
	post(w.Request(), `{"address":"alice"}`)
	w.Drain(w.t.Context())
	w.panics = "secret"
	post(w.Request(), `{"address":"alice"}`)
	w.Drain(w.t.Context())
	if got := fmt.Sprint(w.events); got != "[recovery.sent id-alice recovery.failed  recovery.failed id-alice recovery.failed id-alice]" {
		t.Errorf("events %s", got)
	}
	if text := w.log.String(); strings.Count(text, "level=ERROR") != 3 || !strings.Contains(text, "no mail server") || strings.Contains(text, "vpr_") || strings.Contains(text, "secret") {
		t.Errorf("log %s", text)
	}
}

// Run delivers messages until its context is done.
func TestRun(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	delivered := make(chan recovery.Message)
	r, err := recovery.New(w.s, w.passwords, page, w.s.UserByName, func(ctx context.Context, m recovery.Message) error {
		select {
		case delivered <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, &recovery.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	for range 3 {
		post(r.Request(), `{"address":"alice"}`)
		if m := <-delivered; m.User.ID != "id-alice" {
			t.Errorf("%v", m)
		}
	}
	post(r.Request(), `{"address":"alice"}`) // nobody takes this one
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type passing struct{}

func (passing) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{Subject: "id-alice"}, nil
}

func TestNewRefuses(t *testing.T) {
	s := memory.New(nil)
	hasher, err := password.NewHasher(nil)
	must(t, err)
	pw, err := password.New(s, hasher, nil)
	must(t, err)
	deliver := func(context.Context, recovery.Message) error { return nil }
	for _, bad := range []string{"", "/reset", "http://app.example/reset", "https://app.example/#x", "https://u:p@app.example/", "https://app.example/#", "ftp://app.example", "http://127.0.0.1.evil.example/", "https:///x"} {
		if _, err := recovery.New(s, pw, bad, s.UserByName, deliver, nil); err == nil {
			t.Errorf("page %q: taken", bad)
		}
	}
	for _, good := range []string{"https://app.example/reset?a=b", "http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/x"} {
		if _, err := recovery.New(s, pw, good, s.UserByName, deliver, nil); err != nil {
			t.Errorf("page %q: %v", good, err)
		}
	}
	for bad, want := range map[string]bool{"http://app:8080/reset": true, "ftp://app": false, "http://u:p@app/": false, "http://app/#x": false} { // edge_C12
		if _, err := recovery.New(s, pw, bad, s.UserByName, deliver, &recovery.Options{InsecureHTTP: true}); (err == nil) != want {
			t.Errorf("edge_C12: page %q with InsecureHTTP: %v", bad, err)
		}
	}
	for what, o := range map[string]recovery.Options{"ttl": {TTL: 25 * time.Hour}, "short": {TTL: time.Second}, "queue": {Queue: -1}, "timeout": {Timeout: -1}} {
		if _, err := recovery.New(s, pw, page, s.UserByName, deliver, &o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := recovery.New(nil, pw, page, s.UserByName, deliver, nil); err == nil {
		t.Error("no store")
	}
	if _, err := recovery.New(s, pw, page, nil, deliver, nil); err == nil {
		t.Error("no look-up")
	}
}
