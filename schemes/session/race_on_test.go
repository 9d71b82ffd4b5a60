//go:build race

package session_test

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
