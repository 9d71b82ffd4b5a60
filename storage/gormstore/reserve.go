package gormstore

import (
	"errors"
	"fmt"
)

// Reserve is the disk space, in bytes, that is kept for changes that must always succeed: logout,
// revocation, a new password. See Options.Free.
const Reserve = 64 << 20

// ErrReserve rejects an insert that an anonymous caller causes while the disk is nearly full. It is
// a server error: clients receive 503.
var ErrReserve = errors.New("gormstore: less than 64 MiB free on the database's file system (records of anonymous callers are rejected)")

// checkReserve returns ErrReserve if only the reserve is free. Call it before inserting a record
// that an anonymous caller causes.
func (s *Store) checkReserve() error {
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
