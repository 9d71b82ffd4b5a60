// Package oidclogin lets users of an application log in at OpenID Providers ("Sign in with …"). It
// is an OpenID Connect relying party with the authorization code flow. Create a [Login] with [New].
//
// A successful login starts a session of package session. Package authn/link finds the account by
// issuer and subject; your function link.Options.First decides about new users.
//
// Each login is bound to the browser that began it, by an encrypted cookie with the state, the
// nonce and the PKCE verifier (S256). Each provider has its own redirect URI, and "iss" in the
// response is checked (RFC 9207), so that the code of one provider is never sent to another
// provider. After the login, the session has a new ID and a new cookie.
//
// Limits: only response mode "query" is supported. Claims come from the ID token; userinfo is not
// requested. The provider's tokens are not stored.
package oidclogin
