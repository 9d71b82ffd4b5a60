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
	// DeviceCode is for devices without a browser (RFC 8628).
	DeviceCode = "urn:ietf:params:oauth:grant-type:device_code"
)

// Grant types that OAuth 2.1 removed (RFC 9700, sections 2.1.2 and 2.4), for
// storage.Client.Grants. Each also needs an option of the server: InsecurePasswordGrant and
// InsecureImplicitGrant.
const (
	Password = "password"
	Implicit = "implicit"
)

// Methods of client authentication, for storage.Client.Method.
const (
	// None is for public clients, which cannot keep a secret.
	None = "none"
	// SecretBasic sends ID and secret by HTTP Basic, SecretPost in the form.
	SecretBasic = "client_secret_basic"
	SecretPost  = "client_secret_post"
	// PrivateKeyJWT signs a short-lived assertion with the client's own key (RFC 7523).
	PrivateKeyJWT = "private_key_jwt"
)

const (
	// AccessPrefix begins the text of each opaque access token, followed by an underscore.
	AccessPrefix = "vat"
	// SecretPrefix begins the text of each generated client secret, followed by an underscore.
	SecretPrefix = "vcs"
	// TypeAccess is the "typ" of signed access tokens (RFC 9068).
	TypeAccess = "at+jwt"

	schemeName = "oauth2"
)

// accessFormat is the format of opaque access tokens.
var accessFormat = credential.MustFormat(AccessPrefix)

// SplitScopes returns the set of scopes in a list such as the parameter "scope": in their
// order, each once, however many spaces are between them (RFC 6749, section 3.3).
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
