package login_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
)

// onePassword accepts one password. Use package authn/password for a user store.
type onePassword string

func (p onePassword) CheckPassword(_ *http.Request, name, password string) (authn.Login, error) {
	if password != string(p) {
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: "1", Name: name}, nil
}

// Create the login endpoint of a scheme of your own.
func Example() {
	issue := func(_ http.ResponseWriter, _ *http.Request, l authn.Login, _ []string) ([]authn.Member, error) {
		return []authn.Member{{Name: "token", Value: "token-of-" + l.Subject}}, nil
	}
	h, err := login.New(onePassword("wonderland-42"), issue, &login.Config{Scheme: "apikey"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, body := range []string{`{"username":"alice","password":"wonderland-42"}`, `{"username":"alice"}`} {
		r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 {"token":"token-of-1"}
	// 400 {"password":["This field is required."]}
}
