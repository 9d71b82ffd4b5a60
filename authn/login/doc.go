// Package login implements the login endpoint of schemes, and helpers for their other endpoints:
// challenges, JSON responses, and checks of the caller.
//
// A scheme creates its login endpoint with [New] from a password checker and a function that issues
// the credentials. The endpoint reads JSON, form and multipart bodies, returns the error texts of
// Django REST Framework, and checks the password. It ignores other credentials in the request, so
// expired ones do not prevent a login.
//
//	func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
//		h, err := login.New(pw, s.begin, &login.Config{Scheme: "apikey", Endpoints: s.endpoints})
//		...
//	}
//
// Applications configure the login endpoints of all schemes with [Options]: the names of the
// fields, and members that are added to the response.
//
// A body can have at most 256 values and [MaxBody] bytes. The limit in bytes is lower if the
// endpoint's fields are short (see [Read]). The package imports only the standard library and packages of this module that do
// the same.
package login
