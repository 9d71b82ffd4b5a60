// Package server is an authorization server for OAuth 2.0 (RFC 6749 with RFC 9700): it issues
// tokens to applications of others, with the scopes that a user granted.
//
// Import it to let other applications act for your users, together with package consent, which
// has the pages where users log in and grant access. Create the scheme that accepts the tokens,
// the server over it, and the pages; then mount all routes:
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
// A server whose clients act only for themselves (client credentials) needs no package consent.
// Packages openid and registration extend a server, and so can yours: see Server.Extend.
//
// The token endpoint uses the frame of go-oauth2's server. Its manager and its stores are not
// used: codes and refresh tokens are exchanged once, tokens are stored as digests, and redirect
// URIs and clients are compared exactly.
//
// The package is larger than others of this module, because its parts share one transaction: codes,
// grants, refresh tokens and device codes end in the same exchange, and client authentication and
// limits guard each of them.
//
// Limits: code challenges are S256 only; there are no request objects; one issuer for each
// database.
package server
