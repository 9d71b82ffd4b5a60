package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
)

// Authenticate requests for nginx (auth_request).
func ExampleNewForwardAuth() {
	proxies, err := authn.NewTrustedProxies("10.0.0.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	site, err := csrf.New("https://app.example", &csrf.Options{Proxies: proxies})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := authn.New(authn.Chain{bearer{}}, nil) // your schemes
	forward, err := proxy.NewForwardAuth(proxy.Nginx, proxies, site, auth, authz.Require(authz.IsAuthenticated), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := authz.NewMux(auth)
	mux.Public("/forward-auth", forward)

	// The sub-request that nginx sends.
	r := httptest.NewRequest("GET", "http://auth.internal/forward-auth", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header = http.Header{
		"X-Original-Method": {"POST"}, "X-Original-Uri": {"/notes"}, "X-Original-Host": {"app.example"},
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"},
		"Authorization": {"Bearer alice"},
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("X-Auth-User"))
	// Output: 204 1
}
