package jwt

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// VerifierOptions change a Verifier; nil is fine.
type VerifierOptions struct {
	// Name is Identity.Scheme; "jwt" where "".
	Name string
	// Realm, where not "", is named in the challenge.
	Realm string
	// Leeway is how far clocks may differ, up to five minutes; 0 is none.
	Leeway time.Duration
	// Types are the accepted "typ" values; nil is TypeAccess alone. An issuer that
	// sends "JWT" tells its access tokens from its ID tokens by nothing else.
	Types []string
	// Untyped also accepts tokens without "typ", as Okta, Cognito and Kubernetes send them. As
	// with "JWT", give the access tokens an audience of their own.
	Untyped bool
	// IDClaim names the claim that identifies a token, for the Blocklist; "" is "jti". Entra ID
	// uses "uti". A token without it is refused unless NoID is set.
	IDClaim string
	// NoID accepts tokens without that claim: Entra ID and Auth0's default profile send no
	// "jti". The Blocklist can then revoke such a token only by "sid" or by its subject.
	NoID bool
	// Audiences are accepted beside the audience of NewVerifier. Each opens this API to
	// everyone who can get tokens for it.
	Audiences []string
	// ScopeClaims name the claims that hold scopes, as text or as a list; the first one that
	// a token has counts. nil is "scope"; Okta and Entra ID use "scp". A token that has none
	// of them has no scopes. Do not name a claim that lists what the user may do, such as
	// Auth0's "permissions": it would give every client the user's rights.
	ScopeClaims []string
	// ClientClaims name the claims that hold the client, which must agree. nil is
	// "client_id"; others are "azp", "cid" and "appid".
	ClientClaims []string
	// FirstParty says that this issuer puts no client between its users and this API: a
	// token that names neither a client nor scopes has the user's full rights, with the
	// roles of Roles. A token with client_id, azp, cid, appid, act, may_act, scope, scp, scopes
	// or authorization_details is refused unless ClientClaims or ScopeClaims name that claim.
	// Issuer stays set, so the user is not an account of this application (see OwnIssuer).
	FirstParty bool
	// FirstPartyClients are clients that act with their user's full rights, such as your own
	// single-page application. Identity.Client is "" then; scopes that the token names still
	// limit it. A token of such a client is refused if it has scopes, or another client, in a
	// claim of FirstParty's list that ScopeClaims and ClientClaims do not name, because that
	// limit would go unseen. A third party's client in this list has every right of its users. A token
	// with "act" or "may_act", or of a machine, is never first-party. A machine is known by a
	// subject that equals its client: do not list clients whose service accounts have another
	// subject, as Keycloak, Entra ID and Auth0 give them.
	FirstPartyClients []string
	// IgnoreFirstPartyScopes says that the scopes of FirstPartyClients limit nothing, for
	// issuers that put "openid profile" or the like into each token.
	IgnoreFirstPartyScopes bool
	// OwnIssuer says that the subjects of this issuer are the accounts of this application,
	// for a service that verifies the tokens of another service of yours: Issuer is "", so
	// that authz.OwnedBy compares the subject. It implies FirstParty.
	OwnIssuer bool
	// Space is the name of the account table that OwnIssuer's subjects belong to
	// ("staff" for "staff:1"); subjects of others are refused. "": subjects without a name.
	Space string
	// AllowIDTokens accepts tokens that show themselves as ID tokens, by "nonce", "at_hash",
	// "token_use" and the like, for issuers that have no other signed token. Give the
	// verifier an audience that is this API's alone.
	AllowIDTokens bool
	// Roles names the claim, a list of strings, that the identity's roles come from.
	// "" gives none: another's roles are not this application's. Limited tokens have none.
	Roles string
	// Blocklist, where not nil, is asked for each request: tokens of this issuer that
	// it blocks are refused.
	Blocklist storage.Blocklist
	// User makes the application's account of the claims. nil leaves none. Its
	// *authn.Error refuses the request; any other error is a fault.
	User func(context.Context, *Access) (authn.User, error)
	// CacheEntries and CacheBytes bound the cache of verified tokens: 8,192 and 16 MiB
	// where 0. Below 0 there is none. A hit spares the parsing and the signature, not
	// the look at expiry and blocklist.
	CacheEntries, CacheBytes int
	// Clock is time.Now where nil.
	Clock func() time.Time
}
