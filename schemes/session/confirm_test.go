package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// confirms is a server with a page that asks for the password again. Attempts above three are
// throttled.
type confirms struct {
	*testing.T
	clock  schemetest.Clock
	mux    *http.ServeMux
	cookie string
	names  []string
	rec    *httptest.ResponseRecorder
}

func (c *confirms) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	c.names = append(c.names, name)
	switch {
	case len(c.names) > 4:
		return authn.Login{}, authn.Throttled(time.Minute)
	case password != "right":
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: "id-" + name, Name: name, ACR: "2", AMR: []string{"pwd"}}, nil
}

func newConfirms(t *testing.T) *confirms {
	t.Helper()
	c := &confirms{T: t, mux: http.NewServeMux()}
	db := memory.New(nil)
	schemetest.Add(t, db, "alice")
	from, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	browsers, err := session.New(db, from, &session.Options{Clock: c.clock.Now})
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{browsers}, nil)
	c.mux.Handle("/login", m.Public(browsers.LoginForm(c, nil)))
	c.mux.Handle("/confirm", m.Public(browsers.ConfirmForm(c, &session.ConfirmOptions{Login: "/login"})))
	c.mux.Handle("/", m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		_, _ = w.Write([]byte(id.Subject + " " + id.ACR + " " + strings.Join(id.AMR, ",") + " " + id.AuthTime.Sub(born).String()))
	})))
	return c
}

func (c *confirms) do(method, path string, pairs ...string) int {
	c.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(method, site+path, strings.NewReader(v.Encode()))
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Origin", site)
	if strings.HasPrefix(v.Get("next"), "cross") {
		r.Header.Set("Origin", "https://evil.example")
	}
	if c.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: c.cookie})
	}
	c.rec = httptest.NewRecorder()
	c.mux.ServeHTTP(c.rec, r)
	for _, k := range c.rec.Result().Cookies() {
		if k.Name == "__Host-session" {
			c.cookie = k.Value
		}
	}
	return c.rec.Code
}

func (c *confirms) says(want string) {
	c.Helper()
	if c.do("GET", "/"); c.rec.Body.String() != want {
		c.Errorf("got %q, want %q", c.rec.Body, want)
	}
}

func TestConfirmForm(t *testing.T) {
	c := newConfirms(t)
	if c.do("GET", "/confirm?next=/pay") != 303 || c.rec.Header().Get("Location") != "/login?next=%2Fpay" {
		t.Errorf("anonymous: %d to %s", c.rec.Code, c.rec.Header().Get("Location"))
	}
	if c.do("POST", "/confirm", "username", "alice", "password", "right") != 401 || len(c.names) > 0 {
		t.Errorf("anonymous POST: %d", c.rec.Code)
	}
	c.do("POST", "/login", "username", "alice", "password", "right")
	c.says("id-alice 2 pwd 0s")
	c.clock.Pass(time.Hour)
	if c.do("GET", "/confirm?next=/pay") != 200 || !strings.Contains(c.rec.Body.String(), `value="/pay"`) || !strings.Contains(c.rec.Body.String(), "<strong>alice</strong>") {
		t.Errorf("%d %s", c.rec.Code, c.rec.Body)
	}
	before := c.cookie
	if c.do("POST", "/confirm", "username", "alice", "password", "right", "next", "cross") != 403 {
		t.Errorf("another site: %d", c.rec.Code)
	}
	if c.do("POST", "/confirm", "username", "alice", "password", "wrong", "next", "/pay") != 403 || !strings.Contains(c.rec.Body.String(), "Enter your current password.") {
		t.Errorf("a wrong password: %d %s", c.rec.Code, c.rec.Body)
	}
	c.says("id-alice 2 pwd 0s")
	if c.cookie != before {
		t.Error("a failed attempt changes the cookie")
	}
	// The account is that of the session, whatever the form says.
	if c.do("POST", "/confirm", "username", "mallory", "password", "right", "next", "/pay?a=b") != 303 || c.rec.Header().Get("Location") != "/pay?a=b" {
		t.Errorf("%d to %s", c.rec.Code, c.rec.Header().Get("Location"))
	}
	if strings.Join(c.names, " ") != "alice alice alice" {
		t.Error(c.names)
	}
	c.says("id-alice 2 pwd 1h0m0s")
	if c.cookie == before {
		t.Error("the cookie is the old one")
	}
	renewed := c.cookie
	c.cookie = before
	if c.do("GET", "/"); c.rec.Code != 401 {
		t.Errorf("the old cookie: %d", c.rec.Code)
	}
	c.cookie = renewed
	if c.do("POST", "/confirm", "username", "alice", "password", "right", "next", "//evil.example"); c.rec.Header().Get("Location") != "/" {
		t.Errorf("leads to %s", c.rec.Header().Get("Location"))
	}
	if c.do("POST", "/confirm", "username", "alice", "password", "right") != 429 || c.rec.Header().Get("Retry-After") != "60" {
		t.Errorf("above the limit: %d", c.rec.Code)
	}
}
