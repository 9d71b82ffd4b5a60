//go:build !race

package authntest_test

// raceEnabled: see the other file.
const raceEnabled = false
