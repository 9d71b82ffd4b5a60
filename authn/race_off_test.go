//go:build !race

package authn_test

// raceEnabled: see race_on_test.go.
const raceEnabled = false
