package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/storage"
)

// maxListed is the largest number of sessions of a subject that are read from the database. The
// schemes keep at most 1,000 by default.
const maxListed = 10_000

// ListSessions implements [storage.SessionList]. Because the list is ordered by last use,
// ListSessions reads all sessions of the subject.
func (s *Sessions) ListSessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	if limit <= 0 {
		return nil, nil
	}
	list, err := s.base.ListSessions(ctx, subject, maxListed)
	if err != nil {
		return nil, err
	}
	if list, err = s.withContent(ctx, list); err != nil {
		return nil, named("ListSessions", err)
	}
	slices.SortFunc(list, func(a, b storage.Session) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), strings.Compare(a.ID, b.ID))
	})
	return list[:min(limit, len(list))], nil
}

// withContent returns the sessions of list that have content, with its times and version.
func (s *Sessions) withContent(ctx context.Context, list []storage.Session) ([]storage.Session, error) {
	const step = 500
	live := list[:0]
	for part := range slices.Chunk(list, step) {
		cmds := make([]*redis.SliceCmd, len(part))
		err := s.s.pipelined(ctx, func(p redis.Pipeliner) {
			for i, v := range part {
				cmds[i] = p.HMGet(ctx, s.key(v.Digest), fieldVersion, fieldSeen, fieldExpires)
			}
		})
		if err != nil {
			return nil, err
		}
		for i, v := range part {
			switch err := overlay(&v, cmds[i].Val()); {
			case err == nil:
				live = append(live, v)
			case !errors.Is(err, storage.ErrNotFound):
				return nil, err
			}
		}
	}
	return live, nil
}

// SessionByID implements [storage.SessionList].
func (s *Sessions) SessionByID(ctx context.Context, subject, id string) (storage.Session, error) {
	v, err := s.base.SessionByID(ctx, subject, id)
	if err != nil {
		return storage.Session{}, err
	}
	list, err := s.withContent(ctx, []storage.Session{v})
	switch {
	case err != nil:
		return storage.Session{}, named("SessionByID", err)
	case len(list) == 0:
		return storage.Session{}, storage.ErrNotFound
	}
	return list[0], nil
}

// DeleteSessionOf implements [storage.SessionList].
func (s *Sessions) DeleteSessionOf(ctx context.Context, subject, id string) error {
	v, findErr := s.base.SessionByID(ctx, subject, id) // only to know what to delete in Redis
	err := s.base.DeleteSessionOf(ctx, subject, id)
	if err == nil && findErr == nil {
		s.forget(ctx, v.Digest)
	}
	return err
}

// DeleteSessionsOf implements [storage.SessionList].
func (s *Sessions) DeleteSessionsOf(ctx context.Context, subject, keep string) (int, error) {
	return s.deleteAll(ctx, subject, func(id string) bool { return keep == "" || id != keep },
		func(ctx context.Context) (int, error) { return s.base.DeleteSessionsOf(ctx, subject, keep) })
}

// DeleteSeries implements [storage.SessionList].
func (s *Sessions) DeleteSeries(ctx context.Context, subject, series, keep string) (int, error) {
	return s.deleteAll(ctx, subject, func(id string) bool { return strings.HasPrefix(id, series+".") && (keep == "" || id != keep) },
		func(ctx context.Context) (int, error) { return s.base.DeleteSeries(ctx, subject, series, keep) })
}

// deleteAll calls del, which deletes sessions of a subject, and deletes the content of those for
// whose ID deleted returns true.
func (s *Sessions) deleteAll(ctx context.Context, subject string, deleted func(id string) bool, del func(context.Context) (int, error)) (int, error) {
	list, _ := s.base.ListSessions(ctx, subject, maxListed) // only to know what to delete in Redis
	n, err := del(ctx)
	if err != nil || n == 0 {
		return n, err
	}
	var digests []storage.Digest
	for _, v := range list {
		if deleted(v.ID) {
			digests = append(digests, v.Digest)
		}
	}
	s.forget(ctx, digests...)
	return n, nil
}
