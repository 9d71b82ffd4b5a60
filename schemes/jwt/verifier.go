package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// Types of the tokens that the scheme issues ("typ", RFC 7515, section 4.1.9). A token of one type
// is never accepted as another type.
const (
	TypeAccess  = "at+jwt" // RFC 9068
	TypeRefresh = "rt+jwt"
	TypeSliding = "sl+jwt"
)

// Verifier accepts the access tokens of another issuer, such as an OpenID provider, and verifies
// them with its published keys. For the tokens of this application, use [Scheme]. It is safe for
// concurrent use.
type Verifier struct {
	issuer  string
	keys    jose.KeySource
	checks  jose.Checks
	opts    VerifierOptions
	clock   func() time.Time // as set; nil means the system's
	generic func() uint64    // generation of keys; nil: nothing is cached
	cache   *cache           // nil: none

	self      authn.Authenticator                 // the Verifier, or the Scheme that contains it
	issuers   []string                            // issuer and Issuers, of which the first can be a template
	audiences []string                            // only set for another issuer; only the first can be ""
	rolePaths []rolePath                          // of Roles
	own       bool                                // the tokens are issued by this application
	accounts  any                                 // the store that has them; nil: it is not known
	standing  func(context.Context, *known) error // checks the account and the blocklist, and completes the identity

	invalid      *authn.Error // the response to every rejected token
	unrecognized error
	others       elsewhere
}

// NewVerifier returns a verifier for tokens with issuer as "iss" and audience in "aud", compared
// byte by byte. They must be signed with a key of keys: a [jose.RemoteKeySet], or a [jose.KeySet]
// of public keys. opts can be nil. Verified tokens are cached only if keys is [jose.Versioned]; any
// other source is called for each request.
//
// Identities have the Issuer, the Client from "client_id", and the Scopes from "scope". A token
// without scopes has an empty list of scopes, so authz.HasScope rejects it. A token whose "sub"
// equals its client has no Subject. [VerifierOptions] can set other claims, and the tokens that
// have a user's full rights.
//
// issuer can have "{tenant}" as one segment of its path, with [VerifierOptions] Tenants and
// TenantClaim. audience can be "" for issuers that send no "aud", if the options have Clients or
// require HeaderIs. A token that has an audience is then rejected, because it is for another API.
//
// It returns an error if keys is nil, or if an option is invalid.
func NewVerifier(issuer, audience string, keys jose.KeySource, opts *VerifierOptions) (*Verifier, error) {
	var o VerifierOptions
	if opts != nil {
		o = opts.clone()
	}
	o.defaults()
	v, err := newForeign(issuer, audience, keys, o)
	if err != nil {
		return nil, fmt.Errorf("jwt: NewVerifier: %w", err)
	}
	return v, nil
}

func newForeign(issuer, audience string, keys jose.KeySource, o VerifierOptions) (*Verifier, error) {
	if err := o.checkForeign(issuer, audience); err != nil {
		return nil, err
	}
	v, err := newVerifier(issuer, keys, o)
	if err != nil {
		return nil, err
	}
	v.issuers = append([]string{issuer}, o.Issuers...)
	v.audiences = append([]string{audience}, o.Audiences...)
	for _, text := range o.Roles {
		p, err := newRolePath(text)
		if err != nil {
			return nil, mistake("Roles: %w", err)
		}
		v.rolePaths = append(v.rolePaths, p)
	}
	v.others = v.newElsewhere()
	v.self, v.standing = v, v.foreign
	return v, nil
}

func newVerifier(issuer string, keys jose.KeySource, o VerifierOptions) (*Verifier, error) {
	if keys == nil {
		return nil, errors.New("keys must be set")
	}
	if o.Name == "" {
		o.Name = "jwt"
	}
	clock := o.Clock
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if err := credential.CheckRealm(o.Realm); err != nil {
		return nil, err
	}
	v := &Verifier{
		issuer: issuer, issuers: []string{issuer}, keys: keys, opts: o, clock: clock,
		checks: jose.Checks{Issuer: issuer, Leeway: o.Leeway, Clock: o.Clock},
	}
	v.generic = jose.GenerationOf(keys)
	if v.generic != nil && o.CacheEntries >= 0 && o.CacheBytes >= 0 {
		v.cache = newCache(o.CacheEntries, o.CacheBytes)
	}
	v.invalid = notValid("Token is invalid")
	v.unrecognized = authn.Unrecognized(v.invalid.WithCause(errors.New("malformed token")))
	return v, nil
}

// notValid returns the rejection of a token in the format of simplejwt.
func notValid(detail string) *authn.Error {
	e := authn.AuthenticationFailed(detail)
	e.Code = "token_not_valid"
	e.Members = []authn.Member{{Name: "code", Value: e.Code}}
	return e
}

// Name returns VerifierOptions.Name.
func (v *Verifier) Name() string { return v.opts.Name }

// Formats returns the keyword with each issuer and audience. So [authn.New] panics for two schemes
// of one chain that would accept the same token, and for two account tables with OwnIssuer that
// have the same Space. See also [Verifier.Conflict].
func (v *Verifier) Formats() []authn.CredentialFormat {
	const begins = "e" // base64url of a brace begins with e
	if v.own {
		return []authn.CredentialFormat{{Keyword: "Bearer", Format: authn.JWTFormat(v.issuer, ""), Prefix: begins}}
	}
	var all []authn.CredentialFormat
	add := func(format string) {
		all = append(all, authn.CredentialFormat{Keyword: v.keyword(), Format: format, Prefix: begins})
	}
	for _, issuer := range v.issuers {
		for _, audience := range v.audiences {
			format := authn.JWTFormat(issuer, audience)
			if audience == "" {
				format += fmt.Sprintf("clients %q", v.opts.Clients)
			}
			add(format)
		}
	}
	if v.opts.OwnIssuer {
		add("accounts of OwnIssuer " + strconv.Quote(v.opts.Space))
	}
	return all
}

// Challenge returns a Bearer challenge. It includes an error for a rejected token or missing
// scopes, and the scopes that the route requires (RFC 6750, section 3). A token in the header of a
// proxy has no challenge, because the client cannot send one.
func (v *Verifier) Challenge(_ *http.Request, err error) string {
	if v.opts.Header != "" {
		return ""
	}
	return authn.BearerChallenge{Realm: v.opts.Realm, ResourceMetadata: v.opts.ResourceMetadata, Invalid: v.invalid.Code, StepUp: true}.For(err)
}

// Authenticate authenticates a request by a JWT with the keyword Bearer, or in
// VerifierOptions.Header. A token of another issuer or audience returns [authn.ErrUnrecognized].
// The response to a rejected token is always the same, and the reason is logged. If there is a
// blocklist or an account to load, it needs one query.
func (v *Verifier) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := v.credentials(r)
	if err != nil {
		return authn.Identity{}, err
	}
	if !shaped(text) {
		return authn.Identity{}, v.unrecognized
	}
	return v.identify(r.Context(), text)
}

// Presented implements [authn.Keeper]. Identities are kept if the store returns leases (package
// cached), or if no store is needed. A disabled cache turns this off.
func (v *Verifier) Presented(r *http.Request) (text string, guessable bool) {
	if v.cache == nil {
		return "", false
	}
	if v.opts.Header == "" {
		text = authn.RawCredentials(r, "Bearer")
	} else if lines := r.Header[v.opts.Header]; len(lines) == 1 && len(lines[0]) <= authn.MaxCredential {
		text = lines[0]
	}
	if text == "" || text[0] != 'e' {
		return "", false
	}
	return text, false
}

// shaped reports whether text looks like a JWS: it begins with the base64url of `{"` or of `{` and
// white space, and has two dots.
func shaped(text string) bool {
	return len(text) > 2 && text[0] == 'e' && strings.Count(text, ".") == 2
}

// access returns the verified token for a text, from the cache if possible, and the generation of
// the keys at its verification.
func (v *Verifier) access(ctx context.Context, text string) (a *Access, generation uint64, err error) {
	if v.cache == nil {
		return v.verify(ctx, text)
	}
	digest := storage.DigestOf(text)
	if e := v.cache.get(digest); e.access != nil && e.generation == v.generic() {
		if !v.opts.Clock().Before(e.access.Expires.Add(v.opts.Leeway)) {
			return nil, 0, v.invalid.WithCause(jose.ErrExpired)
		}
		return e.access, e.generation, nil
	}
	if a, generation, err = v.verify(ctx, text); err == nil {
		v.cache.put(digest, generation, a)
	}
	return a, generation, err
}

// verify checks a token without a store. It does not read the keys for a token of another issuer or
// audience, because it could wait for a key server that is down.
func (v *Verifier) verify(ctx context.Context, text string) (a *Access, generation uint64, err error) {
	decode := jose.Decode
	if v.opts.Padded {
		decode = jose.DecodePadded
	}
	t, err := decode(text)
	if err != nil {
		return nil, 0, v.refuse(err)
	}
	want := jose.Expected{Types: v.opts.Types, Untyped: v.opts.Untyped}
	if v.own {
		if iss, ok := t.Claims.Text("iss"); !ok || iss != v.issuer {
			return nil, 0, v.unrecognized // only selects the scheme; Check verifies the issuer
		}
	} else {
		if err := v.selects(t); err != nil {
			return nil, 0, err
		}
		if len(v.opts.Issuers) > 0 || v.opts.NoIssuer {
			want.KeyIssuers = []string{v.identityIssuer(t.Claims)}
		}
	}
	if v.cache != nil {
		generation = v.generic() // read before the keys
	}
	if err := t.VerifyAs(ctx, v.keys, want); err != nil {
		return nil, 0, v.refuse(err)
	}
	if v.own {
		a, err = v.read(t, v.checks)
	} else {
		a, err = v.readForeign(t)
	}
	if err != nil {
		return nil, 0, v.refuse(err)
	}
	return a, generation, nil
}

// refuse returns the rejection for an invalid token, and any other error unchanged.
func (v *Verifier) refuse(err error) error {
	if errors.Is(err, jose.ErrInvalid) {
		return v.invalid.WithCause(err)
	}
	return err
}
