package cached

import "github.com/vestibule-auth/vestibule/storage"

var _ storage.Spaced = (*Store)(nil)

// Space returns the name space of the underlying store. It implements [storage.Spaced].
func (s *Store) Space() string { return storage.SpaceOf(s.base) }
