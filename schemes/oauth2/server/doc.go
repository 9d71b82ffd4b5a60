// Package server is an authorization server for OAuth 2.0 (RFC 6749 with RFC 9700): it issues
// tokens to other applications, with the scopes that a user granted.
//
// Import it to let other applications act for your users, together with package consent, which has
// the pages on which users log in and grant access. Create the scheme that accepts the tokens, the
// server that uses it, and the pages. Then mount all routes:
//
//	api, err := oauth2.New("https://auth.example", db, nil)
//	srv, err := server.New(api, db, &server.Options{Scopes: map[string]string{"notes:read": "Read your notes"}})
//	pages, err := consent.New(srv, server.Sessions{Of: browsers.FromIdentity, Token: session.Token}, "/login", nil)
//	for _, r := range srv.Routes() {
//		switch r.Access {
//		case server.ForClients:
//			mux.Public(r.Pattern, r.Handler)
//		case server.ForVisitors:
//			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
//		case server.ForAccounts:
//			mux.Handle(r.Pattern, r.Handler, authz.FirstParty)
//		}
//	}
//
// A server whose clients act only for themselves (client credentials) does not need package
// consent. Packages openid and registration extend a server. Your own packages can do the same; see
// [Server.Extend].
//
// The token endpoint uses go-oauth2's server to select the grant and to format the response. It
// does not use go-oauth2's manager and stores. Here, codes and refresh tokens can be exchanged
// once, and tokens are stored as digests. Redirect URIs and clients are compared exactly.
//
// The package is larger than others of this module because its parts share transactions and checks.
// The token endpoint exchanges codes, refresh tokens and device codes in the same way, after the
// same client authentication and limits.
//
// Limits: code challenges are S256 only; request objects are not supported; a database has one
// issuer.
package server
