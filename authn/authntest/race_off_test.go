//go:build !race

package authntest_test

// raceEnabled: see race_on_test.go.
const raceEnabled = false
