package session_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// newSealed returns a server of the site with sealed sessions. users can be nil. Its fields "s" and
// "x" are not used.
func newSealed(t *testing.T, users storage.Users, pw store, opts session.SealedOptions) (*app, *session.Sealed) {
	t.Helper()
	a := &app{t: t, c: &schemetest.Clock{}, mux: http.NewServeMux()}
	opts.Users, opts.Clock = users, a.c.Now
	opts.Audit = audit.To(a.log.Observe)
	ring, err := keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))
	schemetest.Must(t, err)
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	x, err := session.NewSealed(ring, where, &opts)
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{x, explicit{}}, &authn.Options{Logger: schemetest.Quiet})
	a.mux.Handle("/login", m.Public(x.Login(password{pw})))
	a.mux.Handle("/logout", m.Public(x.Logout()))
	a.mux.Handle("/form", m.Public(x.LoginForm(password{pw}, nil)))
	a.mux.Handle("/out", m.Public(x.LogoutForm("/bye")))
	a.mux.Handle("/", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		_, _ = w.Write([]byte(id.Scheme + ":" + id.Subject + ":" + strings.Join(id.Roles, ",")))
	})))
	return a, x
}

func TestSealed(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a, x := newSealed(t, nil, s, session.SealedOptions{Options: session.Options{Idle: time.Hour, Absolute: 3 * time.Hour, Interval: 10 * time.Minute}})
	mine := a.login("alice")
	if got := a.take(); got != "session.created login.succeeded" {
		t.Errorf("events %q", got)
	}
	if got := a.who(mine); got != "session:id-alice:staff" {
		t.Fatalf("got %s", got)
	}
	if got := a.who("__Host-session=junk"); got != unauthorized {
		t.Errorf("junk: %s", got)
	}
	if got := a.who(mine + "; " + mine); got != unauthorized || a.take() != "credential.rejected:several_cookies" {
		t.Errorf("two: %s", got)
	}
	if got := a.who("session=" + strings.TrimPrefix(mine, "__Host-session=")); got != "::" {
		t.Errorf("under the other mode's name: %s", got)
	}
	t.Run("attack_118_times", func(t *testing.T) {
		last := mine
		for _, step := range []struct {
			at    time.Duration
			moved bool
		}{{9 * time.Minute, false}, {-time.Hour, true}, {-time.Minute, true}, {10 * time.Minute, true}, {60 * time.Minute, true}, {115 * time.Minute, true}, {170 * time.Minute, true}} {
			a.c.Set(step.at)
			w := a.do("GET", "/", "", "Cookie", last)
			next := cookie(w)
			if w.Code != 200 || (next != "") != step.moved || step.moved && (next == last || w.Header().Get("Cache-Control") != "no-store") {
				t.Fatalf("at %s: %d %v", step.at, w.Code, w.Header())
			}
			if next != "" {
				last = next
			}
		}
		a.c.Set(70 * time.Minute)
		if got := a.who(mine); got != unauthorized {
			t.Errorf("a copy that was not used for its idle time: %s", got)
		}
		a.c.Set(3*time.Hour - time.Microsecond)
		if got := a.who(last); !strings.HasPrefix(got, "session:id-alice") {
			t.Errorf("before the absolute end: %s", got)
		}
		a.c.Set(3 * time.Hour)
		if got := a.who(last); got != unauthorized {
			t.Errorf("at the absolute end: %s", got)
		}
	})
	a.c.Set(0)
	t.Run("one_answer_for_every_fault", func(t *testing.T) {
		answers := map[string]bool{}
		ask := func(cookie string) {
			w := a.do("GET", "/", "", "Cookie", cookie)
			answers[w.Result().Status+w.Body.String()+strings.Join(w.Header()["Set-Cookie"], "")] = true
		}
		a.c.Set(5 * time.Hour)
		ask(mine)
		a.c.Set(0)
		ask(mine[:len(mine)-1])
		other := "x"
		if mine[40] == 'x' {
			other = "y"
		}
		ask(mine[:40] + other + mine[41:])
		ask("__Host-session=")
		ask("__Host-session=" + strings.Repeat("A", 3000))
		if len(answers) != 1 {
			t.Errorf("attack_114: %d answers: %v", len(answers), answers)
		}
	})
	t.Run("attack_124_cross_site", func(t *testing.T) {
		form := []string{"Cookie", mine, "Content-Type", "application/x-www-form-urlencoded", "Origin", "", "Sec-Fetch-Site", ""}
		if w := a.do("POST", "/", "", "Cookie", mine, "Origin", "https://evil.example"); w.Code != 403 {
			t.Errorf("another origin: %d", w.Code)
		}
		if w := a.do("POST", "/", "a=b", form...); w.Code != 403 {
			t.Errorf("without a token: %d", w.Code)
		}
		r := a.request("GET", "/", "", "Cookie", mine)
		id, err := x.Authenticate(r)
		schemetest.Must(t, err)
		token := session.Token(id)
		if w := a.do("POST", "/", "a=b", append(form, "X-CSRFToken", token)...); w.Code != 200 {
			t.Errorf("with its token: %d %s", w.Code, w.Body)
		}
		a.c.Set(20 * time.Minute)
		moved := cookie(a.do("GET", "/", "", "Cookie", mine))
		form[1] = moved
		if w := a.do("POST", "/", "a=b", append(form, "X-CSRFToken", token)...); w.Code != 200 {
			t.Errorf("the token after the cookie moved: %d", w.Code)
		}
		form[1] = a.login("alice", "Cookie", moved)
		if w := a.do("POST", "/", "a=b", append(form, "X-CSRFToken", token)...); w.Code != 403 {
			t.Errorf("the token of before a login: %d", w.Code)
		}
		a.c.Set(0)
	})
	w := a.do("POST", "/logout", "", "Cookie", mine)
	if c := w.Result().Cookies(); w.Code != 204 || len(c) != 1 || c[0].MaxAge != -1 {
		t.Errorf("logout: %d %v", w.Code, w.Header())
	}
	if w := a.do("POST", "/form", "username=alice&password=right&next=%2Fx", "Content-Type", "application/x-www-form-urlencoded"); w.Code != 303 || w.Header().Get("Location") != "/x" || cookie(w) == "" {
		t.Errorf("the form: %d", w.Code)
	}
	if w := a.do("POST", "/out", "", "Cookie", mine); w.Code != 303 {
		t.Errorf("the logout form: %d", w.Code)
	}
}

// faultyUsers fails where told to.
type faultyUsers struct {
	storage.Users
	fail, inactive bool
}

func (f *faultyUsers) UserByID(ctx context.Context, id string) (storage.User, error) {
	if f.fail {
		return storage.User{}, errDown
	}
	u, err := f.Users.UserByID(ctx, id)
	u.Active = u.Active && !f.inactive
	return u, err
}

// With Users, every event that revokes an account's credentials also revokes its sealed sessions.
func TestSealedWithUsers(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		users := &faultyUsers{Users: s}
		a, _ := newSealed(t, users, s, session.SealedOptions{})
		for name, end := range map[string]func(name string) error{
			"disabled":   func(id string) error { return s.SetActive(ctx, id, false) },
			"password":   func(id string) error { return s.SetPassword(ctx, id, "x") },
			"deleted":    func(id string) error { return s.DeleteUser(ctx, id) },
			"everywhere": func(id string) error { _, err := s.BumpEpoch(ctx, id); return err },
		} {
			schemetest.Add(t, s, name)
			mine := a.login(name)
			if got := a.who(mine); got != "session:id-"+name+":staff" {
				t.Fatalf("%s: before: %s", name, got)
			}
			users.fail = true
			if w := a.do("GET", "/", "", "Cookie", mine); w.Code != 503 || len(w.Result().Cookies()) != 0 {
				t.Errorf("the store is down: %d %v", w.Code, w.Header())
			}
			users.fail, users.inactive = false, true
			if got := a.who(mine); got != unauthorized {
				t.Errorf("disabled in a table that knows no epoch: %s", got)
			}
			users.inactive = false
			schemetest.Must(t, end("id-"+name))
			if got := a.who(mine); got != unauthorized {
				t.Errorf("attack_123 %s: after: %s", name, got)
			}
		}
	})
}

// gorilla's interface over sealed cookies.
func TestSealedStore(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	schemetest.Add(t, s, "bob")
	a, x := newSealed(t, nil, s, session.SealedOptions{})
	st := x.Store()
	// visit runs f with the session of that name, in a request with the cookies.
	visit := func(name string, values map[any]any, headers ...string) (*httptest.ResponseRecorder, error) {
		var err error
		w := httptest.NewRecorder()
		m := authn.New(authn.Chain{x, explicit{}}, nil)
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, e := st.Get(r, name)
			if err = e; err != nil {
				return
			}
			for k, want := range values {
				if want == nil {
					delete(v.Values, k)
				} else {
					v.Values[k] = want
				}
			}
			w.Header().Set("X-New", map[bool]string{true: "new", false: "old"}[v.IsNew])
			if at, ok := v.Values["at"].(time.Time); ok {
				w.Header().Set("X-At", at.String())
			}
			err = v.Save(r, w)
		})).ServeHTTP(w, a.request("GET", "/", "", headers...))
		return w, err
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	w, err := visit("flash", map[any]any{"at": at, 7: []string{"x"}})
	schemetest.Must(t, err)
	c := w.Result().Cookies()
	if len(c) != 1 || c[0].Name != "__Host-flash" || !c[0].HttpOnly || !c[0].Secure || w.Header().Get("X-New") != "new" {
		t.Fatalf("%v", w.Header())
	}
	flash := "__Host-flash=" + c[0].Value
	if w, err = visit("flash", nil, "Cookie", flash); err != nil || w.Header().Get("X-At") != at.String() || w.Header().Get("X-New") != "old" || len(w.Result().Cookies()) != 0 {
		t.Errorf("%v, %v", w.Header(), err)
	}
	if w, err = visit("other", nil, "Cookie", "__Host-other="+c[0].Value); err != nil || w.Header().Get("X-New") != "new" {
		t.Errorf("attack_115 under another name: %v, %v", w.Header(), err)
	}
	if w, err = visit("nothing", nil); err != nil || len(w.Header()["Set-Cookie"]) != 0 {
		t.Errorf("an empty session sets a cookie: %v, %v", w.Header(), err)
	}
	if w, err = visit("flash", map[any]any{"big": strings.Repeat("x", 4096)}, "Cookie", flash); !errors.Is(err, session.ErrTooLarge) || len(w.Result().Cookies()) != 0 {
		t.Errorf("attack_116 a cookie that no browser keeps: %v, %v", w.Header(), err)
	}
	if _, err = visit("flash", map[any]any{"x": struct{}{}}); err == nil {
		t.Error("a struct was taken")
	}
	// The session of logged-in users: its data is kept only for the same user.
	w, err = visit("session", map[any]any{"at": at})
	schemetest.Must(t, err)
	nobody := cookie(w)
	mine := a.login("alice", "Cookie", nobody)
	if w, err = visit("session", nil, "Cookie", mine); err != nil || w.Header().Get("X-At") == "" {
		t.Errorf("data of nobody do not go over: %v", err)
	}
	bobs := a.login("bob", "Cookie", mine)
	if w, err = visit("session", nil, "Cookie", bobs); err != nil || w.Header().Get("X-At") != "" {
		t.Errorf("attack_112: another user's data go over: %v", err)
	}
	if w, err = visit("session", map[any]any{"y": 1}, "Cookie", mine, "Authorization", "Bearer id-bob"); !errors.Is(err, session.ErrNotYours) || w.Header().Get("X-At") != "" {
		t.Errorf("another one's session: %v", err)
	}
	// A Save after a renewal in the same response sets one cookie.
	a.c.Set(10 * time.Minute)
	if w, err = visit("session", map[any]any{"z": true}, "Cookie", mine); err != nil || len(w.Header()["Set-Cookie"]) != 1 {
		t.Errorf("%v, %v", w.Header(), err)
	}
}

func TestNewSealedRefuses(t *testing.T) {
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	schemetest.Must(t, err)
	if _, err := session.NewSealed(nil, where, nil); err == nil {
		t.Error("no keys")
	}
	if _, err := session.NewSealed(ring, nil, nil); err == nil {
		t.Error("no site")
	}
	if _, err := session.NewSealed(ring, where, &session.SealedOptions{Options: session.Options{SameSite: http.SameSiteNoneMode}}); err == nil {
		t.Error("attack_132: SameSite=None")
	}
	if _, err := session.NewSealed(ring, where, nil); err != nil {
		t.Error(err)
	}
}

func BenchmarkSealed(b *testing.B) {
	where, err := csrf.New(site, nil)
	schemetest.Must(b, err)
	ring, err := keys.NewRing(keys.Generate())
	schemetest.Must(b, err)
	x, err := session.NewSealed(ring, where, nil)
	schemetest.Must(b, err)
	w := httptest.NewRecorder()
	schemetest.Must(b, x.Start(w, httptest.NewRequest("POST", site+"/", nil), authn.Login{Subject: "id-alice"}))
	r := httptest.NewRequest("GET", site+"/", nil)
	r.Header.Set("Cookie", cookie(w))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSealedVisitor is a request with a session in which nobody is logged in, without a limit
// of refused credentials.
func BenchmarkSealedVisitor(b *testing.B) {
	where, err := csrf.New(site, nil)
	schemetest.Must(b, err)
	ring, err := keys.NewRing(keys.Generate())
	schemetest.Must(b, err)
	x, err := session.NewSealed(ring, where, nil)
	schemetest.Must(b, err)
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", site+"/", nil)
	cart, err := x.Store().Get(r, "session")
	schemetest.Must(b, err)
	cart.Values["cart"] = "tea"
	schemetest.Must(b, cart.Save(r, w))
	h := authn.New(authn.Chain{x}, nil).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r = httptest.NewRequest("GET", site+"/", nil)
	r.Header.Set("Cookie", cookie(w))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
