package redisstore

import (
	"context"
	_ "embed"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-auth/vestibule/storage"
)

var (
	//go:embed mark.lua
	markSource string

	markScript = newScript(markSource)
)

// markKey returns the key of a set. Sets are spread over the servers of a Cluster: nothing changes
// two of them together, and there are some for each account.
func (s *Store) markKey(set storage.LimitKey) string { return s.prefix + "m:" + text(set[:]) }

// PutMark implements [storage.RateLimits].
func (s *Store) PutMark(ctx context.Context, now time.Time, set storage.LimitKey, m storage.LimitMark, keep int, ttl time.Duration) error {
	_, err := s.run(ctx, "PutMark", markScript, []string{s.markKey(set)}, []any{
		m.Member[:], m.Stamp[:], m.Seen.UnixMicro(), now.UnixMicro(), ttl.Microseconds(), keep,
	})
	return err
}

// MarksOf implements [storage.RateLimits].
func (s *Store) MarksOf(ctx context.Context, now time.Time, sets []storage.LimitKey) ([][]storage.LimitMark, error) {
	cmds := make([]*redis.MapStringStringCmd, len(sets))
	err := s.pipelined(ctx, func(p redis.Pipeliner) {
		for i, set := range sets {
			cmds[i] = p.HGetAll(ctx, s.markKey(set))
		}
	})
	if err != nil {
		return nil, named("MarksOf", err)
	}
	all := make([][]storage.LimitMark, len(sets))
	for i, cmd := range cmds {
		for member, value := range cmd.Val() {
			m, ends, ok := markOf(member, value)
			if !ok {
				return nil, named("MarksOf", errAnswer)
			}
			if now.Before(ends) {
				all[i] = append(all[i], m)
			}
		}
	}
	return all, nil
}

// markOf decodes a field of a set and its value; see mark.lua.
func markOf(member, value string) (m storage.LimitMark, ends time.Time, ok bool) {
	if len(member) != len(m.Member) || len(value) < len(m.Stamp) {
		return m, ends, false
	}
	copy(m.Member[:], member)
	copy(m.Stamp[:], value)
	at, until, _ := strings.Cut(value[len(m.Stamp):], ":")
	seen, err := strconv.ParseInt(at, 10, 64)
	expires, err2 := strconv.ParseInt(until, 10, 64)
	m.Seen = time.UnixMicro(seen)
	return m, time.UnixMicro(expires), err == nil && err2 == nil
}

// pipelined sends several commands that only read, in one round trip for each server.
func (s *Store) pipelined(ctx context.Context, f func(redis.Pipeliner)) error {
	return s.guarded(ctx, "MarksOf", func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			f(p)
			return nil
		})
		return err
	})
}
