package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
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
	audiences []string                            // only set for another issuer
	own       bool                                // the tokens are issued by this application
	accounts  any                                 // the store that has them; nil: it is not known
	standing  func(context.Context, *known) error // checks the account and the blocklist, and completes the identity

	invalid      *authn.Error // the response to every rejected token
	unrecognized error
	elsewhere    error
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
// It returns an error if keys is nil, or if an option is invalid.
func NewVerifier(issuer, audience string, keys jose.KeySource, opts *VerifierOptions) (*Verifier, error) {
	var o VerifierOptions
	if opts != nil {
		o = *opts
	}
	if o.ScopeClaims == nil {
		o.ScopeClaims = []string{"scope"}
	}
	if o.ClientClaims == nil {
		o.ClientClaims = []string{"client_id"}
	}
	o.FirstParty = o.FirstParty || o.OwnIssuer
	if err := o.checkForeign(); err != nil {
		return nil, err
	}
	for _, list := range []*[]string{&o.Types, &o.Audiences, &o.ScopeClaims, &o.ClientClaims, &o.FirstPartyClients} {
		*list = slices.Clone(*list)
	}
	v, err := newVerifier(issuer, audience, keys, o)
	if err != nil {
		return nil, fmt.Errorf("jwt: NewVerifier: %w", err)
	}
	v.checks.NoID = o.NoID || o.IDClaim != "" // read checks another claim
	v.audiences = append([]string{audience}, o.Audiences...)
	v.self, v.standing = v, v.foreign
	return v, nil
}

func newVerifier(issuer, audience string, keys jose.KeySource, o VerifierOptions) (*Verifier, error) {
	if keys == nil {
		return nil, errors.New("keys must be set")
	}
	if o.Name == "" {
		o.Name = "jwt"
	}
	if o.Types == nil {
		o.Types = []string{TypeAccess}
	}
	clock := o.Clock
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if len(o.Types) == 0 {
		return nil, errors.New("empty Types (at least one, or nil for the default)")
	}
	if err := credential.CheckRealm(o.Realm); err != nil {
		return nil, err
	}
	v := &Verifier{
		issuer: issuer, keys: keys, opts: o, clock: clock,
		checks: jose.Checks{Issuer: issuer, Audience: audience, Leeway: o.Leeway, Clock: o.Clock},
	}
	if err := v.checks.Validate(); err != nil {
		return nil, err
	}
	v.generic = jose.GenerationOf(keys)
	if v.generic != nil && o.CacheEntries >= 0 && o.CacheBytes >= 0 {
		v.cache = newCache(o.CacheEntries, o.CacheBytes)
	}
	v.invalid = notValid("Token is invalid")
	v.unrecognized = authn.Unrecognized(v.invalid.WithCause(errors.New("malformed token")))
	v.elsewhere = authn.Unrecognized(v.invalid.WithCause(errors.New("wrong audience")))
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

// Headers returns "Authorization".
func (v *Verifier) Headers() []string { return []string{"Authorization"} }

// Formats returns the keyword with the issuer and each audience. So [authn.New] panics for two
// schemes of one chain that would accept the same token, and for two account tables with OwnIssuer
// that have the same Space.
func (v *Verifier) Formats() []authn.CredentialFormat {
	const begins = "e" // base64url of a brace begins with e
	if v.own {
		return []authn.CredentialFormat{{Keyword: "Bearer", Format: authn.JWTFormat(v.issuer, ""), Prefix: begins}}
	}
	var all []authn.CredentialFormat
	for _, audience := range v.audiences {
		all = append(all, authn.CredentialFormat{Keyword: "Bearer", Format: authn.JWTFormat(v.issuer, audience), Prefix: begins})
	}
	if v.opts.OwnIssuer {
		all = append(all, authn.CredentialFormat{Keyword: "Bearer", Format: "accounts of OwnIssuer " + strconv.Quote(v.opts.Space), Prefix: begins})
	}
	return all
}

// Challenge returns a Bearer challenge. It includes an error for a rejected token or missing
// scopes, and the scopes that the route requires (RFC 6750, section 3).
func (v *Verifier) Challenge(_ *http.Request, err error) string {
	return authn.BearerChallenge{Realm: v.opts.Realm, Invalid: v.invalid.Code, StepUp: true}.For(err)
}

// Authenticate authenticates a request by a JWT with the keyword Bearer. A token of another issuer
// returns [authn.ErrUnrecognized]. The response to a rejected token is always the same, and the
// reason is logged. If there is a blocklist or an account to load, it needs one query.
func (v *Verifier) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
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
	if text = authn.RawCredentials(r, "Bearer"); text == "" || text[0] != 'e' {
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
	t, err := jose.Decode(text)
	if err != nil {
		return nil, 0, v.refuse(err)
	}
	if iss, ok := t.Claims.Text("iss"); !ok || iss != v.issuer {
		return nil, 0, v.unrecognized // only selects the scheme; Check verifies the issuer
	}
	checks := v.checks
	if !v.own {
		if checks.Audience = v.audienceOf(t.Claims); checks.Audience == "" {
			return nil, 0, v.elsewhere // another verifier of this issuer may accept it
		}
	}
	if v.cache != nil {
		generation = v.generic() // read before the keys
	}
	check := t.Verify
	if v.opts.Untyped {
		check = t.VerifyUntyped
	}
	if err := check(ctx, v.keys, v.opts.Types...); err != nil {
		return nil, 0, v.refuse(err)
	}
	reg, err := checks.Check(t.Claims)
	if err != nil {
		return nil, 0, v.refuse(err)
	}
	if a, err = v.read(t, reg); err != nil {
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

// foreign checks the token of another issuer and completes its identity.
func (v *Verifier) foreign(ctx context.Context, k *known) (err error) {
	if v.opts.Blocklist != nil {
		subject := "" // epochs belong to subjects of this application, not to those of another issuer
		if v.opts.OwnIssuer {
			subject = k.access.Subject
		}
		st, err := v.opts.Blocklist.TokenStatusOf(ctx, subject, k.access.keys)
		if err != nil {
			return err
		}
		if k.access.Version < st.Epoch { // a blocklist without the accounts has no epochs
			return v.invalid.WithCause(credential.ErrEpoch)
		}
		if st.Blocked {
			return v.invalid.WithCause(errBlocked)
		}
	}
	k.identity.Roles = k.own.Roles
	switch {
	case v.opts.User != nil:
		k.identity.User, err = audit.Call("jwt.VerifierOptions.User", func() (authn.User, error) { return v.opts.User(ctx, k.access.clone()) })
	case v.opts.Blocklist == nil:
		k.lease = always{}
	}
	return err
}

var errBlocked = errors.New("blocked: logged out or reused")
