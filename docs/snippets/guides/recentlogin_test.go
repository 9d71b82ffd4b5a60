package guides

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestRecentLogin(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	db := memory.New(nil)
	passwords := must(password.New(db, must(password.NewHasher(nil)), &password.Options{InsecureNoLimiter: true}))
	must(passwords.Register(t.Context(), password.NewUser{Name: "alice", Password: "correct-horse-42"}))
	site := must(csrf.New("https://app.example", nil))
	browsers := must(session.New(db, site, &session.Options{Clock: clock}))
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, &authn.Options{Clock: clock}))
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	mountTransfers(mux, browsers, passwords, ok, ok)
	mountConfirm(mux, browsers, passwords)
	var cookie *http.Cookie
	ask := func(method, path, form string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://app.example"+path, strings.NewReader(form))
		if form != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			cookie = c
		}
		return w
	}
	logIn := func() string {
		form := url.Values{"username": {"alice"}, "password": {"correct-horse-42"}, "next": {"/transfers/new"}}
		w := ask("POST", "/login", form.Encode())
		if w.Code != http.StatusSeeOther {
			t.Fatalf("login: %d %s", w.Code, w.Body)
		}
		return w.Header().Get("Location")
	}
	if to := logIn(); to != "/transfers/new" || ask("GET", to, "").Code != 204 || ask("POST", "/transfers", "").Code != 204 {
		t.Errorf("after the login: %q", to)
	}
	now = now.Add(5*time.Minute + time.Second)
	w := ask("GET", "/transfers/new", "")
	to := w.Header().Get("Location")
	if w.Code != 303 || to != "/login?next=%2Ftransfers%2Fnew&max_age=300" {
		t.Errorf("five minutes later: %d %q", w.Code, to)
	}
	if w := ask("POST", "/transfers", ""); w.Code != 403 || strings.TrimSpace(w.Body.String()) != `{"detail":"Log in again to do this.","code":"insufficient_user_authentication","max_age":300}` {
		t.Errorf("five minutes later: %d %s", w.Code, w.Body)
	}
	if w := ask("GET", to, ""); w.Code != 200 || !strings.Contains(w.Body.String(), "/transfers/new") {
		t.Errorf("the form: %d %s", w.Code, w.Body)
	}
	if to := logIn(); ask("GET", to, "").Code != 204 {
		t.Error("after the second login")
	}
	now = now.Add(5*time.Minute + time.Second)
	confirm := url.Values{"username": {"alice"}, "password": {"correct-horse-42"}, "next": {"/transfers/new"}}
	if w := ask("POST", "/confirm", confirm.Encode()); w.Code != 303 || ask("GET", w.Header().Get("Location"), "").Code != 204 {
		t.Errorf("after the password was confirmed: %d %s", w.Code, w.Body)
	}
}
