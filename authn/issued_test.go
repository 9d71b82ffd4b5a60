package authn_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// anyPassword is a password checker that accepts everything for one account.
type anyPassword struct{ storage.Subjects }

func (p anyPassword) CheckPassword(r *http.Request, _, _ string) (authn.Login, error) {
	epoch, err := p.SubjectEpoch(r.Context(), "alice")
	return authn.Login{Subject: "alice", Epoch: epoch}, err
}

// issued is what a client keeps of an answer.
type issued struct {
	cookies []*http.Cookie
	body    map[string]any
}

// Junk from the caller's address stops no login there: what the login issues is checked, and so
// is what takes its place later.
func TestIssuedWhileTheAddressIsPaused_attack_410(t *testing.T) {
	db := memory.New(nil)
	must(t, db.CreateUser(t.Context(), storage.User{ID: "alice", Name: "alice", Active: true}))
	must(t, db.CreateClient(t.Context(), storage.Client{ID: "app", Name: "app", Method: oauth2.None, Grants: []string{oauth2.Password, oauth2.RefreshToken}}))
	check := anyPassword{db}
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	key, err := jose.NewSecret("k", jose.HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	signing, err := jose.NewKeySet(key)
	must(t, err)
	site, err := csrf.New("https://app.example", nil)
	must(t, err)
	static, err := token.New(db, ring, nil)
	must(t, err)
	devices, err := knox.New(db, nil)
	must(t, err)
	pairs, err := jwt.New("https://app.example", "https://app.example", signing, db, nil)
	must(t, err)
	sliding, err := jwt.New("https://app.example", "https://app.example", signing, db, &jwt.Options{Sliding: true})
	must(t, err)
	browsers, err := session.New(db, site, &session.Options{Remember: &session.RememberOptions{}})
	must(t, err)
	sealed, err := session.NewSealed(ring, site, &session.SealedOptions{Options: session.Options{Cookie: "sealed"}})
	must(t, err)
	api, err := oauth2.New("https://app.example", db, nil)
	must(t, err)
	srv, err := server.New(api, db, &server.Options{InsecurePasswordGrant: check, Keys: ring})
	must(t, err)
	regenerate := func(w http.ResponseWriter, r *http.Request) {
		if err := browsers.Regenerate(w, r); err != nil {
			authn.Respond(w, r, err)
		}
	}
	keep := func(w http.ResponseWriter, r *http.Request) {
		err := browsers.Keep(w, r, func() (authn.Login, error) {
			epoch, err := db.BumpEpoch(r.Context(), "alice")
			return authn.Login{Subject: "alice", Epoch: epoch}, err
		})
		if err != nil {
			authn.Respond(w, r, err)
		}
	}
	forget := func(had issued) issued { // the session has expired, the remembered login has not
		for _, c := range had.cookies {
			if strings.HasSuffix(c.Name, "remember") {
				return issued{cookies: []*http.Cookie{c}}
			}
		}
		t.Fatal("no second cookie")
		return issued{}
	}
	visit := func(store sessions.Store, name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, err := store.Get(r, name)
			must(t, err)
			v.Values["cart"] = "tea"
			must(t, v.Save(r, w))
		})
	}
	look := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	password := url.Values{"username": {"alice"}, "password": {"x"}}
	remember := url.Values{"username": {"alice"}, "password": {"x"}, "remember": {"on"}}
	grant := url.Values{"grant_type": {"password"}, "client_id": {"app"}, "username": {"alice"}, "password": {"x"}}
	type step struct {
		h     http.Handler
		chain bool // behind it
		early bool // before the address is paused, while it exceeds the limit
		form  func(issued) url.Values
		had   func(issued) issued
	}
	with := func(v url.Values) func(issued) url.Values { return func(issued) url.Values { return v } }
	field := func(name string) func(issued) url.Values {
		return func(had issued) url.Values { return url.Values{name: {fmt.Sprint(had.body[name])}} }
	}
	again := func(had issued) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {fmt.Sprint(had.body["refresh_token"])}}
	}
	for name, x := range map[string]struct {
		keyword string
		scheme  authn.Authenticator
		steps   []step
	}{
		"token":       {"Token", static, []step{{h: static.Login(check), form: with(password)}}},
		"knox":        {"Token", devices, []step{{h: devices.Login(check), form: with(password)}}},
		"jwt":         {"Bearer", pairs, []step{{h: pairs.Login(check), form: with(password)}}},
		"jwt refresh": {"Bearer", pairs, []step{{h: pairs.Login(check), form: with(password)}, {h: pairs.RefreshPair(), early: true, form: field("refresh")}}},
		"sliding":     {"Bearer", sliding, []step{{h: sliding.LoginSliding(check), form: with(password)}}},
		"session":     {"", browsers, []step{{h: browsers.Login(check), form: with(password)}}},
		"form":        {"", browsers, []step{{h: browsers.LoginForm(check, nil), form: with(password)}}},
		"remember":    {"", browsers, []step{{h: browsers.LoginForm(check, nil), form: with(remember)}}},
		"remembered": {"", browsers, []step{
			{h: browsers.LoginForm(check, nil), form: with(remember)}, {h: look, chain: true, early: true, had: forget},
		}},
		"regenerate":           {"", browsers, []step{{h: browsers.Login(check), form: with(password)}, {h: http.HandlerFunc(regenerate), chain: true, early: true, form: with(nil)}}},
		"keep":                 {"", browsers, []step{{h: browsers.Login(check), form: with(password)}, {h: http.HandlerFunc(keep), chain: true, early: true, form: with(nil)}}},
		"sealed":               {"", sealed, []step{{h: sealed.Login(check), form: with(password)}}},
		"oauth2":               {"Bearer", api, []step{{h: srv.Token(), form: with(grant)}}},
		"oauth2 repeat":        {"Bearer", api, []step{{h: srv.Token(), form: with(grant)}, {h: srv.Token(), form: again}, {h: srv.Token(), form: again}}},
		"visitor":              {"", browsers, []step{{h: visit(browsers.Store(), "session"), chain: true}}},
		"visitor again":        {"", browsers, []step{{h: visit(browsers.Store(), "session"), chain: true}, {h: look, chain: true, early: true}}},
		"sealed visitor":       {"", sealed, []step{{h: visit(sealed.Store(), "sealed"), chain: true}}},
		"sealed visitor again": {"", sealed, []step{{h: visit(sealed.Store(), "sealed"), chain: true}, {h: look, chain: true, early: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			limit, err := throttle.NewRefusals(&throttle.RefusalOptions{Limit: throttle.Rate{Limit: 2, Window: time.Minute}})
			must(t, err)
			auth := authn.New(authn.Chain{x.scheme}, &authn.Options{Refusals: limit, Logger: slog.New(slog.DiscardHandler)})
			ok := auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			send := func(h http.Handler, r *http.Request, had issued) *httptest.ResponseRecorder {
				r.Header.Set("Origin", "https://app.example")
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				for _, c := range had.cookies {
					r.AddCookie(c)
				}
				for _, name := range []string{"token", "access", "access_token"} {
					text, is := had.body[name].(string)
					if is && h == ok && x.keyword != "" {
						r.Header.Set("Authorization", x.keyword+" "+text)
					}
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			get := func(had issued) int {
				return send(ok, httptest.NewRequest("GET", "https://app.example/", nil), had).Code
			}
			junk := func(n int) {
				for i := range n {
					c := issued{body: map[string]any{"token": fmt.Sprint("junk", i), "access_token": fmt.Sprint("vat_junk", i)}, cookies: []*http.Cookie{{Name: "__Host-session", Value: fmt.Sprint("junk", i)}, {Name: "__Host-sealed", Value: fmt.Sprint("junk", i)}}}
					if code := get(c); code == 200 {
						t.Fatal("junk is accepted")
					}
				}
			}
			var had issued
			for i, st := range x.steps {
				last := i == len(x.steps)-1
				if last {
					junk(5)
				}
				if last && !st.early {
					junk(60)
				}
				h := auth.Public(st.h)
				if st.chain {
					h = auth.Handler(st.h)
				}
				r := httptest.NewRequest("GET", "https://app.example/", nil)
				if st.form != nil {
					r = httptest.NewRequest("POST", "https://app.example/", strings.NewReader(st.form(had).Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				if st.had != nil {
					had = st.had(had)
				}
				w := send(h, r, had)
				if w.Code >= 400 {
					t.Fatalf("step %d: %d %s", i, w.Code, w.Body)
				}
				next := issued{cookies: w.Result().Cookies()}
				if len(next.cookies) == 0 {
					next.cookies = had.cookies
				}
				_ = json.Unmarshal(w.Body.Bytes(), &next.body)
				had = next
				if last && st.early {
					junk(60)
				}
			}
			if code := get(issued{cookies: []*http.Cookie{{Name: "__Host-session", Value: "junk"}, {Name: "__Host-sealed", Value: "junk"}}, body: map[string]any{"token": "junk", "access_token": "vat_junk"}}); code != 429 {
				t.Fatalf("the address is not paused: %d", code)
			}
			if code := get(had); code != 200 {
				t.Errorf("what was issued: %d", code)
			}
		})
	}
}

// The list of what was issued stays the caller's, with its spare capacity.
func TestAcceptedLeavesTheListAlone(t *testing.T) {
	limit, err := throttle.NewRefusals(nil)
	must(t, err)
	backing := []string{"new", "of the caller"}
	h := authn.New(authn.Chain{}, &authn.Options{Refusals: limit}).Public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		own, err := authn.AdmitOwn(r, "old")
		must(t, err)
		if own == nil {
			t.Fatal("the limit does not count the credential")
		}
		own.Accepted(authn.Identity{Subject: "1"}, backing[:1]...)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
	if backing[1] != "of the caller" {
		t.Errorf("%q", backing)
	}
}

// Nobody computes what was issued where no limit receives it.
func TestWantsIssued(t *testing.T) {
	limit, err := throttle.NewRefusals(nil)
	must(t, err)
	for name, x := range map[string]struct {
		m    *authn.Middleware
		want bool
	}{
		"a limit": {authn.New(authn.Chain{}, &authn.Options{Refusals: limit}), true}, "no limit": {authn.New(authn.Chain{}, nil), false},
	} {
		for how, wrap := range map[string]func(http.Handler) http.Handler{"handler": x.m.Handler, "public": x.m.Public} {
			called := false
			wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if called = true; authn.WantsIssued(r) != x.want {
					t.Errorf("%s, %s: %v", name, how, !x.want)
				}
			})).ServeHTTP(httptest.NewRecorder(), request())
			if !called {
				t.Errorf("%s, %s: not called", name, how)
			}
		}
	}
	if authn.WantsIssued(request()) {
		t.Error("without a middleware")
	}
	asked := false // before the request is decided, too
	inChain := authn.Func(func(r *http.Request) (authn.Identity, error) {
		asked = authn.WantsIssued(r)
		return authn.Identity{}, authn.ErrNoCredentials
	})
	if ask(authn.New(inChain, &authn.Options{Refusals: limit}).Handler(http.NotFoundHandler()), "GET", "/"); !asked {
		t.Error("a scheme of the chain")
	}
}
