package guides

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	otp "github.com/pquerna/otp/totp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/totp"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestSecondFactor(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	db := memory.New(nil)
	passwords := must(password.New(db, must(password.NewHasher(nil)), &password.Options{InsecureNoLimiter: true}))
	must(passwords.Register(t.Context(), password.NewUser{Name: "alice", Password: "correct-horse-42"}))
	site := must(csrf.New("https://app.example", nil))
	browsers := must(session.New(db, site, &session.Options{Clock: clock}))
	devices := must(knox.New(db, &knox.Options{Clock: clock}))
	factors := must(totp.New(db, must(keys.NewRing(keys.Generate())), "Example", &totp.Options{Clock: clock}))
	mux := authz.NewMux(authn.New(authn.Chain{browsers, devices}, &authn.Options{Clock: clock}))
	mountTwoSteps(mux, browsers, devices, passwords, factors, site)
	mountFactors(mux, browsers, factors)
	mountVault(mux, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	var cookie *http.Cookie
	ask := func(method, path string, pairs ...string) *httptest.ResponseRecorder {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		r := httptest.NewRequest(method, "https://app.example"+path, strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			if c.Name == "__Host-session" {
				cookie = c
			}
		}
		return w
	}
	password := []string{"username", "alice", "password", "correct-horse-42"}
	ask("POST", "/login", password...)
	if w := ask("GET", "/vault"); w.Code != 303 && w.Code != 403 {
		t.Errorf("one factor: %d", w.Code)
	}
	var enrolled struct{ Key string }
	if w := ask("POST", "/factor"); json.Unmarshal(w.Body.Bytes(), &enrolled) != nil || enrolled.Key == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var confirmed struct {
		Codes []string `json:"recovery_codes"`
	}
	w := ask("POST", "/factor/confirm", "code", must(otp.GenerateCode(enrolled.Key, now)))
	if json.Unmarshal(w.Body.Bytes(), &confirmed) != nil || len(confirmed.Codes) != 10 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	cookie, now = nil, now.Add(time.Minute)
	w = ask("POST", "/login", append(password, "next", "/vault")...)
	m := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(w.Body.String())
	if m == nil || cookie != nil {
		t.Fatalf("no second step: %d %s", w.Code, w.Body)
	}
	w = ask("POST", "/login/code", "handle", m[1], "code", must(otp.GenerateCode(enrolled.Key, now)), "next", "/vault")
	if w.Code != 303 || w.Header().Get("Location") != "/vault" || ask("GET", "/vault").Code != 204 {
		t.Errorf("with both factors: %d %s", w.Code, w.Body)
	}
	if w := ask("POST", "/token", password...); w.Code != 401 || !strings.Contains(w.Body.String(), "requires a second factor") {
		t.Errorf("a device token for the password: %d %s", w.Code, w.Body)
	}
	if w := ask("DELETE", "/factor"); w.Code != 200 {
		t.Errorf("disable: %d %s", w.Code, w.Body)
	}
	if w := ask("POST", "/token", password...); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}
