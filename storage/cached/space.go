package cached

import "github.com/vestibule-auth/vestibule/storage"

var (
	_ storage.Spaced        = (*Store)(nil)
	_ storage.AccountSource = (*Store)(nil)
)

// Space returns the name space of the underlying store. It implements [storage.Spaced].
func (s *Store) Space() string { return storage.SpaceOf(s.base) }

// AccountStore returns the accounts of the underlying store. It implements
// [storage.AccountSource].
func (s *Store) AccountStore() any { return storage.AccountStoreOf(s.base) }

// AccountStore returns the accounts of the store that has users or, if none has, subjects.
func (p *partial) AccountStore() any {
	for _, part := range []any{p.Users, p.Accounts, p.Subjects} {
		if part != nil {
			return storage.AccountStoreOf(part)
		}
	}
	return nil
}
