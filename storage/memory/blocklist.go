package memory

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// bucket is the width of the time buckets, in microseconds, with which Prune finds expired entries.
const bucket = int64(time.Minute / time.Microsecond)

// Block implements storage.Blocklist.
func (s *Store) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	return s.write(ctx, func(t *tx) error {
		for _, k := range keys {
			s.block(t, until, k)
		}
		return nil
	})
}

func (s *Store) block(t *tx, until time.Time, k storage.BlockKey) {
	at := s.atLeast(until).UnixMicro()
	if had, ok := s.blocked[k]; k.IsZero() || ok && had >= at {
		return
	}
	put(t, s.blocked, k, at)
	put(t, s.ending, at/bucket, append(s.ending[at/bucket], k))
}

// TokenStatusOf implements storage.Blocklist.
func (s *Store) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (st storage.TokenStatus, err error) {
	err = s.read(ctx, func() error {
		st = s.standing(subject, keys)
		return nil
	})
	return st, err
}

// TokenStatusWithUser implements storage.Blocklist.
func (s *Store) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (u storage.User, st storage.TokenStatus, err error) {
	err = s.read(ctx, func() error {
		st = s.standing(subject, keys)
		u, err = s.user(subject)
		return err
	})
	if err != nil {
		return storage.User{}, storage.TokenStatus{}, err
	}
	return u, st, nil
}

func (s *Store) standing(subject string, keys storage.BlockKeys) storage.TokenStatus {
	st := storage.TokenStatus{Epoch: s.epochOf(subject), Blocked: subject != "" && !storage.BelongsTo(s.space, subject)}
	for _, k := range [...]storage.BlockKey{keys.JTI, keys.SID, keys.Subject} {
		if _, ok := s.blocked[k]; ok {
			st.Blocked = true
		}
	}
	return st
}

// notAhead returns now, or the store's clock if that is earlier. A caller with a fast clock must
// not remove records that are still needed, such as a blocklist entry that revokes a token.
func (s *Store) notAhead(now time.Time) time.Time {
	if own := s.now(); own.Before(now) {
		return own
	}
	return now
}

// Prune implements storage.Pruner.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (n int, err error) {
	now = s.notAhead(now)
	err = s.write(ctx, func(t *tx) error {
		n = s.pruneBlocked(t, now.UnixMicro(), limit)
		for k, until := range s.replays {
			if n >= limit {
				return nil
			}
			if !until.After(now) {
				drop(t, s.replays, k)
				n++
			}
		}
		for d, tok := range s.creds {
			if n >= limit {
				return nil
			}
			if tok.Expired(now) {
				s.dropCredential(t, d)
				n++
			}
		}
		for d, v := range s.sessions {
			if n >= limit {
				return nil
			}
			if v.Expired(now) {
				s.dropSession(t, d)
				n++
			}
		}
		for d, v := range s.onetimes {
			if n >= limit {
				return nil
			}
			if v.Expired(now) {
				s.dropOneTime(t, d)
				n++
			}
		}
		for d, c := range s.codes {
			if n >= limit {
				return nil
			}
			if !c.Kept.After(now) {
				s.dropCode(t, d)
				n++
			}
		}
		for d, a := range s.requests {
			if n >= limit {
				return nil
			}
			if a.Expired(now) {
				drop(t, s.requests, d)
				n++
			}
		}
		for d, g := range s.polled {
			if n >= limit {
				return nil
			}
			if g.Expired(now) {
				drop(t, s.userCodes, g.UserCode)
				drop(t, s.polled, d)
				n++
			}
		}
		for name, c := range s.tries {
			if n >= limit {
				return nil
			}
			if !c.ends.After(now) {
				drop(t, s.tries, name)
				n++
			}
		}
		for id, c := range s.consents {
			if n >= limit {
				return nil
			}
			if c.Expired(now) {
				drop(t, s.consents, id)
				n++
			}
		}
		for d, a := range s.access {
			if n >= limit {
				return nil
			}
			if a.Expired(now) {
				s.dropAccess(t, d)
				n++
			}
		}
		for id, f := range s.families {
			if n >= limit {
				return nil
			}
			if !f.Expires.After(now) {
				s.dropFamily(t, id)
				n++
			}
		}
		for _, r := range s.refreshes {
			if n >= limit {
				return nil
			}
			if r.Sealed != nil && !r.SealedUntil.After(now) {
				s.erase(t, r)
				n++
			}
		}
		for id, k := range s.signing {
			if n >= limit {
				return nil
			}
			if !k.Expires.IsZero() && !k.Expires.After(now) {
				drop(t, s.signing, id)
				n++
			}
		}
		n += s.pruneClients(t, now, limit-n)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// pruneBlocked checks the buckets that have begun. If a key was blocked again for longer, it is in
// a later bucket, too.
func (s *Store) pruneBlocked(t *tx, now int64, limit int) (n int) {
	for minute, keys := range s.ending {
		if minute > now/bucket {
			continue
		}
		var rest []storage.BlockKey
		for _, k := range keys {
			switch at, ok := s.blocked[k]; {
			case !ok || at/bucket != minute:
			case at > now || n >= limit:
				rest = append(rest, k)
			default:
				drop(t, s.blocked, k)
				n++
			}
		}
		if len(rest) > 0 {
			put(t, s.ending, minute, rest)
		} else {
			drop(t, s.ending, minute)
		}
	}
	return n
}
