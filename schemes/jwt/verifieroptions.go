package jwt

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// LeewayOff, as VerifierOptions.Leeway, accepts no difference between clocks.
const LeewayOff time.Duration = -1

// DefaultLeeway is the default of VerifierOptions.Leeway.
const DefaultLeeway = 30 * time.Second

// VerifierOptions configure a [Verifier]. nil means the defaults, which are strict. Package
// schemes/jwt/issuers has the options for many issuers.
type VerifierOptions struct {
	// Name is Identity.Scheme. "" means "jwt".
	Name string
	// Realm is the realm in the challenge. "" means none.
	Realm string
	// ResourceMetadata is the URL of the protected resource metadata of this API (RFC 9728), for
	// the challenge. Model Context Protocol clients use the URL to find the issuer. Use the URL
	// method of package schemes/oauth2/resource. All schemes of a chain must have the same value.
	// "" means none. ResourceMetadata cannot be combined with Header, because a verifier with
	// Header has no challenge.
	ResourceMetadata string
	// Algorithms are the accepted algorithms. nil means the algorithms of the keys. HMAC algorithms
	// are an error, because published keys are not secret.
	Algorithms []jose.Algorithm
	// Issuers are accepted as "iss" in addition to the issuer of [NewVerifier], with the same keys.
	// They are different issuers of accounts unless SameIssuer is set.
	Issuers []string
	// SameIssuer is Identity.Issuer for all tokens. It must be the issuer of NewVerifier or one of
	// Issuers. Use it if one issuer has several spellings, such as "accounts.google.com" with and
	// without "https://". "" means the token's own "iss".
	SameIssuer string
	// Tenants reports whether the tenant of a token is accepted. It requires TenantClaim, and an
	// issuer with "{tenant}" as one segment of the path. Tenants must accept this segment of "iss",
	// and the claim must have the same value as the segment. Identity.Issuer is the token's own
	// "iss", so equal subjects of two tenants are two accounts. Use [TenantList]. A function that
	// accepts any tenant opens the API to every customer of the issuer.
	//
	// Tenants is called for each request, after the signature was verified, so identities are not
	// kept between requests. An error is answered with 503.
	Tenants func(ctx context.Context, tenant string) (bool, error)
	// TenantClaim is the claim with the tenant, such as "tid" of Entra ID.
	TenantClaim string
	// NoIssuer accepts tokens without "iss". If "iss" is present, it must match. Identity.Issuer is
	// the issuer of NewVerifier. A chain can have one such verifier for each header.
	NoIssuer bool
	// Leeway is the accepted difference between clocks, at most 5 minutes. A token is also accepted
	// for this time after its expiry. 0 means [DefaultLeeway], or no leeway with OwnIssuer.
	// [LeewayOff] means no leeway.
	Leeway time.Duration
	// MaxLifetime is the largest accepted difference between "exp" and "iat" of a token. Tokens
	// without "iat" are then rejected. Set it because a signed token is valid until its expiry,
	// unless a Blocklist contains the token. 0 means any lifetime.
	MaxLifetime time.Duration
	// Types are the accepted "typ" values. nil means only [TypeAccess]. If an issuer sends "JWT",
	// the type does not distinguish its access tokens from its ID tokens.
	Types []string
	// Untyped also accepts tokens without "typ", which Okta, Cognito and Kubernetes send. As with
	// "JWT", use an audience that only access tokens have.
	Untyped bool
	// IDClaim is the claim that identifies a token, for the Blocklist. "" means "jti". Entra ID
	// uses "uti". A token without this claim is rejected unless NoID is set.
	IDClaim string
	// NoID accepts tokens without the claim of IDClaim. Entra ID and Auth0's default profile send
	// no "jti". The Blocklist can then revoke such a token only by "sid" or by its subject.
	NoID bool
	// Audiences are accepted in addition to the audience of [NewVerifier]. Everyone who can get
	// tokens for one of these audiences can call this API. Audiences cannot be combined with the
	// audience "".
	Audiences []string
	// ScopeClaims are the claims with scopes, as a string or as a list. The first of these claims
	// that a token has is used. nil means "scope"; Okta and Entra ID use "scp". A token with none
	// of these claims has no scopes. Do not list a claim that contains the rights of the user, such
	// as Auth0's "permissions", because every client would then have the user's rights.
	ScopeClaims []string
	// MachineScopeClaims are used instead of ScopeClaims for the tokens of machines. nil means
	// ScopeClaims. Entra ID puts the permissions of an application into "roles".
	MachineScopeClaims []string
	// ClientClaims are the claims that can contain the client. If a token has several of them, they
	// must be equal. nil means "client_id". Others are "azp", "cid" and "appid".
	ClientClaims []string
	// NotClients are claims among client_id, azp, cid and appid that do not contain a client at
	// this issuer. FirstParty and FirstPartyClients then ignore them. The "azp" of Google IAP names
	// the backend, for example. Do not list a claim that can contain a client, because that client
	// would have its user's full rights.
	NotClients []string
	// Clients are the accepted clients. A token of another client, or without a client, is
	// rejected. nil accepts every client. If the issuer sends no audience, Clients can take its
	// place.
	Clients []string
	// SubjectClaim is the claim with the subject. "" means "sub". Okta puts the changeable login
	// name into "sub" and the ID into "uid". A later change of SubjectClaim changes the subject of
	// every user.
	SubjectClaim string
	// NoSubject accepts tokens without a subject if they have a client. An empty subject counts as
	// none.
	NoSubject bool
	// Require are conditions that every token must meet.
	Require []Rule
	// Machine are conditions. A token that meets one of them is the token of a machine: its
	// identity has a Client and no Subject. Without such conditions, a machine is recognized only
	// if its subject equals its client or is missing. A token that meets a condition and has no
	// client is rejected.
	Machine []Rule
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
	// its subject equals its client, or by a rule of Machine. Keycloak, Entra ID and Auth0 require
	// such a rule, because the subject of their service accounts differs from the client.
	FirstPartyClients []string
	// FirstPartyRequire are conditions that a token of FirstPartyClients must also meet to have its
	// user's full rights, such as a claim that only users' tokens have. Use FirstPartyRequire if
	// the tokens of an issuer's machines cannot always be recognized. A token that does not meet
	// the conditions keeps its client and its scopes.
	FirstPartyRequire []Rule
	// IgnoreFirstPartyScopes ignores the scopes of FirstPartyClients. Use it for issuers that put
	// scopes such as "openid profile" into each token.
	IgnoreFirstPartyScopes bool
	// OwnIssuer means that the subjects of this issuer are accounts of this application. Use it in
	// a service that verifies tokens of another service of yours. Identity.Issuer is then "", so
	// that authz.OwnedBy compares the subject. It implies FirstParty. A token from a token exchange
	// (package exchange) keeps its client, scopes and actors, and is never first-party.
	OwnIssuer bool
	// Space is the name of the account table of OwnIssuer's subjects ("staff" for "staff:1").
	// Subjects of other tables are rejected. "" means subjects without a table name.
	Space string
	// AllowIDTokens accepts tokens with the claims of ID tokens, such as "nonce", "at_hash" and
	// "token_use". Use it for issuers that have no other signed tokens, and use an audience that
	// belongs only to this API.
	AllowIDTokens bool
	// Roles are the places of the roles of the identity: claims, or JSON Pointers such as
	// "/realm_access/roles". The value is a list of strings or one string, which is never split.
	// With "/*" at the end of a pointer, the names of the object are the roles. nil means no roles,
	// because the roles of another issuer are not roles of this application. Scope-limited tokens
	// have no roles.
	//
	// Do not read roles from what users can edit themselves, such as "user_metadata" of Supabase.
	Roles []string
	// RoleMap renames roles. Roles that it does not contain are dropped. nil keeps all roles with
	// their names, so "admin" of the issuer is an administrator here.
	RoleMap map[string]string
	// Header is the header in which a proxy sends the token without a keyword, such as
	// "Cf-Access-Jwt-Assertion". "" means "Authorization" with the keyword Bearer. Anyone can send
	// the header, so only the token counts; never trust other headers of the proxy. The proxy must
	// remove the header from the requests of its clients.
	//
	// Browsers reach the proxy with a cookie, also for requests that another site caused. Therefore
	// the verifier is [authn.Ambient] and checks the origin of unsafe requests.
	Header string
	// Site is the site whose pages may send unsafe requests, if Header is set. nil means
	// csrf.SameOrigin, which accepts any host.
	Site *csrf.Site
	// Padded accepts base64url with padding, which AWS load balancers send. It requires Header. A
	// token then has several spellings, so do not identify it by its text.
	Padded bool
	// LoginClaims uses the claims auth_time and amr of another issuer, and acr as mapped by ACR. If
	// it is false, Identity.AuthTime, ACR and AMR are empty, and authz.Fresh, authz.ACR and
	// authz.Factors reject the issuer's users. This is the default, because what another issuer
	// calls a second factor may not be one here. OwnIssuer implies LoginClaims, and keeps the
	// classes unchanged.
	LoginClaims bool
	// ACR maps authentication context classes of another issuer to classes of this application, for
	// LoginClaims. Classes that it does not contain are dropped.
	ACR map[string]string
	// Blocklist, if it is not nil, is queried on each request. Tokens of this issuer that it blocks
	// are rejected. With OwnIssuer, use the database of the issuer: the verifier then rejects a
	// token immediately after a logout, a revocation, a new password or "log out everywhere", and
	// when the account is disabled or deleted with this library. It does not notice an account that
	// SQL disables, or a disabled OAuth 2.0 client: use package introspect where these must count
	// immediately. The roles come from the token. Without OwnIssuer, epochs are not compared.
	//
	// To block tokens of another issuer, use storage.BlockKeyOf with that issuer for all kinds.
	Blocklist storage.Blocklist
	// User returns the application's account for the claims. If User is nil, identities have no
	// account. If User returns an [*authn.Error], the request is rejected. Any
	// other error is answered with 503.
	User func(context.Context, *Access) (authn.User, error)
	// Accounts replaces the issuer's users by accounts of this application. Identity.Subject is
	// then the ID of the account, and Identity.Issuer is "". The roles are those of the account,
	// unless the token has scopes or a client. The account is read for each request, with one query
	// or from the cache of package cached. Tokens of machines do not change. Identity.Credential
	// still has the issuer and the issuer's subject. nil means that users stay users of the issuer.
	//
	// A disabled account is rejected. After "log out everywhere", a new password or the deletion of
	// the link, earlier tokens are rejected. For this purpose "iat" is required, and must be more
	// than Leeway after the account's epoch. So tokens of a user who logs in again immediately are
	// rejected for up to Leeway. After storage.LogoutAll, they are rejected for up to 72 minutes
	// more, because LogoutAll scatters the epochs.
	Accounts Accounts
	// CacheEntries and CacheBytes limit the cache of verified tokens. 0 means 8,192 entries and 16
	// MiB. A negative value disables the cache. A cached token is not parsed and verified again,
	// but its expiry and the blocklist are still checked.
	CacheEntries, CacheBytes int
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}
