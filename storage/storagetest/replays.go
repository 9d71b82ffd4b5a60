package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func replays(t *testing.T, s *suite) {
	key := func(id string) storage.BlockKey { return storage.BlockKeyOf(storage.ReplayProof, "client", id) }
	s.rules(t, map[string]func(*kit){
		"once: a key is used for the first time once; notes of other kinds and the blocklist are apart from it": func(k *kit) {
			k.is(k.s.ConsumeJTI(k.ctx, key("a"), born, born), nil, "nobody used it")
			k.is(k.s.ConsumeJTI(k.ctx, key("a"), born, born.Add(time.Hour)), storage.ErrConflict, "used, and a note counts until it is pruned")
			k.is(k.s.ConsumeJTI(k.ctx, key("b"), born, born), nil, "another one")
			k.is(k.s.ConsumeJTI(k.ctx, storage.BlockKeyOf(storage.ReplayAssertion, "client", "a"), born, born), nil, "of another kind")
			if k.has(Blocklist) && k.blocked(key("a")) {
				k.Error("what was used is not blocked")
			}
		},
		"used: Used reports a note without noting it, and notes nothing": func(k *kit) {
			is := func(id string, want bool, why string) {
				k.Helper()
				if used, err := k.s.Used(k.ctx, key(id)); used != want || err != nil {
					k.Errorf("%s: used %t, %v", why, used, err)
				}
			}
			for range 2 {
				is("a", false, "nobody used it")
			}
			k.must(k.s.ConsumeJTI(k.ctx, key("a"), born, born))
			is("a", true, "noted")
			is("b", false, "another one")
			if used, err := k.s.Used(k.ctx, storage.BlockKey{}); used || err != nil {
				k.Errorf("the zero key: used %t, %v", used, err)
			}
			if k.has(Transactor) {
				k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
					k.must(k.s.ConsumeJTI(ctx, key("c"), born, born))
					if used, err := k.s.Used(ctx, key("c")); !used || err != nil {
						k.Errorf("in its transaction: used %t, %v", used, err)
					}
					return nil
				}))
			}
		},
		"refused: the zero key and the zero time are refused, and nothing is noted": func(k *kit) {
			k.is(k.s.ConsumeJTI(k.ctx, storage.BlockKey{}, born, born), storage.ErrInvalid, "the zero key")
			k.is(k.s.ConsumeJTI(k.ctx, key("a"), born, time.Time{}), storage.ErrInvalid, "no end")
			k.is(k.s.ConsumeJTI(k.ctx, key("a"), born, born), nil, "nothing was noted")
		},
		"prune: Prune deletes notes whose time has come and no others": func(k *kit) {
			k.needs(Pruner)
			k.must(k.s.ConsumeJTI(k.ctx, key("a"), born, born))
			k.must(k.s.ConsumeJTI(k.ctx, key("b"), born, born.Add(time.Microsecond)))
			k.pruned(born, 10, 1)
			k.is(k.s.ConsumeJTI(k.ctx, key("a"), born, born), nil, "it ended")
			k.is(k.s.ConsumeJTI(k.ctx, key("b"), born, born), storage.ErrConflict, "it has not")
		},
		"rolled_back: a rollback takes the note back": func(k *kit) {
			k.needs(Transactor)
			failed := errors.New("failed")
			k.is(k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.ConsumeJTI(ctx, key("a"), born, born))
				return failed
			}), failed, "passed on")
			k.is(k.s.ConsumeJTI(k.ctx, key("a"), born, born), nil, "the note went with the transaction")
		},
		"one_is_first: of concurrent uses one is the first": func(k *kit) {
			k.oneWins(race(func(int) error { return k.s.ConsumeJTI(k.ctx, key("a"), born, born) }), storage.ErrConflict, "first uses")
		},
	})
}
