// Package oauth2 accepts the access tokens of this module's authorization server, and defines the
// protocol terms that the packages below it share.
//
// Import it in an API whose users grant access to other applications. The API and the authorization
// server share a database, so revocation is immediate and a token costs one query. Begin with
// [New]:
//
//	api, err := oauth2.New("https://auth.example", db, &oauth2.Options{Audience: "https://api.example"})
//	chain := authn.Chain{api}
//
// This package does not include the authorization server. The packages below it:
//
//   - server: the authorization server and its endpoints for clients.
//   - consent: the server's pages for users: authorization, devices, grants.
//   - openid: ID tokens, UserInfo and logout, which make the server an OpenID Provider.
//   - registration: clients register and manage themselves.
//   - dpop: sender-constrained tokens.
//   - introspect: opaque tokens of another authorization server.
//   - backchannel: logout messages of another OpenID Provider.
//
// For signed tokens of another issuer use jwt.NewVerifier. For your own front ends use sessions,
// device tokens or JWTs.
//
// Limits: tokens are accepted only in the Authorization header. An identity has the scopes of its
// token, and neither roles nor permissions.
package oauth2
