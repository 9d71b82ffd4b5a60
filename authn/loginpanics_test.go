package authn_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// panickingLogin is a password checker of an application.
type panickingLogin struct{}

func (panickingLogin) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	panic("hush")
}

// A password checker that panics causes a 500 of every login endpoint, which reveals nothing.
func TestLoginPanics(t *testing.T) {
	db := memory.New(nil)
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
	browsers, err := session.New(db, site, nil)
	must(t, err)
	for name, h := range map[string]http.Handler{
		"token": static.Login(panickingLogin{}), "knox": devices.Login(panickingLogin{}), "jwt": pairs.Login(panickingLogin{}),
		"session": browsers.Login(panickingLogin{}), "form": browsers.LoginForm(panickingLogin{}, nil),
	} {
		t.Run("attack_245_"+name, func(t *testing.T) {
			var log bytes.Buffer
			r := httptest.NewRequest("POST", "https://app.example/login", strings.NewReader("username=alice&password=x"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", "https://app.example")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			w := httptest.NewRecorder()
			authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}).Public(h).ServeHTTP(w, r)
			if w.Code != 500 || len(w.Result().Cookies()) > 0 || strings.Contains(w.Body.String()+log.String(), "hush") || !strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("%d %v %s %s", w.Code, w.Header(), w.Body, &log)
			}
		})
	}
}
