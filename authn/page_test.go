package authn_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// lapsing is cookies with a store in which "bad" has expired, and an application that rejects
// "banned". It rejects requests from other sites.
type lapsing struct{ cookies }

var errEnded = errors.New("the session has ended")

func (l lapsing) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := l.cookies.Authenticate(r)
	found := r.CookiesNamed(l.name)
	if len(found) != 1 {
		return id, err
	}
	switch found[0].Value {
	case "bad":
		e := authn.AuthenticationFailed("Invalid session.").WithCause(errEnded)
		e.Cookies = []*http.Cookie{{Name: l.name, MaxAge: -1, Path: "/"}}
		return id, e
	case "banned":
		return authn.Identity{}, authn.AuthenticationFailed("Banned.")
	case "panics":
		e := authn.AuthenticationFailed("Invalid session.").WithCause(errPanics)
		return authn.Identity{}, e
	}
	return id, err
}

var errPanics = errors.New("panics")

func (l lapsing) Lapsed(r *http.Request, err error) (bool, error) {
	if errors.Is(err, errPanics) {
		panic("hush")
	}
	if !errors.Is(err, errEnded) {
		return false, nil
	}
	if r.Header.Get("Origin") == "https://evil.example" {
		return true, authn.PermissionDenied("Another site.")
	}
	return true, nil
}

// proxied is another ambient scheme, with a name from a proxy.
var proxied = authn.Func(func(r *http.Request) (authn.Identity, error) {
	if name := r.Header.Get("X-Remote-User"); name != "" {
		return authn.Identity{Subject: name, Scheme: "remoteuser"}, nil
	}
	return authn.Identity{}, authn.ErrNoCredentials
})

// wrapper decorates a scheme.
type wrapper struct{ authn.Authenticator }

func (d wrapper) Unwrap() authn.Authenticator { return d.Authenticator }

const htmlAccept = "Accept: text/html,*/*;q=0.8"

// An expired session counts as no credentials on a declared page only.
func TestPage(t *testing.T) {
	reached := 0
	me := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		who(w, r)
	})
	scheme := lapsing{cookies{"sid"}}
	header := authn.Func(func(r *http.Request) (authn.Identity, error) {
		text, err := authn.Credentials(r, "Token", "token")
		switch {
		case err != nil:
			return authn.Identity{}, err
		case text != "good":
			return authn.Identity{}, authn.AuthenticationFailed("Invalid token.").WithCause(errEnded)
		}
		return authn.Identity{Subject: "bob", Scheme: "token"}, nil
	})
	for name, chain := range map[string]authn.Chain{"plain": {scheme, header, proxied}, "decorated": {wrapper{scheme}, header, proxied}} {
		mux := authz.NewMux(authn.New(chain, &authn.Options{Logger: quiet}))
		mux.Handle("/page", authn.Page("/login", me), authz.IsAuthenticated)
		mux.Handle("/all", authn.Page("/login", me), authz.AllowAny)
		mux.Handle("/admin", authn.Page("/login", me), authz.IsAdmin)
		mux.Handle("/nologin", authn.Page("", me), authz.IsAuthenticated)
		mux.Handle("/outside", authn.Page("", authz.Require(authz.AllowAny).Handler(me)))
		mux.Handle("/api", me, authz.IsAuthenticated)
		mux.Handle("/open", me, authz.AllowAny)
		for what, c := range map[string]struct {
			method, path string
			headers      []string
			status       int
			location     string
			removes      bool
			body         string
		}{
			"ended":                        {"GET", "/page?a=b%26c", []string{"Cookie: sid=bad"}, 303, "/login?next=%2Fpage%3Fa%3Db%2526c", true, ""},
			"ended, by JSON":               {"GET", "/page", []string{"Cookie: sid=bad", "Accept: application/json"}, 303, "/login?next=%2Fpage", true, ""},
			"ended, anybody may":           {"GET", "/all", []string{"Cookie: sid=bad"}, 200, "", true, "/"},
			"ended, guard inside":          {"GET", "/outside", []string{"Cookie: sid=bad"}, 200, "", true, "/"},
			"ended, no login page":         {"GET", "/nologin", []string{"Cookie: sid=bad"}, 401, "", true, `{"detail":"Authentication credentials were not provided."}`},
			"ended, no page":               {"GET", "/api", []string{"Cookie: sid=bad"}, 401, "", true, `{"detail":"Invalid session."}`},
			"ended, no page, though HTML":  {"GET", "/open", []string{"Cookie: sid=bad", htmlAccept}, 401, "", true, `{"detail":"Invalid session."}`},
			"ended, another ambient":       {"GET", "/all", []string{"Cookie: sid=bad", "X-Remote-User: mallory"}, 200, "", true, "/"},
			"ended, POST":                  {"POST", "/all?x=y", []string{"Cookie: sid=bad"}, 303, "/login?next=%2Fall%3Fx%3Dy", true, ""},
			"ended, POST, no login page":   {"POST", "/outside?x=y", []string{"Cookie: sid=bad"}, 303, "?x=y", true, ""},
			"ended, upgrade":               {"GET", "/all", []string{"Cookie: sid=bad", "Upgrade: websocket"}, 303, "/login?next=%2Fall", true, ""},
			"ended, web socket":            {"GET", "/all", []string{"Cookie: sid=bad", "Sec-WebSocket-Key: x"}, 303, "/login?next=%2Fall", true, ""},
			"ended, DELETE":                {"DELETE", "/all", []string{"Cookie: sid=bad"}, 303, "/login?next=%2Fall", true, ""},
			"ended, of another site":       {"POST", "/all", []string{"Cookie: sid=bad", "Origin: https://evil.example"}, 403, "", false, `{"detail":"Another site."}`},
			"two cookies":                  {"GET", "/all", []string{"Cookie: sid=bad; sid=x"}, 401, "", false, `{"detail":"Two session cookies."}`},
			"refused by the application":   {"GET", "/all", []string{"Cookie: sid=banned"}, 401, "", false, `{"detail":"Banned."}`},
			"a fault":                      {"GET", "/all", []string{"Cookie: sid=broken"}, 503, "", false, ""},
			"Lapsed panics":                {"GET", "/all", []string{"Cookie: sid=panics"}, 503, "", false, ""},
			"a bad Authorization":          {"GET", "/all", []string{"Cookie: sid=bad", "Authorization: Token bad"}, 401, "", false, `{"detail":"Invalid token."}`},
			"a good Authorization":         {"GET", "/all", []string{"Cookie: sid=bad", "Authorization: Token good"}, 200, "", false, "bob/token"},
			"two Authorization":            {"GET", "/all", []string{"Cookie: sid=bad", "Authorization: Token good", "Authorization: Token good"}, 400, "", false, ""},
			"good":                         {"GET", "/page", []string{"Cookie: sid=alice"}, 200, "", false, "alice/session"},
			"good, but not allowed":        {"GET", "/admin", []string{"Cookie: sid=alice"}, 403, "", false, ""},
			"nobody":                       {"GET", "/page", nil, 303, "/login?next=%2Fpage", false, ""},
			"nobody, POST":                 {"POST", "/page", nil, 303, "/login?next=%2Fpage", false, ""},
			"nobody, anybody may":          {"POST", "/all", nil, 200, "", false, "/"},
			"nobody, no page":              {"GET", "/api", []string{htmlAccept}, 401, "", false, `{"detail":"Authentication credentials were not provided."}`},
			"nobody, not an administrator": {"GET", "/admin", nil, 303, "/login?next=%2Fadmin", false, ""},
		} {
			t.Run("edge_B06/"+name+"/"+what, func(t *testing.T) {
				before := reached
				w := ask(mux, c.method, c.path, c.headers...)
				if w.Code != c.status || w.Header().Get("Location") != c.location || c.body != "" && w.Body.String() != c.body {
					t.Errorf("%d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
				}
				if removes := strings.HasPrefix(w.Header().Get("Set-Cookie"), "sid=; ") && strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0"); removes != c.removes {
					t.Errorf("cookies: %q", w.Header()["Set-Cookie"])
				}
				if c.status == 303 && (w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer") {
					t.Errorf("%v", w.Header())
				}
				if (reached > before) != (c.status == 200) {
					t.Errorf("the handler was reached: %v", reached > before)
				}
			})
		}
	}
	t.Run("edge_B06/next is of this host", func(t *testing.T) {
		h := authn.New(authn.Chain{scheme}, &authn.Options{Logger: quiet}).Handler(authz.Require(authz.IsAuthenticated).Handler(authn.Page("/login?hint=x", me)))
		for path, want := range map[string]string{"//evil.example/": "/evil.example/", "///evil": "/evil", "/a b": "/a%20b", "*": "/%2A", `/\evil`: "/%5Cevil"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL = &url.URL{Path: path}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			to, err := url.Parse(w.Header().Get("Location"))
			if err != nil || to.Path != "/login" || to.Query().Get("hint") != "x" || to.Query().Get("next") != want && path != "*" {
				t.Errorf("%q: %s", path, w.Header().Get("Location"))
			}
		}
	})
	t.Run("edge_B06/hidden from the middleware", func(t *testing.T) {
		hidden := http.HandlerFunc(authn.Page("/login", me).ServeHTTP)
		w := ask(authn.New(authn.Chain{scheme}, &authn.Options{Logger: quiet}).Handler(hidden), "GET", "/", "Cookie: sid=bad")
		if w.Code != 401 {
			t.Errorf("%d", w.Code)
		}
	})
}

// preempting answers requests with a query before anybody is authenticated.
type preempting struct{ http.Handler }

func (p preempting) Preempt(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if r.URL.RawQuery == "" {
		return r, false
	}
	w.WriteHeader(204)
	return r, true
}

func TestPreempter(t *testing.T) {
	m := authn.New(authn.Chain{cookies{"sid"}}, &authn.Options{Logger: quiet})
	h := m.Handler(authz.Require(authz.IsAuthenticated).Handler(authn.Page("", preempting{http.HandlerFunc(who)})))
	for path, want := range map[string]int{"/?x": 204, "/": 401} {
		if w := ask(h, "POST", path, "Cookie: sid=bad"); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(h, "POST", "/?x", "Authorization: A b", "Authorization: A b"); w.Code != 400 {
		t.Errorf("two Authorization: %d", w.Code)
	}
	if w := ask(m.Public(preempting{http.HandlerFunc(who)}), "GET", "/?x"); w.Code != 204 {
		t.Errorf("bare: %d", w.Code)
	}
}

// A browser gets pages, and other programs get the same response as before.
func TestWritePage(t *testing.T) {
	bad := &authn.Error{Status: 400, Code: "invalid", Members: []authn.Member{{Name: "<name>", Value: []string{"This <b> is required."}}}}
	odd := authn.PermissionDenied(`<script>alert("x")</script>`)
	for name, c := range map[string]struct {
		err     error
		headers []string
		html    bool
		says    string
	}{
		"a browser":           {odd, []string{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, true, "&lt;script&gt;"},
		"XHTML":               {odd, []string{"Accept: application/xhtml+xml"}, true, "&lt;script&gt;"},
		"in capitals":         {odd, []string{"Accept: application/json, TEXT/HTML;level=1"}, true, "&lt;script&gt;"},
		"a navigation":        {odd, []string{"Sec-Fetch-Mode: navigate"}, true, "&lt;script&gt;"},
		"a second line":       {odd, []string{"Accept: application/json", "Accept: text/html;q=0.1"}, true, "&lt;script&gt;"},
		"refused":             {odd, []string{"Accept: text/html;q=0, application/json"}, false, "detail"},
		"refused differently": {odd, []string{"Accept: text/html ; Q=0.000"}, false, "detail"},
		"anything":            {odd, []string{"Accept: */*"}, false, "detail"},
		"any text":            {odd, []string{"Accept: text/*"}, false, "detail"},
		"another name":        {odd, []string{"Accept: text/htmlx, xtext/html, text/plain;x=text/html"}, false, "detail"},
		"a script":            {odd, []string{"Sec-Fetch-Mode: cors", "Accept: */*"}, false, "detail"},
		"nothing":             {odd, nil, false, "detail"},
		"fields":              {bad, []string{htmlAccept}, true, "&lt;name&gt;: This &lt;b&gt; is required."},
		"a fault":             {authn.Undecided(errors.New("password=hush")), []string{htmlAccept}, true, "Service temporarily unavailable"},
		"without a word":      {&authn.Error{Status: 404}, []string{htmlAccept}, true, "Not Found"},
	} {
		t.Run("edge_B06/"+name, func(t *testing.T) {
			for _, h := range []http.Handler{
				http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.RespondPage(w, r, c.err) }),
				authn.Page("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, c.err) })),
				authn.New(authn.Chain{}, &authn.Options{WriteError: authn.WritePage, Logger: quiet}).Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, c.err) })),
			} {
				w := ask(h, "GET", "/", c.headers...)
				if html := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); html != c.html || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "hush") || html && strings.Contains(w.Body.String(), "<script") {
					t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
				}
				if w.Header().Get("Cache-Control") != "no-store" || c.html && (w.Header().Get("Referrer-Policy") != "no-referrer" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'")) {
					t.Errorf("%v", w.Header())
				}
			}
		})
	}
	t.Run("an application's own", func(t *testing.T) {
		own := func(w http.ResponseWriter, _ *http.Request, e *authn.Error) {
			w.WriteHeader(e.Status)
			_, _ = w.Write([]byte("own"))
		}
		h := authn.New(authn.Chain{}, &authn.Options{WritePage: own, Logger: quiet}).Public(authn.Page("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, odd) })))
		if w := ask(h, "GET", "/", htmlAccept); w.Body.String() != "own" {
			t.Error(w.Body)
		}
		if w := ask(h, "GET", "/"); !strings.Contains(w.Body.String(), "detail") {
			t.Error(w.Body)
		}
	})
}

// FuzzAccept checks that an Accept without an HTML type never gets HTML, and that nothing panics.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{"text/html", "text/html;q=0", "*/*", "a, text/html ;q=1;x", ";;,,", "application/xhtml+xml;q=0.0001", "text/html;q=NaN", "text/html;q"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Accept"] = []string{accept}
		w := httptest.NewRecorder()
		authn.WritePage(w, r, authn.NotFound(""))
		html := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html")
		lower := strings.ToLower(accept)
		if html && !strings.Contains(lower, "text/html") && !strings.Contains(lower, "application/xhtml+xml") {
			t.Errorf("%q got HTML", accept)
		}
		if !html && slices.Contains([]string{"text/html", "text/html, */*"}, accept) {
			t.Errorf("%q got none", accept)
		}
	})
}
