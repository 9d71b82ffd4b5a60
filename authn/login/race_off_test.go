//go:build !race

package login

// raceEnabled: see race_on_test.go.
const raceEnabled = false
