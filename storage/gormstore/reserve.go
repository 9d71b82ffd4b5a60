package gormstore

import (
	"errors"
	"fmt"
)

// Reserve is how many bytes a file system keeps for what must always fit: logout, revocation, a
// new password. See Options.Free.
const Reserve = 64 << 20

// ErrReserve refuses an insert that an anonymous caller causes while the disk is nearly full.
// It is a fault: callers get 503.
var ErrReserve = errors.New("gormstore: less than 64 MiB are free on the database's file system: only an administrator's and logged-in users' changes are written")

// room refuses a record that an anonymous caller causes where the reserve is all that is left.
func (s *Store) room() error {
	if s.free == nil {
		return nil
	}
	switch free, err := s.free(); {
	case err != nil:
		return fmt.Errorf("gormstore: free space: %w", err)
	case free < Reserve:
		return ErrReserve
	}
	return nil
}
