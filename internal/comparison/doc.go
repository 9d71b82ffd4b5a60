// Package comparison is the machinery of the root's comparison_test.go: a server that mounts every
// scheme over a real database, and a probe that asks one scheme a question by what a client can
// observe over HTTP. The questions are in the test.
package comparison
