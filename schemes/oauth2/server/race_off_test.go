//go:build !race

package server_test

// raceEnabled: see the other file.
const raceEnabled = false
