// Package benchmarks does the same work with Vestibule and with its peers, in one run.
// It is a module of its own, so that their dependencies stay out of the library's.
//
//	go test -bench .
package benchmarks
