// Package consent has the pages of an authorization server for people: the authorization
// endpoint with its consent page, the page for the codes of devices, and the list of the
// applications that a user granted access to.
//
// Import it for every authorization server whose clients act for users. Construct it last:
//
//	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
//	pages, err := consent.New(srv, sessions, "/login", nil)
//
// New adds the pages to srv.Routes; package server shows how to mount them. For pages of your own
// render only the consent page yourself (Options.Render), or use the methods of server.Server
// that this package is built from: ParseRequest, Approve and Redirect.
//
// Limits: only users of a session can grant access. The pages run no script and cannot be framed.
package consent
