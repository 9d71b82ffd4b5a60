// Package consent implements the pages of an authorization server for users. These are the
// authorization endpoint with its consent page, the page for device codes, and the list of
// applications to which a user granted access.
//
// Import it for every authorization server whose clients act for users. Call [New] after all other
// packages that extend the server:
//
//	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
//	pages, err := consent.New(srv, sessions, "/login", nil)
//
// New adds the pages to srv.Routes; package server shows how to mount them. For your own design of
// the consent page set Options.Render. For entirely different pages use the methods of
// server.Server on which this package is built: ParseRequest, Approve and Redirect.
//
// Limits: only users with a session can grant access. The pages run no script and cannot be framed.
package consent
