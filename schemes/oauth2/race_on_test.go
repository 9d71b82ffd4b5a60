//go:build race

package oauth2_test

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
