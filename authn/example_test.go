package authn_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Authenticate requests with a scheme of your own. Requests without credentials are anonymous; to
// require authentication, use package authz.
func Example() {
	keys := authn.Func(func(r *http.Request) (authn.Identity, error) {
		key, err := authn.Credentials(r, "Key", "key")
		if err != nil {
			return authn.Identity{}, err
		}
		if key != "open-sesame" {
			return authn.Identity{}, authn.AuthenticationFailed("Invalid key.")
		}
		return authn.Identity{Subject: "1", Scheme: "key"}, nil
	})
	auth := authn.New(authn.Chain{keys}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
	hello := auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		fmt.Printf("subject %q, authenticated %v\n", id.Subject, id.Authenticated())
	}))

	for _, header := range []string{"", "Key open-sesame", "Key wrong"} {
		r := httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		w := httptest.NewRecorder()
		hello.ServeHTTP(w, r)
		fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body.String())))
	}
	// The status of the last response is 403, because the scheme has no challenge.

	// Output:
	// subject "", authenticated false
	// 200
	// subject "1", authenticated true
	// 200
	// 403 {"detail":"Invalid key."}
}

// Read the client address behind a reverse proxy.
func ExampleNewTrustedProxies() {
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:40000"
	r.Header.Set("X-Forwarded-For", "198.51.100.7, 203.0.113.9") // the client wrote the first address
	fmt.Println(proxies.ClientAddr(r))
	// Output: 203.0.113.9
}
