package totp_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/totp"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// knows accepts the password "right" for alice.
type knows struct{ w *world }

func (k knows) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	u, err := k.w.db.UserByID(r.Context(), k.w.user.ID)
	if err != nil || name != "alice" || password != "right" {
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: u.ID, Name: u.Name, Epoch: u.Epoch, AMR: []string{"pwd"}, Cookies: []*http.Cookie{{Name: "device", Value: "d"}}}, nil
}

// site is a server with a login of two steps.
type site struct {
	*world
	mux    *authz.Mux
	cookie string
}

func newSite(t *testing.T) *site {
	t.Helper()
	db := memory.New(nil)
	w := newWorld(t, db)
	from, err := csrf.New("https://app.example", nil)
	must(t, err)
	browsers, err := session.New(db, from, &session.Options{Clock: func() time.Time { return w.now }, Remember: &session.RememberOptions{}})
	must(t, err)
	page := w.x.NewPage("/login/code", from, func(w http.ResponseWriter, r *http.Request, l authn.Login, remember bool) error {
		if remember {
			return browsers.StartRemembered(w, r, l)
		}
		return browsers.Start(w, r, l)
	}, &totp.PageOptions{SafeNext: session.SafeNext})
	s := &site{world: w, mux: authz.NewMux(authn.New(authn.Chain{browsers}, &authn.Options{Clock: func() time.Time { return w.now }}))}
	s.mux.Public("/login", browsers.LoginForm(knows{w}, &session.FormOptions{SecondFactor: page.SecondFactor}))
	s.mux.Public("/confirm", browsers.ConfirmForm(knows{w}, &session.ConfirmOptions{SecondFactor: page.SecondFactor}))
	s.mux.Public("/login/code", page)
	s.mux.HandleFunc("GET /methods", func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		_, _ = w.Write([]byte(strings.Join(id.AMR, " ") + " at " + id.AuthTime.Format(time.TimeOnly) + " " + id.ACR))
	}, authz.IsAuthenticated)
	s.mux.HandleFunc("GET /vault", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("gold")) }, authz.Factors("otp"))
	return s
}

func (s *site) do(method, path string, pairs ...string) *httptest.ResponseRecorder {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(method, "https://app.example"+path, strings.NewReader(v.Encode()))
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "https://app.example")
	if s.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: s.cookie})
	}
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		if c.Name == "__Host-session" && c.Value != "" {
			s.cookie = c.Value
		}
	}
	return rec
}

var hidden = regexp.MustCompile(`name="handle" value="([^"]+)"`)

func handleIn(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	m := hidden.FindStringSubmatch(rec.Body.String())
	if m == nil {
		t.Fatalf("no page for a code: %d %s", rec.Code, rec.Body)
	}
	return html.UnescapeString(m[1])
}

func TestLoginInTwoSteps(t *testing.T) {
	s := newSite(t)
	if rec := s.do("POST", "/login", "username", "alice", "password", "right", "next", "/methods"); rec.Code != 303 || s.cookie == "" {
		t.Fatalf("without a second factor: %d %s", rec.Code, rec.Body)
	}
	if got := s.do("GET", "/methods").Body.String(); got != "pwd at 12:00:10 " {
		t.Error(got)
	}
	if got := s.do("GET", "/vault"); got.Code != 403 {
		t.Errorf("one factor opens the vault: %d", got.Code)
	}
	key, _ := s.enroll()
	s.cookie = ""

	if rec := s.do("POST", "/login", "username", "alice", "password", "wrong"); rec.Code != 401 || strings.Contains(rec.Body.String(), "handle") {
		t.Errorf("a wrong password: %d", rec.Code)
	}
	rec := s.do("POST", "/login", "username", "alice", "password", "right", "next", "/vault?a=1", "remember", "on")
	handle := handleIn(t, rec)
	for _, c := range rec.Result().Cookies() {
		if c.Name != "device" {
			t.Errorf("the password alone sets the cookie %s", c.Name)
		}
	}
	if len(rec.Result().Cookies()) != 1 || rec.Header().Get("Cache-Control") != "no-store" || rec.Code != 200 {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	s.cookie = handle // the handle is no session
	if got := s.do("GET", "/methods").Code; got != 401 {
		t.Errorf("the handle authenticates: %d", got)
	}
	s.cookie = ""
	if rec := s.do("POST", "/login/code", "handle", handle, "code", wrong(codeAt(t, key, s.now)), "next", "/vault?a=1"); rec.Code != 400 || s.cookie != "" || handleIn(t, rec) != handle {
		t.Errorf("a wrong code: %d", rec.Code)
	}
	rec = s.do("POST", "/login/code", "handle", handle, "code", codeAt(t, key, s.now), "next", "/vault?a=1", "remember", "on")
	if rec.Code != 303 || rec.Header().Get("Location") != "/vault?a=1" || !strings.Contains(strings.Join(rec.Header().Values("Set-Cookie"), " "), "remember") {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if got := s.do("GET", "/methods").Body.String(); got != "pwd otp at 12:00:40 urn:example:mfa" {
		t.Error(got)
	}
	if got := s.do("GET", "/vault").Body.String(); got != "gold" {
		t.Error(got)
	}
	if rec := s.do("POST", "/login/code", "handle", handle, "code", codeAt(t, key, s.now)); rec.Code != 401 {
		t.Errorf("the form again: %d", rec.Code)
	}
	if rec := s.do("GET", "/login/code"); rec.Code != 303 || rec.Header().Get("Location") != "/login" {
		t.Errorf("GET: %d %s", rec.Code, rec.Header().Get("Location"))
	}
	if rec := s.do("POST", "/login/code", "handle", s.begin(), "code", codeAt(t, key, s.now.Add(30*time.Second)), "next", "//evil.example"); rec.Header().Get("Location") != "/" {
		t.Errorf("leads to %s", rec.Header().Get("Location"))
	}
}

func TestConfirmAsksForBoth(t *testing.T) {
	s := newSite(t)
	key, _ := s.enroll()
	s.do("POST", "/login/code", "handle", s.begin(), "code", codeAt(t, key, s.now))
	before := s.cookie
	s.now = s.now.Add(time.Hour)
	handle := handleIn(t, s.do("POST", "/confirm", "username", "x", "password", "right", "next", "/vault"))
	if got := s.do("GET", "/methods").Body.String(); got != "pwd otp at 12:00:40 urn:example:mfa" || s.cookie != before {
		t.Errorf("the password alone renews the login: %s", got)
	}
	if rec := s.do("POST", "/login/code", "handle", handle, "code", codeAt(t, key, s.now), "next", "/vault"); rec.Code != 303 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if got := s.do("GET", "/methods").Body.String(); got != "pwd otp at 13:00:40 urn:example:mfa" || s.cookie == before {
		t.Error(got)
	}
}

func TestCodeFormFromAnotherSite(t *testing.T) {
	s := newSite(t)
	key, _ := s.enroll()
	v := url.Values{"handle": {s.begin()}, "code": {codeAt(t, key, s.now)}}
	r := httptest.NewRequest("POST", "https://app.example/login/code", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, r)
	if rec.Code != 403 || rec.Header().Get("Set-Cookie") != "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

var _ storage.Factors = (*memory.Store)(nil)
