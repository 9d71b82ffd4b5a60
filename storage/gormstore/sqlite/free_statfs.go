//go:build linux || darwin

package sqlite

import (
	"path/filepath"
	"syscall"
)

// freeOf returns a function that returns the free bytes on the file system of path.
func freeOf(path string) func() (int64, error) {
	dir := filepath.Dir(path)
	return func() (int64, error) {
		var s syscall.Statfs_t
		if err := syscall.Statfs(dir, &s); err != nil {
			return 0, err
		}
		return int64(s.Bavail) * int64(s.Bsize), nil
	}
}
