package remoteuser_test

import (
	"fmt"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Accept the user name from a reverse proxy, and create accounts for new names.
func Example() {
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
	scheme, err := remoteuser.New("X-Remote-User", proxies, memory.New(nil), site, &remoteuser.Options{Create: remoteuser.NewUser})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, peer := range []string{"10.0.0.1:4711", "192.0.2.1:4711"} {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Remote-User", "alice")
		r.Header.Set("X-Forwarded-Proto", "https")
		id, err := authn.Chain{scheme}.Authenticate(r)
		fmt.Println(id.Scheme, id.Authenticated(), err == nil)
	}
	// Output:
	// remoteuser true true
	//  false false
}
