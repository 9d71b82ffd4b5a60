// Package issuers has the settings with which [jwt.NewVerifier] accepts the tokens of well-known
// identity providers, CI systems and proxies. Use it to accept their tokens in an API:
//
//	p := issuers.Auth0("acme.eu.auth0.com", "https://api.acme.example")
//	p.Options.FirstPartyClients = []string{"my-spa"}
//	verifier, err := p.Verifier(nil)
//
// A preset is strict: it accepts only what the issuer documents, limits the lifetime, and gives no
// roles. You decide which clients are your own (FirstPartyClients), and which roles of the issuer
// count (Roles with RoleMap). You can change all fields of a [Preset] before you call Verifier.
//
// A preset follows the issuer's documentation at the time of this release. If an issuer changes its
// tokens, they are rejected and the log names the claim.
package issuers

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// Preset has the arguments of [jwt.NewVerifier] for one issuer.
type Preset struct {
	// Issuer and Audience are the arguments of jwt.NewVerifier.
	Issuer, Audience string
	// KeysURL is the address of the issuer's JWK Set. "" means that there is none at a known
	// address, so Verifier requires keys.
	KeysURL string
	// Options are the options for the issuer.
	Options jwt.VerifierOptions

	err error // of the constructor
}

// Verifier returns the verifier. keys can be nil: the keys are then fetched from KeysURL with the
// defaults of [jose.RemoteOptions] and the algorithms of Options.
//
// It returns an error if an argument of the preset's constructor was invalid, if there are neither
// keys nor a KeysURL, or if jwt.NewVerifier returns an error.
func (p Preset) Verifier(keys jose.KeySource) (*jwt.Verifier, error) {
	switch {
	case p.err != nil:
		return nil, p.err
	case keys == nil && p.KeysURL == "":
		return nil, errors.New("issuers: Verifier: keys must be set, because the issuer has no KeysURL")
	case keys == nil:
		remote, err := jose.NewRemoteKeySet(p.KeysURL, &jose.RemoteOptions{Algorithms: p.Options.Algorithms, Clock: p.Options.Clock})
		if err != nil {
			return nil, err
		}
		keys = remote
	}
	return jwt.NewVerifier(p.Issuer, p.Audience, keys, &p.Options)
}

// invalid returns a preset whose Verifier returns an error.
func invalid(name, format string, args ...any) Preset {
	return Preset{err: fmt.Errorf("issuers: "+name+": "+format, args...)}
}

const notHost = "domain %q is not a host name in lower case (such as acme.example, without https://)"

// some reports whether list has an entry, and no empty one.
func some(list []string) bool { return len(list) > 0 && !slices.Contains(list, "") }

var (
	rs256 = []jose.Algorithm{jose.RS256}
	es256 = []jose.Algorithm{jose.ES256}
)

// typeJWT is a type that does not distinguish access tokens from ID tokens.
var typeJWT = []string{"JWT"}

const day = 24 * time.Hour
