package cached

import "github.com/vestibule-auth/vestibule/storage"

var _ storage.Spaced = (*Store)(nil)

// Space implements storage.Spaced: the name space of the store beneath.
func (s *Store) Space() string { return storage.SpaceOf(s.base) }
