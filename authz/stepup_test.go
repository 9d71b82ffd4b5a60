package authz_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authz"
)

var loginNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// loggedIn accepts every request that has its header.
type loggedIn struct {
	header string
	id     authn.Identity
	c      *authn.BearerChallenge
	proves bool
}

func (s loggedIn) Name() string      { return "test" }
func (s loggedIn) Headers() []string { return []string{s.header} }
func (s loggedIn) Authenticate(r *http.Request) (authn.Identity, error) {
	if r.Header.Get(s.header) == "" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	s.id.Scheme = "test"
	return s.id, nil
}
func (s loggedIn) Challenge(_ *http.Request, err error) string {
	if s.c == nil {
		return ""
	}
	return s.c.For(err)
}
func (s loggedIn) Proves(r *http.Request) bool { return s.proves && !authn.FromBrowser(r) }

func asksFor(s loggedIn, method, target string, p authz.Permission, page bool, headers ...string) *httptest.ResponseRecorder {
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if page {
		h = authn.Page("/login", h)
	}
	m := authn.New(authn.Chain{s}, &authn.Options{Clock: func() time.Time { return loginNow }})
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set(s.header, "x")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	m.Handler(authz.Require(authz.IsAuthenticated, p).Handler(h)).ServeHTTP(w, r)
	return w
}

func TestStepUp(t *testing.T) {
	user := func(ago time.Duration) authn.Identity {
		return authn.Identity{Subject: "u", AuthTime: loginNow.Add(-ago), ACR: "urn:x:pw", AMR: []string{"pwd"}}
	}
	const metadata = "https://api.example/.well-known/oauth-protected-resource"
	bearer := &authn.BearerChallenge{StepUp: true, ResourceMetadata: metadata, Invalid: "authentication_failed"}
	tokens := func(id authn.Identity) loggedIn { return loggedIn{"Authorization", id, bearer, false} }
	fresh := authz.Fresh(5 * time.Minute)
	mfa := authz.ACR("urn:x:mfa", "urn:x:hw")
	unknown := user(0)
	unknown.AuthTime = time.Time{}
	for name, c := range map[string]struct {
		id        authn.Identity
		p         authz.Permission
		status    int
		challenge string
		body      string
	}{
		"just now":            {user(0), fresh, 204, "", ""},
		"to the second":       {user(5 * time.Minute), fresh, 204, "", ""},
		"too old":             {user(5*time.Minute + time.Second), fresh, 401, `Bearer error="insufficient_user_authentication", max_age="300", resource_metadata="` + metadata + `"`, `{"detail":"Log in again to do this.","code":"insufficient_user_authentication","max_age":300}`},
		"no time":             {unknown, fresh, 401, `Bearer error="insufficient_user_authentication", max_age="300", resource_metadata="` + metadata + `"`, ""},
		"a clock ahead":       {user(-time.Minute), fresh, 204, "", ""},
		"a clock far ahead":   {user(-time.Minute - time.Second), fresh, 401, `Bearer error="insufficient_user_authentication", max_age="300", resource_metadata="` + metadata + `"`, ""},
		"the class":           {authn.Identity{Subject: "u", ACR: "urn:x:hw"}, mfa, 204, "", ""},
		"another class":       {user(0), mfa, 401, `Bearer error="insufficient_user_authentication", acr_values="urn:x:mfa urn:x:hw", resource_metadata="` + metadata + `"`, `{"detail":"Log in again to do this.","code":"insufficient_user_authentication","acr_values":"urn:x:mfa urn:x:hw"}`},
		"no class":            {authn.Identity{Subject: "u"}, mfa, 401, "", ""},
		"a class by case":     {authn.Identity{Subject: "u", ACR: "URN:x:hw"}, mfa, 401, "", ""},
		"the factors":         {authn.Identity{Subject: "u", AMR: []string{"pwd", "otp"}}, authz.Factors("otp", "pwd"), 204, "", ""},
		"a factor is missing": {user(0), authz.Factors("pwd", "otp"), 401, `Bearer error="insufficient_user_authentication", resource_metadata="` + metadata + `"`, ""},
		"all at once":         {user(time.Hour), authz.And(mfa, authz.Fresh(time.Hour), fresh), 401, `Bearer error="insufficient_user_authentication", acr_values="urn:x:mfa urn:x:hw", max_age="300", resource_metadata="` + metadata + `"`, ""},
		"the last of Or":      {user(time.Hour), authz.Or(fresh, mfa), 401, `Bearer error="insufficient_user_authentication", acr_values="urn:x:mfa urn:x:hw", resource_metadata="` + metadata + `"`, ""},
		"one of Or":           {user(0), authz.Or(mfa, fresh), 204, "", ""},
		"Not":                 {user(time.Hour), authz.Not(fresh), 401, "", ""},
		"Not of fresh":        {user(0), authz.Not(fresh), 403, "", ""},
		"by method":           {user(time.Hour), authz.ByMethod(map[string]authz.Permission{"GET": authz.And(fresh, mfa)}), 401, `Bearer error="insufficient_user_authentication", acr_values="urn:x:mfa urn:x:hw", max_age="300", resource_metadata="` + metadata + `"`, ""},
		"with a scope":        {authn.Identity{Subject: "u", Client: "c", Scopes: []string{"pay"}, AuthTime: loginNow.Add(-time.Hour)}, authz.And(authz.HasScope("pay"), fresh), 401, `Bearer error="insufficient_user_authentication", max_age="300", resource_metadata="` + metadata + `", scope="pay"`, ""},
		"without the scope":   {authn.Identity{Subject: "u", Client: "c", Scopes: []string{}, AuthTime: loginNow.Add(-time.Hour)}, authz.And(authz.HasScope("pay"), fresh), 403, `Bearer error="insufficient_scope", scope="pay", resource_metadata="` + metadata + `"`, ""},
		"a client":            {authn.Identity{Client: "c", Scopes: []string{}, AuthTime: loginNow}, fresh, 403, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := asksFor(tokens(c.id), "GET", "/x", c.p, false)
			got := strings.Join(w.Header()["Www-Authenticate"], " | ")
			if w.Code != c.status || c.challenge != "" && got != c.challenge || (c.status == 204 || c.id.Subject == "") && got != "" {
				t.Errorf("%d %q %s", w.Code, got, w.Body)
			}
			if c.body != "" && w.Body.String() != c.body {
				t.Errorf("%s", w.Body)
			}
		})
	}
}

// Only schemes whose users can log in again answer with a challenge, and only a page redirects.
func TestStepUpOfOtherSchemes(t *testing.T) {
	old := authn.Identity{Subject: "u", AuthTime: loginNow.Add(-time.Hour)}
	fresh := authz.Fresh(time.Minute)
	device := loggedIn{"Authorization", old, &authn.BearerChallenge{Keyword: "Knox", Invalid: "authentication_failed"}, false}
	if w := asksFor(device, "GET", "/x", fresh, false); w.Code != 403 || len(w.Header()["Www-Authenticate"]) > 0 || !strings.Contains(w.Body.String(), `"max_age":60`) {
		t.Errorf("a device token: %d %v %s", w.Code, w.Header(), w.Body)
	}
	session := loggedIn{"Cookie", old, nil, false}
	if w := asksFor(session, "GET", "/x", fresh, false); w.Code != 403 || !strings.Contains(w.Body.String(), `"code":"insufficient_user_authentication"`) {
		t.Errorf("a session: %d %s", w.Code, w.Body)
	}
	both := authz.And(fresh, authz.ACR("a b c"[:1], "c"))
	if w := asksFor(session, "GET", "/pay?to=7", both, true); w.Code != 303 || w.Header().Get("Location") != "/login?next=%2Fpay%3Fto%3D7&acr_values=a+c&max_age=60" {
		t.Errorf("a page: %d %q", w.Code, w.Header().Get("Location"))
	}
	if w := asksFor(session, "POST", "/pay", fresh, true); w.Code != 403 {
		t.Errorf("a form: %d %q", w.Code, w.Header().Get("Location"))
	}
	if w := asksFor(session, "GET", "/login", fresh, true); w.Code != 403 {
		t.Errorf("the login page itself: %d %q", w.Code, w.Header().Get("Location"))
	}
	password := loggedIn{"Authorization", authn.Identity{Subject: "u"}, nil, true}
	if w := asksFor(password, "GET", "/x", fresh, false); w.Code != 204 {
		t.Errorf("a password with each request: %d", w.Code)
	}
	if w := asksFor(password, "GET", "/x", fresh, false, "Sec-Fetch-Mode", "cors"); w.Code != 403 {
		t.Errorf("a password that a browser has stored: %d", w.Code)
	}
	r := authntest.As(httptest.NewRequest("GET", "/", nil), authn.Identity{Subject: "u", AuthTime: time.Now()})
	if err := authz.Require(fresh).CheckObject(r, struct{}{}); err != nil {
		t.Errorf("without a middleware: %v", err)
	}
}

func TestStepUpPanics(t *testing.T) {
	for i, f := range []func(){
		func() { authz.Fresh(0) }, func() { authz.Fresh(-time.Hour) }, func() { authz.Fresh(5) }, func() { authz.ACR() }, func() { authz.ACR("") },
		func() { authz.ACR("a b") }, func() { authz.ACR("a\"") }, func() { authz.Factors() }, func() { authz.Factors("otp", "é") },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			f()
		})
	}
}
