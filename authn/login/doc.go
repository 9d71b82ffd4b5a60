// Package login implements the endpoints that schemes share: the login endpoint, and the
// small parts of all others (own challenges, JSON answers, the caller of a list).
//
// A scheme creates its login endpoint with [New] from a password checker and a function that
// issues the credential. The endpoint reads JSON, form and multipart bodies with the error
// texts of Django REST Framework, checks the password, and reads no other credential: a stale
// one in the request changes nothing.
//
//	func (s *Scheme) Login(pw authn.PasswordChecker) http.Handler {
//		h, err := login.New(pw, s.begin, &login.Config{Scheme: "apikey", Endpoints: s.endpoints})
//		...
//	}
//
// Applications configure the login endpoints of all schemes by [Options]: names of the fields,
// and members that are added to the answer.
//
// Limits: a body has at most [MaxBody] bytes and 256 values. The package imports only the
// standard library and packages of this module that do.
package login
