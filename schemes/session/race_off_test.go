//go:build !race

package session_test

// raceEnabled: see race_on_test.go.
const raceEnabled = false
