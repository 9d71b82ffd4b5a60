//go:build race

package login

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
