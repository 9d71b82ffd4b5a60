//go:build !race

package oauth2_test

// raceEnabled: see the other file.
const raceEnabled = false
