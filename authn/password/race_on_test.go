//go:build race

package password_test

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
