package cached

import (
	"context"
	"slices"

	"github.com/vestibule-auth/vestibule/storage"
)

// permissionsRecord is a cached result of SubjectPermissions.
type permissionsRecord struct {
	head
	names []string
}

// SubjectPermissions implements storage.Permissions.
func (s *Store) SubjectPermissions(ctx context.Context, subject string) ([]string, error) {
	if s.bypassed(ctx, Permissions) {
		return s.base.SubjectPermissions(ctx, subject)
	}
	k := Key{Kind: Permissions, Digest: storage.DigestOf(subject)}
	if it, _ := s.find(ctx, &k); it != nil {
		return own(it.(*permissionsRecord).names), nil
	}
	return s.loadPermissions(ctx, k, subject)
}

var _ storage.PermissionChecker = (*Store)(nil)

// SubjectHasPermission implements storage.PermissionChecker.
func (s *Store) SubjectHasPermission(ctx context.Context, subject, name string) (bool, error) {
	var names []string
	k := Key{Kind: Permissions, Digest: storage.DigestOf(subject)}
	if s.bypassed(ctx, Permissions) {
		var err error
		if names, err = s.base.SubjectPermissions(ctx, subject); err != nil {
			return false, err
		}
	} else if it, _ := s.find(ctx, &k); it != nil {
		names = it.(*permissionsRecord).names
	} else {
		var err error
		if names, err = s.loadPermissions(ctx, k, subject); err != nil {
			return false, err
		}
	}
	return slices.Contains(names, name) || slices.Contains(names, "*"), nil
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
		open: func(it item) []string { return own(it.(*permissionsRecord).names) },
		own:  own[string],
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

// SetGroupPermissions implements storage.Permissions. It removes everything from the cache, because
// the cache does not know the members of the group. This change is rare.
func (s *Store) SetGroupPermissions(ctx context.Context, group string, perms []string) error {
	return s.change(ctx, func(ctx context.Context) error { return s.base.SetGroupPermissions(ctx, group, perms) }, Change{All: true})
}

// Itself returns s. It implements storage.PermissionChecker and storage.LiveUsers.
func (s *Store) Itself() any { return s }
