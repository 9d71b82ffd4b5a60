// Package oauthtest is the fixture of the tests of OAuth 2.0: a whole authorization server over
// a store with a user and a few clients, and what browsers and clients do with it.
package oauthtest
