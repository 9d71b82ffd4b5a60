package oauth2

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/publicfetch"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// NewSecret returns a new client secret of 256 bits, and its digest for storage.Client.Secret. Show
// the secret once, to the person who registers the client; it cannot be retrieved again.
func NewSecret() (text string, digest storage.Digest, err error) {
	var body [credential.Size]byte
	if _, err := rand.Read(body[:]); err != nil {
		return "", digest, err
	}
	text = credential.MustFormat(SecretPrefix).Encode(body)
	return text, storage.DigestOf(text), nil
}

// CheckClient returns an error with everything that is wrong with a client's record, or nil. Call
// it before you store a client, because the server does not check stored clients.
func CheckClient(c storage.Client) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("oauth2: client %q: "+format, append([]any{c.ID}, args...)...))
	}
	if err := c.Check(); err != nil {
		errs = append(errs, err)
	}
	if strings.HasPrefix(c.ID, "https://") && !c.FromDocument() && !c.Document.Pinned {
		bad("an ID that is a URL belongs to a client ID metadata document (set Document.Pinned to register it yourself)")
	}
	if !slices.Contains([]string{None, SecretBasic, SecretPost, PrivateKeyJWT}, c.Method) {
		bad("unknown authentication method %q", c.Method)
	}
	for _, uri := range slices.Concat(c.RedirectURIs, c.LogoutURIs) {
		if err := CheckRedirect(uri, c.Native); err != nil {
			errs = append(errs, err)
		}
	}
	for _, g := range c.Grants {
		switch {
		case !slices.Contains([]string{AuthorizationCode, ClientCredentials, RefreshToken, DeviceCode, TokenExchange, Password, Implicit}, g):
			bad("unknown grant type %q", g)
		case g == ClientCredentials && c.Public():
			bad("a public client cannot use client_credentials")
		case g == TokenExchange && c.Public():
			bad("a public client cannot use token exchange")
		}
	}
	code := slices.Contains(c.Grants, AuthorizationCode)
	switch {
	case len(c.Grants) == 0 && len(c.Serves) == 0: // a resource server may only introspect
		bad("no grant type")
	case (code || slices.Contains(c.Grants, Implicit)) && len(c.RedirectURIs) == 0:
		bad("no redirect URI")
	case slices.Contains(c.Grants, RefreshToken) && !code && !slices.Contains(c.Grants, DeviceCode) && !slices.Contains(c.Grants, Password):
		bad("refresh_token without a grant type that issues refresh tokens")
	}
	for _, name := range slices.Concat(c.Scopes, c.Default) {
		if !syntax.IsScope(name) {
			bad("invalid scope %q (printable ASCII without spaces, quotes and backslashes)", name)
		}
	}
	for _, name := range c.Default {
		if !slices.Contains(c.Scopes, name) {
			bad("default scope %q is not among its scopes", name)
		}
	}
	if c.Public() && len(c.Serves) > 0 {
		bad("a public client cannot serve a resource (introspection requires client authentication)")
	}
	if c.Public() && (!c.Secret.IsZero() || c.Password != "") {
		bad("a public client cannot have a secret")
	}
	switch {
	case c.Method != PrivateKeyJWT && (len(c.Keys) > 0 || c.KeysURI != ""):
		bad("keys require " + PrivateKeyJWT)
	case c.Method == PrivateKeyJWT && len(c.Keys) == 0 && c.KeysURI == "":
		bad(PrivateKeyJWT + " requires public keys (a JWK Set, or its URL)")
	case c.Method == PrivateKeyJWT && (!c.Secret.IsZero() || c.Password != ""):
		bad("keys and a secret (at most one)")
	case c.KeysURI != "":
		if err := publicfetch.CheckURL(c.KeysURI); err != nil {
			bad("key URI %q: %w", c.KeysURI, err)
		}
	case c.Method == PrivateKeyJWT:
		if err := checkKeys(c); err != nil {
			bad("%w", err)
		}
	}
	return errors.Join(errs...)
}

// checkKeys returns an error if none of the client's keys is usable.
func checkKeys(c storage.Client) error {
	list, err := jose.ParseOfferedJWKS(c.Keys, dpop.Algorithms()...)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New(`no usable key ("kid" is required; ES256, EdDSA, PS256 or RS256; RSA keys require "alg")`)
	}
	return nil
}
