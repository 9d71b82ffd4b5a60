// Package oidclogin lets users of an application log in at OpenID Providers ("Sign in with …"). It is
// a relying party of OpenID Connect with the authorization code flow. Create a [Login] with [New].
//
// A successful login starts a session of package session. Package authn/link finds the account by
// issuer and subject; your function link.Options.First decides about new users.
//
// Each login is bound to the browser that began it, by a sealed cookie with state, nonce and PKCE
// verifier (S256). Each provider has its own redirect URI, and "iss" in the response is checked (RFC
// 9207), so that a response of one provider is never sent to another. The session gets a new cookie.
//
// Limits: response mode "query" only; claims come from the ID token, and userinfo is not requested;
// the tokens of the provider are not kept.
package oidclogin
