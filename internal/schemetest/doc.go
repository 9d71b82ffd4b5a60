// Package schemetest holds what the tests of the authentication schemes share, so that each part
// exists once: stores of every kind (Each), a store that counts and fails (Watched), a clock, a
// journal of audit events, requests, password checkers, the attacks on a random token (Token), and
// the table of what a client may send instead of a good credential (Wire).
//
// A scheme's test brings its own good credential:
//
//	schemetest.Wire{Scheme: x, Keyword: "Knox", Good: text, Subject: "id-alice"}.Run(t)
//
// Only tests import it; package deptest proves that. What any authenticator of any user promises
// is in package authntest, which is part of the public API.
package schemetest
