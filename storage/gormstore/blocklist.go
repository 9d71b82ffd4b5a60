package gormstore

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// block extends until if tokens of a longer lifetime are being issued (RecordTokenLifetime), because
// the caller may belong to a process that issues shorter ones. The margin covers the leeway with which
// expired tokens are accepted.
const block = "INSERT INTO vestibule_blocklist (block_key, until_us) SELECT {key}, COALESCE((SELECT {greatest}({until}, MAX(lifetime_us) + {margin} + {now}) FROM vestibule_token_lifetimes), {until})" +
	" WHERE TRUE ON CONFLICT (block_key) DO UPDATE SET until_us = EXCLUDED.until_us WHERE vestibule_blocklist.until_us < EXCLUDED.until_us"

// newBlock returns the statement with the parameters key, until, until and, if the store has a clock,
// its time between them.
func newBlock(d dialect, clock bool) string {
	greatest, now := "MAX", d.typed("?", "BIGINT")
	if d == postgres {
		greatest = "GREATEST"
	}
	if !clock {
		now = serverNow
	}
	return d.bind(strings.NewReplacer("{key}", d.typed("?", "BYTEA"), "{greatest}", greatest, "{until}", d.typed("?", "BIGINT"), "{now}", now, "{margin}", strconv.FormatInt(margin, 10)).Replace(block))
}

// Block implements storage.Blocklist. It inserts the keys in sorted order, so that concurrent calls
// cannot deadlock.
func (s *Store) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	keys = slices.DeleteFunc(slices.Clone(keys), storage.BlockKey.IsZero)
	slices.SortFunc(keys, func(a, b storage.BlockKey) int { return bytes.Compare(a[:], b[:]) })
	at := until.UnixMicro()
	one := func(ctx context.Context, k storage.BlockKey) error {
		args := []any{k[:], at, at}
		if s.now != nil {
			args = []any{k[:], at, s.now().UnixMicro(), at}
		}
		_, err := s.exec(ctx, s.q.block, args...)
		return err
	}
	switch len(keys) {
	case 0:
		return nil
	case 1:
		return one(ctx, keys[0])
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		for _, k := range slices.Compact(keys) {
			if err := one(ctx, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// TokenStatusOf implements storage.Blocklist with one prepared query.
func (s *Store) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (st storage.TokenStatus, err error) {
	if err := s.bound(ctx); err != nil {
		return storage.TokenStatus{}, err
	}
	switch {
	case storage.CheckID("subject", subject) != nil:
		subject = "" // its epoch is the minimum of the space
	case !storage.BelongsTo(s.users.space, subject):
		return storage.TokenStatus{Blocked: true}, nil
	}
	err = s.hotRow(ctx, &s.standing, []any{subject, keys.JTI[:], keys.SID[:], keys.Subject[:]}, []any{(*epochValue)(&st.Epoch), &st.Blocked})
	if err != nil {
		return storage.TokenStatus{}, err
	}
	return st, nil
}

// TokenStatusWithUser implements storage.Blocklist with one prepared query.
func (s *Store) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	if err := s.bound(ctx); err != nil {
		return storage.User{}, storage.TokenStatus{}, err
	}
	if !s.users.has(subject) {
		return storage.User{}, storage.TokenStatus{}, storage.ErrNotFound
	}
	var r struct {
		u       userRow
		blocked bool
	}
	u := &r.u
	err := s.hotRow(ctx, &s.userStanding, []any{keys.JTI[:], keys.SID[:], keys.Subject[:], subject}, []any{
		&r.blocked, &u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	if err == nil && u.u.ID != subject { // see UserByID
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.User{}, storage.TokenStatus{}, notFound(err)
	}
	return s.account(u), storage.TokenStatus{Blocked: r.blocked, Epoch: u.u.Epoch}, nil
}
