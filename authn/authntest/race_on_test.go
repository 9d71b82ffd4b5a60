//go:build race

package authntest_test

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
