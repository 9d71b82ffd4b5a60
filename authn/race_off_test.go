//go:build !race

package authn_test

// raceEnabled: see the other file.
const raceEnabled = false
