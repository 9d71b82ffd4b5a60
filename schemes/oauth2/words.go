package oauth2

import (
	"strings"

	"github.com/vestibule-auth/vestibule/credential"
)

// Grant types, for storage.Client.Grants.
const (
	AuthorizationCode = "authorization_code"
	ClientCredentials = "client_credentials"
	RefreshToken      = "refresh_token"
	// DeviceCode is the grant for devices without a browser (RFC 8628).
	DeviceCode = "urn:ietf:params:oauth:grant-type:device_code"
	// TokenExchange is the grant of package exchange (RFC 8693), for confidential clients.
	TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Grant types that OAuth 2.1 removed (RFC 9700, sections 2.1.2 and 2.4), for storage.Client.Grants.
// They also require an option of the server, InsecurePasswordGrant or InsecureImplicitGrant.
const (
	Password = "password"
	Implicit = "implicit"
)

// Methods of client authentication, for storage.Client.Method.
const (
	// None is for public clients, which cannot keep a secret.
	None = "none"
	// SecretBasic sends the ID and the secret by HTTP Basic, SecretPost sends them in the form.
	SecretBasic = "client_secret_basic"
	SecretPost  = "client_secret_post"
	// PrivateKeyJWT sends a short-lived assertion signed with the client's own key (RFC 7523).
	PrivateKeyJWT = "private_key_jwt"
)

const (
	// AccessPrefix and an underscore are the beginning of each opaque access token.
	AccessPrefix = "vat"
	// SecretPrefix and an underscore are the beginning of each generated client secret.
	SecretPrefix = "vcs"
	// TypeAccess is the "typ" of signed access tokens (RFC 9068).
	TypeAccess = "at+jwt"

	schemeName = "oauth2"
)

// accessFormat is the format of opaque access tokens.
var accessFormat = credential.MustFormat(AccessPrefix)

// SplitScopes returns the scopes in a space-separated list, such as the parameter "scope", in order
// and without duplicates. There may be several spaces between scopes (RFC 6749, section 3.3).
func SplitScopes(text string) []string {
	var list []string
	seen := map[string]bool{}
	for word := range strings.SplitSeq(text, " ") {
		if word != "" && !seen[word] {
			list, seen[word] = append(list, word), true
		}
	}
	return list
}
