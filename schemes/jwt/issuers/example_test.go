package issuers_test

import (
	"fmt"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/jwt/issuers"
)

// Accept the access tokens of Keycloak. Tokens of your own client have their user's full rights, and
// two of the realm's roles count.
func Example() {
	p := issuers.Keycloak("https://sso.acme.example", "acme", "orders-api")
	p.Options.FirstPartyClients = []string{"shop-web"}
	p.Options.IgnoreFirstPartyScopes = true // "openid profile" says nothing about rights
	p.Options.Roles = issuers.KeycloakRoles("orders-api")
	p.Options.RoleMap = map[string]string{"staff": "staff", "clerk": "clerk"}
	verifier, err := p.Verifier(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(authn.Check(authn.Chain{verifier}), p.KeysURL)
	// Output: <nil> https://sso.acme.example/realms/acme/protocol/openid-connect/certs
}
