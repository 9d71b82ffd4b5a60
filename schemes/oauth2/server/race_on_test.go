//go:build race

package server_test

// raceEnabled: the race detector allocates for itself.
const raceEnabled = true
