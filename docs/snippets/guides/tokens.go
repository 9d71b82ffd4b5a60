package guides

import (
	"context"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/jwt/issuers"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
)

// #region login

// newTokens returns static tokens whose login reads {"email", "password"} and answers with
// {"token", "user_id"}.
func newTokens(db token.Store, ring *keys.Ring) (*token.Scheme, error) {
	return token.New(db, ring, &token.Options{Login: login.Options{
		Username: "email",
		Members: func(_ *http.Request, l authn.Login) ([]authn.Member, error) {
			return []authn.Member{{Name: "user_id", Value: l.Subject}}, nil
		},
	}})
}

// #endregion login

// #region basic

// newBasic accepts a name and a password with each request. Cached saves most password hashes.
func newBasic(passwords *password.Checker) (*basic.Scheme, error) {
	cached, err := password.Cached(passwords, nil)
	if err != nil {
		return nil, err
	}
	return basic.New(cached, nil)
}

// #endregion basic

// #region issue

// backupToken creates a token that never expires and can only read notes.
func backupToken(ctx context.Context, devices *knox.Scheme, userID string) (text string, err error) {
	epoch, err := devices.CurrentEpoch(ctx, userID)
	if err != nil {
		return "", err
	}
	text, _, err = devices.Issue(ctx, userID, epoch, knox.Token{
		Name: "backup", TTL: knox.NoExpiry, Scopes: []string{"notes:read"},
	})
	return text, err
}

// #endregion issue

// #region revoke

// revokeByName revokes the user's tokens that have this name.
func revokeByName(ctx context.Context, devices *knox.Scheme, userID, name string) error {
	list, err := devices.List(ctx, userID)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.Name == name {
			if err := devices.Revoke(ctx, userID, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// #endregion revoke

// #region verifier

// newVerifier accepts access tokens of another issuer, such as Keycloak.
func newVerifier(issuer, audience, jwksURL string) (*jwt.Verifier, error) {
	published, err := jose.NewRemoteKeySet(jwksURL, &jose.RemoteOptions{
		Algorithms: []jose.Algorithm{jose.RS256},
	})
	if err != nil {
		return nil, err
	}
	return jwt.NewVerifier(issuer, audience, published, &jwt.VerifierOptions{
		Name:        "idp",
		ScopeClaims: []string{"scope"}, // Okta and Entra ID: "scp"
	})
}

// #endregion verifier

// #region accounts

// newLinkedVerifier accepts access tokens of the company's provider for accounts of this application.
func newLinkedVerifier(issuer, audience string, published jose.KeySource, accounts *link.Directory) (*jwt.Verifier, error) {
	return jwt.NewVerifier(issuer, audience, published, &jwt.VerifierOptions{
		Accounts: accounts, FirstPartyClients: []string{"notes-app"},
	})
}

// #endregion accounts

// #region preset

// newAuth0 accepts access tokens of Auth0 for this API.
func newAuth0() (*jwt.Verifier, error) {
	p := issuers.Auth0("acme.eu.auth0.com", "https://api.acme.example")
	p.Options.FirstPartyClients = []string{"my-spa"} // your own client, with its users' full rights
	p.Options.IgnoreFirstPartyScopes = true          // its scopes are "openid profile"
	p.Options.Roles = []string{"https://acme.example/roles"}
	p.Options.RoleMap = map[string]string{"editor": "editor"} // drop all other roles
	return p.Verifier(nil)                                    // fetches the keys from Auth0
}

// #endregion preset

// #region tenants

// newEntraTenants accepts access tokens of the tenants of Entra ID that are customers.
func newEntraTenants(customer func(ctx context.Context, tenant string) (bool, error)) (*jwt.Verifier, error) {
	p := issuers.EntraIDTenants("33333333-0000-4000-8000-000000000003") // the API's client ID
	p.Options.Tenants = customer
	return p.Verifier(nil)
}

// #endregion tenants

// #region rules

// newPartner accepts access tokens of an issuer that has no preset.
func newPartner(published jose.KeySource) (*jwt.Verifier, error) {
	return jwt.NewVerifier("https://id.partner.example", "https://api.acme.example", published, &jwt.VerifierOptions{
		Algorithms:   []jose.Algorithm{jose.RS256},
		Types:        []string{"JWT"},
		ClientClaims: []string{"azp"},
		MaxLifetime:  time.Hour,
		Require:      []jwt.Rule{jwt.Is("token_use", "access"), jwt.Lacks("nonce")},
		Machine:      []jwt.Rule{jwt.Is("gty", "client-credentials")},
		Roles:        []string{"/realm/roles"}, // a JSON Pointer
		RoleMap:      map[string]string{"employee": "staff"},
	})
}

// #endregion rules

// #region own

// newServiceVerifier accepts the tokens of another service of ours with the same accounts.
func newServiceVerifier(issuer, audience, jwksURL string) (*jwt.Verifier, error) {
	published, err := jose.NewRemoteKeySet(jwksURL, &jose.RemoteOptions{
		Algorithms: []jose.Algorithm{jose.ES256},
	})
	if err != nil {
		return nil, err
	}
	return jwt.NewVerifier(issuer, audience, published, &jwt.VerifierOptions{
		Name: "app", OwnIssuer: true, Roles: []string{"roles"},
	})
}

// #endregion own

// #region stored

// newSigningKeys returns the issuer's keys, and creates the first key if there is none.
func newSigningKeys(ctx context.Context, db storage.SigningKeys, ring *keys.Ring) (*jwt.StoredKeys, error) {
	signing, err := jwt.NewStoredKeys(db, ring, "https://app.example", &jwt.KeyOptions{
		Algorithm: jose.ES256, // the default, EdDSA, is unknown to some JWT libraries
	})
	if err != nil {
		return nil, err
	}
	return signing, signing.Ensure(ctx)
}

// #endregion stored

// #region master

// masterKey loads the master key from a file, or else from the environment.
func masterKey(path, hexText string) (*keys.Ring, error) {
	if hexText != "" {
		return keys.ParseHex(hexText) // the value of VESTIBULE_KEY
	}
	if err := keys.CheckFile(path); err != nil { // other users can read the file
		return nil, err
	}
	return keys.Load(path)
}

// #endregion master

// #region formtoken

// formToken returns the text for the hidden field csrfmiddlewaretoken or the header X-CSRFToken.
func formToken(r *http.Request) string {
	return session.Token(authn.FromContext(r.Context()))
}

// #endregion formtoken
