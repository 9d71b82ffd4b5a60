package memory

import (
	"context"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// StaticTokenByDigest implements storage.StaticTokens.
func (s *Store) StaticTokenByDigest(ctx context.Context, d storage.Digest) (tok storage.StaticToken, u storage.User, err error) {
	err = s.read(ctx, func() error {
		subject, ok := s.digest[d]
		if !ok {
			return storage.ErrNotFound
		}
		tok = s.tokens[subject]
		u, err = s.user(subject)
		return err
	})
	if err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	return copyToken(tok), u, nil
}

// StaticTokenOf implements storage.StaticTokens.
func (s *Store) StaticTokenOf(ctx context.Context, subject string) (tok storage.StaticToken, err error) {
	err = s.read(ctx, func() error {
		var ok bool
		if tok, ok = s.tokens[subject]; !ok {
			return storage.ErrNotFound
		}
		return nil
	})
	return copyToken(tok), err
}

// PutStaticToken implements storage.StaticTokens.
func (s *Store) PutStaticToken(ctx context.Context, tok storage.StaticToken, old storage.Digest) error {
	if err := storage.CheckID("subject", tok.Subject); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if u, ok := s.users[tok.Subject]; !ok || !u.Active || s.epochOf(tok.Subject) != tok.Epoch {
			return storage.ErrStale
		}
		if s.tokens[tok.Subject].Digest != old {
			return storage.ErrConflict
		}
		if _, taken := s.digest[tok.Digest]; taken {
			return storage.ErrConflict
		}
		s.dropToken(t, tok.Subject)
		put(t, s.tokens, tok.Subject, copyToken(tok))
		put(t, s.digest, tok.Digest, tok.Subject)
		return nil
	})
}

// DeleteStaticToken implements storage.StaticTokens.
func (s *Store) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	return s.write(ctx, func(t *tx) error {
		subject, ok := s.digest[d]
		if !ok {
			return storage.ErrNotFound
		}
		s.dropToken(t, subject)
		return nil
	})
}

// DeleteStaticTokenOf implements storage.StaticTokens.
func (s *Store) DeleteStaticTokenOf(ctx context.Context, subject string) error {
	return s.write(ctx, func(t *tx) error {
		if _, ok := s.tokens[subject]; !ok {
			return storage.ErrNotFound
		}
		s.dropToken(t, subject)
		return nil
	})
}

// ListStaticTokens implements storage.StaticTokens. It sorts all tokens at each call.
func (s *Store) ListStaticTokens(ctx context.Context, after string, limit int) (list []storage.StaticToken, err error) {
	err = s.read(ctx, func() error {
		for subject, tok := range s.tokens {
			if subject > after {
				list = append(list, copyToken(tok))
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b storage.StaticToken) int { return strings.Compare(a.Subject, b.Subject) })
	return list[:min(max(limit, 0), len(list))], err
}

func (s *Store) dropToken(t *tx, subject string) {
	if tok, ok := s.tokens[subject]; ok {
		drop(t, s.digest, tok.Digest)
		drop(t, s.tokens, subject)
	}
}

func copyToken(t storage.StaticToken) storage.StaticToken {
	t.Salt, t.Created = slices.Clone(t.Salt), t.Created.UTC()
	return t
}

// SubjectPermissions implements storage.Permissions.
func (s *Store) SubjectPermissions(ctx context.Context, subject string) (names []string, err error) {
	err = s.read(ctx, func() error {
		names = slices.Clone(s.perms[subject])
		for _, g := range s.groups[subject] {
			names = append(names, s.grants[g]...)
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// SetSubjectPermissions implements storage.Permissions.
func (s *Store) SetSubjectPermissions(ctx context.Context, subject string, perms []string) error {
	return s.setList(ctx, s.perms, "subject", subject, "permission", perms)
}

// SetSubjectGroups implements storage.Permissions.
func (s *Store) SetSubjectGroups(ctx context.Context, subject string, groups []string) error {
	return s.setList(ctx, s.groups, "subject", subject, "group", groups)
}

// SetGroupPermissions implements storage.Permissions.
func (s *Store) SetGroupPermissions(ctx context.Context, group string, perms []string) error {
	return s.setList(ctx, s.grants, "group", group, "permission", perms)
}

func (s *Store) setList(ctx context.Context, m map[string][]string, what, key, kind string, list []string) error {
	if err := storage.CheckID(what, key); err != nil {
		return err
	}
	for _, name := range list {
		if err := storage.CheckID(kind, name); err != nil {
			return err
		}
	}
	return s.write(ctx, func(t *tx) error {
		if _, there := s.users[key]; what == "subject" && len(list) > 0 && !there {
			return storage.ErrNotFound
		}
		if len(list) == 0 {
			drop(t, m, key)
		} else {
			put(t, m, key, slices.Clone(list))
		}
		return nil
	})
}
