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

// Types of the tokens that the scheme makes ("typ" of RFC 7515 section 4.1.9). A
// token of one type is never taken for another.
const (
	TypeAccess  = "at+jwt" // RFC 9068
	TypeRefresh = "rt+jwt"
	TypeSliding = "sl+jwt"
)

// Verifier accepts the access tokens of another issuer, such as an OpenID provider,
// by its published keys. The tokens of this application are Scheme's. It is safe
// for concurrent use.
type Verifier struct {
	issuer  string
	keys    jose.KeySource
	checks  jose.Checks
	opts    VerifierOptions
	clock   func() time.Time // as given: nil is the system's
	generic func() uint64    // of keys; nil: nothing is kept
	cache   *cache           // nil: none

	self      authn.Authenticator                 // itself, or the Scheme around it
	audiences []string                            // more than one only in a verifier of another issuer's
	own       bool                                // the tokens are this application's
	standing  func(context.Context, *known) error // sets what the token does not say

	invalid      *authn.Error // every refused token looks like this
	unrecognized error
	elsewhere    error
}

// NewVerifier returns a verifier of tokens whose "iss" is issuer and whose "aud"
// holds audience, both byte for byte, signed by a key of keys (a jose.RemoteKeySet, or a
// jose.KeySet of public keys). Verified tokens are cached only if keys are jose.Versioned: a source
// of your own without it is called for each request.
//
// Identities carry the Issuer, the Client where "client_id" names one, and the scopes of
// "scope"; a token without scopes has none, so that authz.HasScope refuses it. A token whose
// "sub" is its client has no Subject. Options name other claims, and say whose tokens have a
// user's full rights.
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
		return nil, err
	}
	v.checks.NoID = o.NoID || o.IDClaim != "" // read judges another claim
	v.audiences = append([]string{audience}, o.Audiences...)
	v.self, v.standing = v, v.foreign
	return v, nil
}

func newVerifier(issuer, audience string, keys jose.KeySource, o VerifierOptions) (*Verifier, error) {
	if keys == nil {
		return nil, errors.New("jwt: keys are needed")
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
		return nil, errors.New("jwt: no type is accepted")
	}
	if err := credential.CheckRealm(o.Realm); err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	v := &Verifier{
		issuer: issuer, keys: keys, opts: o, clock: clock,
		checks: jose.Checks{Issuer: issuer, Audience: audience, Leeway: o.Leeway, Clock: o.Clock},
	}
	if err := v.checks.Validate(); err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	v.generic = jose.GenerationOf(keys)
	if v.generic != nil && o.CacheEntries >= 0 && o.CacheBytes >= 0 {
		v.cache = newCache(o.CacheEntries, o.CacheBytes)
	}
	v.invalid = notValid("Token is invalid")
	v.unrecognized = authn.Unrecognized(v.invalid.WithCause(errors.New("not of a token's shape")))
	v.elsewhere = authn.Unrecognized(v.invalid.WithCause(errors.New("for another audience")))
	return v, nil
}

// notValid is the refusal of a token in simplejwt's form.
func notValid(detail string) *authn.Error {
	e := authn.AuthenticationFailed(detail)
	e.Code = "token_not_valid"
	e.Members = []authn.Member{{Name: "code", Value: e.Code}}
	return e
}

// Name returns the name of VerifierOptions.
func (v *Verifier) Name() string { return v.opts.Name }

// Headers returns Authorization.
func (v *Verifier) Headers() []string { return []string{"Authorization"} }

// Formats returns the keyword with the issuer and each audience: two schemes of one chain that
// would accept the same token are a construction error, and so are two account bases under
// OwnIssuer that are not told apart by Space.
func (v *Verifier) Formats() []authn.CredentialFormat {
	const begins = "e" // as base64url of a brace does
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

// Challenge returns Bearer, with an error for a refused token or one whose scopes do not suffice,
// and with the scopes that the route needs (RFC 6750, section 3).
func (v *Verifier) Challenge(_ *http.Request, err error) string {
	return authn.BearerChallenge{Realm: v.opts.Realm, Invalid: v.invalid.Code}.For(err)
}

// Authenticate looks for a JWT under Bearer whose issuer is this one: a token of
// another issuer is ErrUnrecognized. Whatever is wrong with it, the client is told
// the same; the reason goes to the log. With a blocklist or accounts it
// takes one query.
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

// Presented implements authn.Keeper. Unless the options say that there is no cache, identities
// are kept if the store gives leases (package cached), or if the token says everything itself.
func (v *Verifier) Presented(r *http.Request) (text string, guessable bool) {
	if v.cache == nil {
		return "", false
	}
	if text = authn.RawCredentials(r, "Bearer"); text == "" || text[0] != 'e' {
		return "", false
	}
	return text, false
}

// shaped reports whether text looks like a JWS: it begins with the base64url of `{"`
// or of `{` and white space, and has two dots.
func shaped(text string) bool {
	return len(text) > 2 && text[0] == 'e' && strings.Count(text, ".") == 2
}

// access returns the verified token of a text, from the cache where it is there, and the
// generation of the keys that it was verified under.
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

// verify checks everything that the token says by itself. The keys are not asked about a
// token of another issuer or audience, which would wait for a key server that is down.
func (v *Verifier) verify(ctx context.Context, text string) (a *Access, generation uint64, err error) {
	t, err := jose.Decode(text)
	if err != nil {
		return nil, 0, v.refuse(err)
	}
	if iss, ok := t.Claims.Text("iss"); !ok || iss != v.issuer {
		return nil, 0, v.unrecognized // selects the scheme, no more: Check asks again
	}
	checks := v.checks
	if !v.own {
		if checks.Audience = v.audienceOf(t.Claims); checks.Audience == "" {
			return nil, 0, v.elsewhere // another verifier of this issuer may accept it
		}
	}
	if v.cache != nil {
		generation = v.generic() // before the keys are read
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

// refuse makes a refusal of what is wrong with a token, and passes a fault on.
func (v *Verifier) refuse(err error) error {
	if errors.Is(err, jose.ErrInvalid) {
		return v.invalid.WithCause(err)
	}
	return err
}

// foreign is the standing of another issuer's token.
func (v *Verifier) foreign(ctx context.Context, k *known) (err error) {
	if v.opts.Blocklist != nil {
		// The epoch is that of this application's subjects, not of the issuer's.
		st, err := v.opts.Blocklist.TokenStatusOf(ctx, "", k.access.keys)
		if err != nil {
			return err
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

var errBlocked = errors.New("blocked: logged out, or used again")
