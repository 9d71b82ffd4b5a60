//go:build !race

package password_test

// raceEnabled: see the other file.
const raceEnabled = false
