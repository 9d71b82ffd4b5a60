package session_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A front end that was written for Django reads csrftoken and sends it back.
func TestTokenCookie(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, &session.Options{TokenCookie: "csrftoken", Interval: time.Minute})
	token := func(from http.Header) *http.Cookie {
		t.Helper()
		var found *http.Cookie
		for _, c := range (&http.Response{Header: from}).Cookies() {
			if c.Name == "csrftoken" {
				found = c
			}
		}
		if found == nil || found.HttpOnly || !found.Secure || found.Path != "/" || found.SameSite != http.SameSiteLaxMode || found.Domain != "" {
			t.Fatalf("%+v", found)
		}
		return found
	}
	login := a.do("POST", "/login", `{"username":"alice","password":"right"}`)
	mine, first := cookie(login), token(login.Header())
	form := func(with string) int {
		return a.do("POST", "/", "text=1", "Content-Type", "application/x-www-form-urlencoded", "Origin", "", "Sec-Fetch-Site", "",
			"X-CSRFToken", with, "Cookie", mine+"; csrftoken="+with).Code
	}
	if got := form(first.Value); got != 200 {
		t.Errorf("with the token: %d", got)
	}
	planted := strings.Repeat("a", 32)
	if got := form(planted); got != 403 {
		t.Errorf("a planted cookie and the same header: %d", got)
	}
	a.c.Set(time.Hour)
	if moved := token(a.do("GET", "/", "", "Cookie", mine).Header()); moved.Value != first.Value || moved.MaxAge <= 0 {
		t.Errorf("%+v", moved)
	}
	again := token(a.do("POST", "/login", `{"username":"alice","password":"right"}`, "Cookie", mine).Header())
	if again.Value == first.Value {
		t.Error("a login does not rotate the token")
	}
	if gone := token(a.do("GET", "/", "", "Cookie", "__Host-session=junk").Header()); gone.MaxAge != -1 {
		t.Errorf("%+v", gone)
	}
	if gone := token(a.do("POST", "/logout", "", "Cookie", mine).Header()); gone.MaxAge != -1 || gone.Value != "" {
		t.Errorf("%+v", gone)
	}
}
