package jwt

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// VerifierOptions configure a [Verifier]. nil means the defaults.
type VerifierOptions struct {
	// Name is Identity.Scheme. "" means "jwt".
	Name string
	// Realm is the realm in the challenge. "" means none.
	Realm string
	// Leeway is the accepted difference between clocks, at most 5 minutes. 0 means none.
	Leeway time.Duration
	// Types are the accepted "typ" values. nil means only [TypeAccess]. If an issuer sends "JWT",
	// the type does not distinguish its access tokens from its ID tokens.
	Types []string
	// Untyped also accepts tokens without "typ", which Okta, Cognito and Kubernetes send. As with
	// "JWT", use an audience that only access tokens have.
	Untyped bool
	// IDClaim is the claim that identifies a token, for the Blocklist. "" means "jti". Entra ID
	// uses "uti". A token without it is rejected unless NoID is set.
	IDClaim string
	// NoID accepts tokens without the claim of IDClaim. Entra ID and Auth0's default profile send
	// no "jti". The Blocklist can then revoke such a token only by "sid" or by its subject.
	NoID bool
	// Audiences are accepted in addition to the audience of [NewVerifier]. Each of them opens this
	// API to everyone who can get tokens for it.
	Audiences []string
	// ScopeClaims are the claims with scopes, as a string or as a list. The first one that a token
	// has is used. nil means "scope"; Okta and Entra ID use "scp". A token with none of them has no
	// scopes. Do not set a claim that lists the rights of the user, such as Auth0's "permissions".
	// It would give every client the user's rights.
	ScopeClaims []string
	// ClientClaims are the claims that can contain the client. If a token has several of them, they
	// must be equal. nil means "client_id". Others are "azp", "cid" and "appid".
	ClientClaims []string
	// FirstParty means that this issuer has no clients between its users and this API. A token with
	// neither a client nor scopes then has the user's full rights, with the roles of Roles. A token
	// with client_id, azp, cid, appid, act, may_act, scope, scp, scopes or authorization_details is
	// rejected unless ClientClaims or ScopeClaims contain that claim. Identity.Issuer is still set,
	// so the user is not an account of this application (see OwnIssuer).
	FirstParty bool
	// FirstPartyClients are clients that act with their user's full rights, such as your own
	// single-page application. Identity.Client is then "". Scopes in the token still limit the
	// identity.
	//
	// The comment of FirstParty lists the claims that can contain a client or scopes. A token is
	// rejected if such a claim contains scopes or another client, but neither ScopeClaims nor
	// ClientClaims lists it. Otherwise the limit in the claim would be ignored. A token with "act"
	// or "may_act" is never first-party.
	//
	// Do not list third-party clients, because they would have all rights of their users. A token
	// that a machine obtained for itself is never first-party. The verifier recognizes it because
	// its subject equals its client. Therefore do not list clients whose service accounts have
	// another subject, as in Keycloak, Entra ID and Auth0.
	FirstPartyClients []string
	// IgnoreFirstPartyScopes ignores the scopes of FirstPartyClients. Use it for issuers that put
	// scopes such as "openid profile" into each token.
	IgnoreFirstPartyScopes bool
	// OwnIssuer means that the subjects of this issuer are accounts of this application. Use it in
	// a service that verifies tokens of another service of yours. Identity.Issuer is then "", so
	// that authz.OwnedBy compares the subject. It implies FirstParty.
	OwnIssuer bool
	// Space is the name of the account table of OwnIssuer's subjects ("staff" for "staff:1").
	// Subjects of other tables are rejected. "" means subjects without a table name.
	Space string
	// AllowIDTokens accepts tokens with the claims of ID tokens, such as "nonce", "at_hash" and
	// "token_use". Use it for issuers that have no other signed tokens, and use an audience that
	// belongs only to this API.
	AllowIDTokens bool
	// Roles is the claim with the roles of the identity, a list of strings. "" means no roles,
	// because the roles of another issuer are not roles of this application. Scope-limited tokens
	// have no roles.
	Roles string
	// Blocklist, if it is not nil, is queried on each request. Tokens of this issuer that it blocks
	// are rejected. With OwnIssuer, use the database of the issuer: the verifier then rejects a
	// token immediately after a logout, a revocation, a new password or "log out everywhere", and
	// when the account is disabled or deleted with this library. It does not notice an account that
	// SQL disables, or a disabled OAuth 2.0 client: use package introspect where these must count
	// immediately. The roles come from the token. Without OwnIssuer, epochs are not compared.
	//
	// To block tokens of another issuer, use storage.BlockKeyOf with that issuer for all kinds.
	Blocklist storage.Blocklist
	// User returns the application's account for the claims. nil means no account. If it returns an
	// [*authn.Error], the request is rejected. Any other error is answered with 503.
	User func(context.Context, *Access) (authn.User, error)
	// CacheEntries and CacheBytes limit the cache of verified tokens. 0 means 8,192 entries and 16
	// MiB. A negative value disables the cache. A cached token is not parsed and verified again,
	// but its expiry and the blocklist are still checked.
	CacheEntries, CacheBytes int
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}
