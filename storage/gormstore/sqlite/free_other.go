//go:build !linux && !darwin

package sqlite

// freeOf returns nil, because the free space is not available on this platform.
func freeOf(string) func() (int64, error) { return nil }
