// Package registration lets clients register and manage themselves at an authorization server (RFC
// 7591, RFC 7592). Without it only an administrator registers clients.
//
// Import it if developers of applications, or the applications themselves, register without you:
//
//	text, digest, err := registration.NewInitialAccessToken() // once; give text to developers
//	reg, err := registration.New(srv, registration.InitialAccessToken(digest),
//		&registration.Options{Scopes: []string{"notes:read"}})
//
// New adds the endpoints to srv.Routes.
//
// Limits: 1,000 registrations per day, and limits per network (server.Limits). A client that
// registered itself is never trusted and never a resource server. Unknown metadata is ignored, and
// software statements are not supported.
package registration
