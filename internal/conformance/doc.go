// Package conformance tests the authorization server against the certification profiles of the
// OpenID Foundation: OpenID Connect Basic, Config, RP-Initiated Logout, Back-Channel Logout and
// Form Post, and the FAPI 2.0 Security Profile. Each test has the name of a module of the
// foundation's suite and makes the same requests. It is our own client; it is not the suite, and
// passing it is not a certification.
//
// Each module also runs against a server with its requirement broken, and must then report a
// failure. The rows of plans_test.go are the source of the table in docs/oauth2/conformance.md.
package conformance
