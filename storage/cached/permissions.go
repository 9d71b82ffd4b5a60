package cached

import (
	"context"

	"github.com/vestibule-auth/vestibule/storage"
)

// permissionsRecord is what SubjectPermissions answered.
type permissionsRecord struct {
	head
	names []string
}

// SubjectPermissions implements storage.Permissions.
func (s *Store) SubjectPermissions(ctx context.Context, subject string) ([]string, error) {
	if s.direct(ctx, Permissions) {
		return s.base.SubjectPermissions(ctx, subject)
	}
	k := Key{Permissions, storage.DigestOf(subject)}
	if it, _ := s.find(&k); it != nil {
		return it.(*permissionsRecord).names, nil
	}
	return s.loadPermissions(ctx, k, subject)
}

func (s *Store) loadPermissions(ctx context.Context, k Key, subject string) ([]string, error) {
	return load(ctx, s, k, lookup[[]string]{
		read: func(ctx context.Context) ([]string, error) { return s.base.SubjectPermissions(ctx, subject) },
		keep: func(v *[]string) kept {
			out := kept{item: &permissionsRecord{names: own(*v)}, size: recordSize, deps: names{s.stripeOfSubject(subject)}}
			for _, name := range *v {
				out.size += len(name) + 32
			}
			return out
		},
		open: func(it item) []string { return it.(*permissionsRecord).names },
	})
}

// SetSubjectPermissions implements storage.Permissions.
func (s *Store) SetSubjectPermissions(ctx context.Context, subject string, perms []string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetSubjectPermissions(ctx, subject, perms) }, ofSubject(subject))
}

// SetSubjectGroups implements storage.Permissions.
func (s *Store) SetSubjectGroups(ctx context.Context, subject string, groups []string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetSubjectGroups(ctx, subject, groups) }, ofSubject(subject))
}

// SetGroupPermissions implements storage.Permissions. It is rare, and nobody knows here
// who is in the group, so everything is forgotten.
func (s *Store) SetGroupPermissions(ctx context.Context, group string, perms []string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetGroupPermissions(ctx, group, perms) }, Change{All: true})
}
