package oauth2

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// secretPrefix is that of generated client secrets (RULES C9).
const secretPrefix = "vcs"

// NewSecret draws a client secret of 256 bits and returns it with what storage.Client.Secret
// keeps of it. It is shown once, to whoever registers the client.
func NewSecret() (text string, digest storage.Digest, err error) {
	var body [tokentext.Size]byte
	if _, err := rand.Read(body[:]); err != nil {
		return "", digest, err
	}
	text = tokentext.Encode(secretPrefix, body)
	return text, storage.DigestOf(text), nil
}

// CheckClient returns an error, with all that is wrong, unless a client may be registered so.
// Whoever registers clients calls it; the server itself believes the store.
func CheckClient(c storage.Client) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("oauth2: client %q: "+format, append([]any{c.ID}, args...)...))
	}
	if err := c.Check(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains([]string{None, SecretBasic, SecretPost, PrivateKeyJWT}, c.Method) {
		bad("the authentication method %q is not known", c.Method)
	}
	for _, uri := range slices.Concat(c.RedirectURIs, c.LogoutURIs) {
		if err := CheckRedirect(uri, c.Native); err != nil {
			errs = append(errs, err)
		}
	}
	for _, g := range c.Grants {
		switch {
		case !slices.Contains([]string{AuthorizationCode, ClientCredentials, RefreshToken, DeviceCode, Password, Implicit}, g):
			bad("the grant type %q is not known", g)
		case g == ClientCredentials && c.Public():
			bad("a public client can not act for itself")
		}
	}
	code := slices.Contains(c.Grants, AuthorizationCode)
	switch {
	case len(c.Grants) == 0 && len(c.Serves) == 0: // a resource server may only introspect
		bad("it may use no grant")
	case (code || slices.Contains(c.Grants, Implicit)) && len(c.RedirectURIs) == 0:
		bad("it has no redirect URI")
	case slices.Contains(c.Grants, RefreshToken) && !code && !slices.Contains(c.Grants, DeviceCode) && !slices.Contains(c.Grants, Password):
		bad("nothing gives it a refresh token")
	}
	for _, name := range slices.Concat(c.Scopes, c.Default) {
		if !isScope(name) {
			bad("scope %q: want printable ASCII without blanks, quotes and backslashes", name)
		}
	}
	for _, name := range c.Default {
		if !slices.Contains(c.Scopes, name) {
			bad("the default scope %q is not among its scopes", name)
		}
	}
	if c.Public() && len(c.Serves) > 0 {
		bad("a public client can serve no resource: whoever introspects proves who it is")
	}
	if c.Public() && (!c.Secret.IsZero() || c.Password != "") {
		bad("a public client with a secret")
	}
	switch {
	case c.Method != PrivateKeyJWT && len(c.Keys) > 0:
		bad("keys are for " + PrivateKeyJWT)
	case c.Method == PrivateKeyJWT && len(c.Keys) == 0:
		bad(PrivateKeyJWT + " needs its public keys, a JWK Set")
	case c.Method == PrivateKeyJWT && (!c.Secret.IsZero() || c.Password != ""):
		bad("a client with keys and a secret")
	case c.Method == PrivateKeyJWT:
		if err := checkKeys(c); err != nil {
			bad("%w", err)
		}
	}
	return errors.Join(errs...)
}
