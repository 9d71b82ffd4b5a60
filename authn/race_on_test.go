//go:build race

package authn_test

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
