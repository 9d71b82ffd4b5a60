// Package registration lets clients register and manage themselves at an authorization server
// (RFC 7591, RFC 7592). Without it only an administrator registers clients.
//
// Import it if developers of applications, or the applications, register without you:
//
//	text, digest, err := registration.NewInitialAccessToken() // once; give text to developers
//	reg, err := registration.New(srv, registration.InitialAccessToken(digest),
//		&registration.Options{Scopes: []string{"notes:read"}})
//
// New adds the endpoints to srv.Routes.
//
// Limits: 1,000 registrations a day and limits by network (server.Limits). A client that
// registered itself is never trusted, and never a resource server. Metadata are stored as far as
// this package knows them; no software statements.
package registration
