package session_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// browser holds the two cookies of a browser; "" means no cookie.
type browser struct {
	a             *app
	session, memo string
}

// take stores the cookies of a response.
func (b *browser) take(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		value := c.Name + "=" + c.Value
		if c.MaxAge < 0 {
			value = ""
		}
		switch c.Name {
		case "__Host-session":
			b.session = value
		case "__Host-remember":
			b.memo = value
		}
	}
}

// send sends a request with the cookies and stores those of the response.
func (b *browser) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	for _, c := range []string{b.session, b.memo} {
		if c != "" {
			headers = append(headers, "Cookie", c)
		}
	}
	w := b.a.do(method, path, body, headers...)
	b.take(w)
	return w
}

// who returns the body of a GET, or its status.
func (b *browser) who() string {
	w := b.send("GET", "/", "")
	if w.Code != 200 {
		return http.StatusText(w.Code)
	}
	return w.Body.String()
}

func remembering(t *testing.T, s store, o session.RememberOptions) *app {
	return newApp(t, s, &session.Options{Idle: time.Hour, Absolute: 2 * time.Hour, Remember: &o})
}

// visit logs in with "remember" and lets the idle timeout of the session pass.
func visit(t *testing.T, a *app, name string) *browser {
	t.Helper()
	b := &browser{a: a}
	if w := b.send("POST", "/login", `{"username":"`+name+`","password":"right","remember":true}`); w.Code != 200 || b.session == "" || b.memo == "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return b
}

const aliceIn = "session:id-alice"

func TestRemember(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{})
		plain := &browser{a: a}
		plain.send("POST", "/login", `{"username":"alice","password":"right"}`)
		if plain.memo != "" || plain.session == "" {
			t.Fatal("remembered without being asked")
		}
		b := visit(t, a, "alice")
		first := *b
		if got := b.who(); got != aliceIn || *b != first {
			t.Fatalf("while the session lives: %s", got)
		}
		a.take()
		a.c.Set(3 * time.Hour)
		if got := plain.who(); got != unauthorized {
			t.Errorf("not remembered: %s", got)
		}
		if got := b.who(); got != aliceIn || b.session == first.session || b.memo == first.memo || b.session == "" || b.memo == "" {
			t.Fatalf("after the session's end: %s %+v", got, b)
		}
		if got := a.take(); !strings.Contains(got, "session.created:remembered") {
			t.Errorf("events %q", got)
		}
		r := a.request("GET", "/", "", "Cookie", b.session)
		id, err := a.x.Authenticate(r)
		schemetest.Must(t, err)
		if !session.IsRemembered(id) || !id.AuthTime.Equal(born) {
			t.Errorf("remembered %t, logged in at %s", session.IsRemembered(id), id.AuthTime)
		}
		if id, err := a.x.Authenticate(a.request("GET", "/", "", "Cookie", a.login("alice"))); err != nil || session.IsRemembered(id) {
			t.Errorf("a login counts as remembered: %v", err)
		}
		// Also without the session cookie, as after the browser was closed.
		b.session = ""
		if got := b.who(); got != aliceIn || b.session == "" {
			t.Errorf("without a session cookie: %s", got)
		}
		// Its own absolute end.
		for day := range 89 {
			a.c.Set(time.Duration(day+1) * 24 * time.Hour)
			if got := b.who(); got != aliceIn {
				t.Fatalf("day %d: %s", day+1, got)
			}
		}
		a.c.Set(90 * 24 * time.Hour)
		if got := b.who(); got != unauthorized || b.session != "" || b.memo != "" {
			t.Errorf("at the absolute end: %s %+v", got, b)
		}
		if got := b.who(); got != ":" {
			t.Errorf("the request after that: %s", got)
		}
		a.c.Set(0)
		b = visit(t, a, "alice")
		a.c.Set(30 * 24 * time.Hour)
		if got := b.who(); got != unauthorized {
			t.Errorf("away for the idle time: %s", got)
		}
	})
}

// Many concurrent tabs get one session, and a lost response is repeated.
func TestRememberTabs(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{})
		old := visit(t, a, "alice")
		a.c.Set(3 * time.Hour)
		a.take()
		tabs := make([]*browser, 64)
		var wg sync.WaitGroup
		for i := range tabs {
			tabs[i] = &browser{a: a, session: old.session, memo: old.memo}
			wg.Go(func() {
				if got := tabs[i].who(); got != aliceIn {
					t.Errorf("a tab: %s", got)
				}
			})
		}
		wg.Wait()
		for _, tab := range tabs {
			if *tab != *tabs[0] {
				t.Fatalf("two tabs have different cookies")
			}
		}
		if got := strings.Count(a.take(), "session.created:remembered"); got != 1 {
			t.Errorf("%d sessions began", got)
		}
		if got := tabs[0].who(); got != aliceIn {
			t.Errorf("then: %s", got)
		}
		if list, err := a.x.Sessions(t.Context(), "id-alice", 100); err != nil || len(list) != 1 {
			t.Errorf("%d sessions, %v", len(list), err)
		}
	})
}

// The theft of a remember cookie is detected when both holders have used it, whoever was first.
func TestRememberTheft(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		for _, name := range []string{"thief_first", "owner_first"} {
			t.Run("attack_122_"+name, func(t *testing.T) {
				schemetest.Add(t, s, name)
				// The window is by the store's clock (package rotation tests it).
				a := remembering(t, s, session.RememberOptions{Grace: -1})
				owner := visit(t, a, name)
				thief := &browser{a: a, memo: owner.memo}
				first, second := thief, owner
				if name == "owner_first" {
					first, second = owner, thief
				}
				a.c.Set(3 * time.Hour)
				if got := first.who(); got != "session:id-"+name {
					t.Fatalf("the first: %s", got)
				}
				a.take()
				if got := second.who(); got != unauthorized || second.memo != "" {
					t.Errorf("the second: %s", got)
				}
				if got := a.take(); !strings.Contains(got, "refresh.reuse") {
					t.Errorf("events %q", got)
				}
				copied := *first
				if got := first.who(); got != unauthorized {
					t.Errorf("the first one's session lives on: %s", got)
				}
				copied.session = ""
				if got := copied.who(); got != unauthorized {
					t.Errorf("the first one's next cookie lives on: %s", got)
				}
			})
		}
	})
}

// Every event that ends a login also ends its remembered login.
func TestRememberEnds(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		ids := func(a *app, subject string) (list []string) {
			sessions, err := a.x.Sessions(ctx, subject, 100)
			schemetest.Must(t, err)
			for _, v := range sessions {
				list = append(list, v.ID)
			}
			return list
		}
		for name, end := range map[string]func(a *app, b *browser){
			"logout": func(a *app, b *browser) {
				if w := b.send("POST", "/logout", ""); w.Code != 204 || b.memo != "" || b.session != "" {
					t.Errorf("logout: %d %+v", w.Code, b)
				}
			},
			"logout_after_the_session": func(a *app, b *browser) {
				a.c.Set(3 * time.Hour)
				if w := b.send("POST", "/logout", ""); w.Code != 204 {
					t.Errorf("logout: %d", w.Code)
				}
			},
			"logout_by_the_session": func(a *app, b *browser) {
				if w := a.do("POST", "/logout", "", "Cookie", b.session); w.Code != 204 {
					t.Errorf("logout: %d", w.Code)
				}
			},
			"password":   func(*app, *browser) { schemetest.Must(t, s.SetPassword(ctx, "id-password", "x")) },
			"disabled":   func(*app, *browser) { schemetest.Must(t, s.SetActive(ctx, "id-disabled", false)) },
			"everywhere": func(*app, *browser) { _, err := s.BumpEpoch(ctx, "id-everywhere"); schemetest.Must(t, err) },
			"one":        func(a *app, _ *browser) { schemetest.Must(t, a.x.EndOne(ctx, "id-one", ids(a, "id-one")[0])) },
			"all":        func(a *app, _ *browser) { _, err := a.x.EndAll(ctx, "id-all", ""); schemetest.Must(t, err) },
			"a_new_login": func(a *app, b *browser) {
				b.send("POST", "/login", `{"username":"a_new_login","password":"right"}`)
				if b.memo != "" {
					t.Error("a login without remember leaves the old cookie")
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				schemetest.Add(t, s, name)
				a := remembering(t, s, session.RememberOptions{})
				b := visit(t, a, name)
				before := *b
				end(a, b)
				for _, x := range []browser{before, {a: a, memo: before.memo}, {a: a, session: before.session}} {
					if got := x.who(); got != unauthorized {
						t.Errorf("%+v: %s", x, got)
					}
				}
				a.c.Set(3 * time.Hour)
				if got := before.who(); got != ":" && got != unauthorized {
					t.Errorf("later: %s", got)
				}
			})
		}
		t.Run("the others", func(t *testing.T) {
			schemetest.Add(t, s, "carol")
			a := remembering(t, s, session.RememberOptions{})
			mine, other := visit(t, a, "carol"), visit(t, a, "carol")
			gone := visit(t, a, "carol")
			gone.session = ""
			if w := mine.send("POST", "/others", ""); w.Code != 204 {
				t.Fatalf("%d", w.Code)
			}
			a.c.Set(3 * time.Hour)
			for b, want := range map[*browser]string{mine: "session:id-carol", other: unauthorized, gone: unauthorized} {
				if got := b.who(); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			// Nobody can end the login of another user, with any ID.
			schemetest.Add(t, s, "dave")
			list := ids(a, "id-carol")
			if len(list) != 1 {
				t.Fatalf("%q", list)
			}
			if err := a.x.EndOne(ctx, "id-dave", list[0]); err != storage.ErrNotFound {
				t.Errorf("another one's session: %v", err)
			}
			a.c.Set(6 * time.Hour)
			if got := mine.who(); got != "session:id-carol" {
				t.Errorf("after that: %s", got)
			}
		})
	})
}

// An invalid cookie is rejected once and deleted. A request from another site exchanges nothing,
// and an error changes nothing.
func TestRememberRefuses(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{Grace: -1})
		b := visit(t, a, "alice")
		a.c.Set(3 * time.Hour)
		for what, c := range map[string]struct {
			headers []string
			want    int
		}{
			"attack_124_cross_site": {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
			"attack_124_form":       {[]string{"Origin", "", "Sec-Fetch-Site", "", "Content-Type", "text/plain"}, 403},
		} {
			copied := *b
			if w := copied.send("POST", "/", "x", c.headers...); w.Code != c.want || copied != *b {
				t.Errorf("%s: %d %v", what, w.Code, w.Header())
			}
		}
		// One of two cookies may be valid, so neither is deleted.
		if x := (&browser{a: a, memo: b.memo + "; " + b.memo}); x.who() != unauthorized || x.memo == "" {
			t.Errorf("two cookies: taken, or taken away: %q", x.memo)
		}
		for _, bad := range []string{"__Host-remember=junk", "__Host-remember=", b.memo + "x"} {
			x := &browser{a: a, memo: bad}
			if got := x.who(); got != unauthorized || x.memo != "" {
				t.Errorf("%q: %s", bad, got)
			}
		}
		if got := (&browser{a: a, memo: strings.Replace(b.memo, "__Host-", "", 1)}).who(); got != ":" {
			t.Errorf("the other mode's name: %s", got)
		}
		if got := (&browser{a: a, memo: strings.Replace(b.session, "session=", "remember=", 1)}).who(); got != unauthorized {
			t.Errorf("a session's text: %s", got)
		}
		a.down(true)
		copied := *b
		if w := copied.send("GET", "/", ""); w.Code != 503 || copied != *b {
			t.Errorf("the store is down: %d %v", w.Code, w.Header())
		}
		copied.session = ""
		if w := copied.send("GET", "/", ""); w.Code != 503 || copied.memo != b.memo {
			t.Errorf("the store cannot write: %d %v", w.Code, w.Header())
		}
		a.down(false)
		before := *b
		if got := b.who(); got != aliceIn {
			t.Fatalf("after all that: %s", got)
		}
		if got := before.who(); got != unauthorized { // no grace
			t.Errorf("again, without a grace: %s", got)
		}
	})
}

// Theft is detected during concurrent requests, and no session of the series survives it.
func TestRememberRaces(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		for round := range 4 {
			name := "alice" + string(rune('0'+round))
			schemetest.Add(t, s, name)
			a := remembering(t, s, session.RememberOptions{Grace: -1})
			old := visit(t, a, name)
			a.c.Set(3 * time.Hour)
			var wg sync.WaitGroup
			got := make([]*browser, 16)
			for i := range got {
				got[i] = &browser{a: a, memo: old.memo}
				wg.Go(func() { got[i].who() })
			}
			wg.Wait()
			live := 0
			for _, b := range got {
				if b.session != "" && b.who() == "session:id-"+name {
					live++
				}
			}
			if live != 0 { // all but one were reuse
				t.Errorf("%d sessions live on after the reuse", live)
			}
			if list, err := a.x.Sessions(t.Context(), "id-"+name, 100); err != nil || len(list) != 0 {
				t.Errorf("%d sessions, %v", len(list), err)
			}
		}
		schemetest.Add(t, s, "bob")
		for range 8 { // logout beside the return
			a := remembering(t, s, session.RememberOptions{})
			old := visit(t, a, "bob")
			a.c.Set(3 * time.Hour)
			back, out := *old, *old
			var wg sync.WaitGroup
			wg.Go(func() { back.who() })
			wg.Go(func() { out.send("POST", "/logout", "") })
			wg.Wait()
			if got := back.who(); got != unauthorized && got != ":" {
				t.Errorf("logged out, and in: %s", got)
			}
			a.c.Set(6 * time.Hour)
			if got := back.who(); got != unauthorized && got != ":" {
				t.Errorf("logged out, and in later: %s", got)
			}
		}
	})
}

func TestRememberOptions(t *testing.T) {
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	s := memory.New(nil)
	for what, o := range map[string]session.Options{
		"the session's name": {Remember: &session.RememberOptions{Cookie: "Session"}}, "the token's name": {TokenCookie: "remember", Remember: &session.RememberOptions{}},
		"a prefix": {Remember: &session.RememberOptions{Cookie: "__Host-x"}}, "not longer": {Remember: &session.RememberOptions{Idle: time.Hour}},
		"a long grace": {Remember: &session.RememberOptions{Grace: time.Hour}}, "absolute below idle": {Remember: &session.RememberOptions{Absolute: time.Hour}},
	} {
		if _, err := session.New(s, where, &o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := session.New(struct{ session.Rows }{s}, where, &session.Options{Remember: &session.RememberOptions{}}); err == nil {
		t.Error("rows without families: taken")
	}
	x, err := session.New(s, where, nil)
	schemetest.Must(t, err)
	schemetest.Add(t, s, "alice")
	w := httptest.NewRecorder()
	schemetest.Must(t, x.StartRemembered(w, httptest.NewRequest("POST", site+"/", nil), authn.Login{Subject: "id-alice"}))
	if c := w.Result().Cookies(); len(c) != 1 || c[0].Name != "__Host-session" {
		t.Errorf("without the option: %v", c)
	}
}

// The data of a visitor is kept in the new session.
func TestRememberKeepsData(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := remembering(t, s, session.RememberOptions{})
	b := visit(t, a, "alice")
	b.session = ""
	st := a.x.Store()
	a.mux.Handle("/cart", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // outside the chain: nobody's
		v, err := st.Get(r, "session")
		schemetest.Must(t, err)
		v.Values["cart"] = 7
		schemetest.Must(t, v.Save(r, w))
	}))
	m := authn.New(authn.Chain{a.x}, nil)
	a.mux.Handle("/show", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := st.Get(r, "session")
		schemetest.Must(t, err)
		if v.Values["cart"] != 7 || authn.FromContext(r.Context()).Subject != "id-alice" {
			t.Errorf("%v of %q", v.Values, authn.FromContext(r.Context()).Subject)
		}
	})))
	w := a.do("GET", "/cart", "")
	b.take(w)
	b.send("GET", "/show", "")
	b.send("GET", "/show", "")
	// A login of the same user keeps the data too, and begins a new series.
	before := *b
	b.send("POST", "/login", `{"username":"alice","password":"right","remember":true}`)
	b.send("GET", "/show", "")
	if got := before.who(); got != unauthorized || b.memo == before.memo {
		t.Errorf("the series of before the login: %s", got)
	}
}

// A logout with one session of a series also deletes the others, whose cookies the browser lost.
func TestRememberSiblings(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := remembering(t, s, session.RememberOptions{})
		b := visit(t, a, "alice")
		lost := b.session
		b.session = ""
		if b.who() != aliceIn || b.session == lost || a.who(lost) != aliceIn {
			t.Fatal("there are no two sessions")
		}
		if w := a.do("POST", "/logout", "", "Cookie", b.session); w.Code != 204 {
			t.Fatalf("%d", w.Code)
		}
		if got := a.who(lost); got != unauthorized {
			t.Errorf("the other session: %s", got)
		}
	})
}
