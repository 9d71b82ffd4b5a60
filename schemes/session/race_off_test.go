//go:build !race

package session_test

// raceEnabled: see the other file.
const raceEnabled = false
