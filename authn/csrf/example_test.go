package csrf_test

import (
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
)

// A site accepts unsafe requests of its own pages only.
func Example() {
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8")
	if err != nil {
		fmt.Println(err)
		return
	}
	site, err := csrf.New("https://app.example", &csrf.Options{Proxies: proxies})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, origin := range []string{"https://app.example", "https://evil.example"} {
		r := httptest.NewRequest("POST", "https://app.example/notes", nil)
		r.RemoteAddr = "10.0.0.1:4711"
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("Origin", origin)
		fmt.Println(site.Check(r) == nil)
	}
	// Output:
	// true
	// false
}

// Use Loopback for development on one machine.
func ExampleLoopback() {
	site := csrf.Loopback()
	fmt.Println(site.IsHost("localhost:8080"), site.IsHost("app.example"))
	// Output: true false
}

// A page of an old browser sends the token of its form.
func ExampleMask() {
	secret := csrf.SecretOf("the session's cookie")
	token := csrf.Mask(secret) // differs for each page
	fmt.Println(len(token), csrf.Match(secret, token))
	fmt.Println(csrf.Match(secret, ""))
	// Output:
	// 64 <nil>
	// CSRF token missing
}
