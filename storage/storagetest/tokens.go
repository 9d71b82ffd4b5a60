package storagetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func tokens(t *testing.T, s *suite) {
	none := storage.Digest{}
	s.rules(t, map[string]func(*kit){
		"round_trip: a token comes back as it was stored, with its account": func(k *kit) {
			u, want := k.give("alice")
			got, owner, err := k.s.StaticTokenByDigest(k.ctx, want.Digest)
			k.must(err)
			if !reflect.DeepEqual(got, want) || !isOwner(owner, u) {
				k.Errorf("got %#v of %#v", got, owner)
			}
			got, err = k.s.StaticTokenOf(k.ctx, u.ID)
			k.must(err)
			if !reflect.DeepEqual(got, want) {
				k.Errorf("got %#v", got)
			}
		},
		"epoch_of_now_comes_along: the account comes with the subject's present epoch, the token with its own": func(k *kit) {
			u, tok := k.give("alice")
			n, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			got, owner, err := k.s.StaticTokenByDigest(k.ctx, tok.Digest)
			k.must(err)
			if got.Epoch != tok.Epoch || owner.Epoch != n {
				k.Errorf("token %d, account %d: want %d and %d", got.Epoch, owner.Epoch, tok.Epoch, n)
			}
		},
		"absent: what is absent or malformed gets ErrNotFound": func(k *kit) {
			_, _, err := k.s.StaticTokenByDigest(k.ctx, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "no such digest")
			_, err = k.s.StaticTokenOf(k.ctx, "nobody")
			k.is(err, storage.ErrNotFound, "no such subject")
			_, err = k.s.StaticTokenOf(k.ctx, "a\x00")
			k.is(err, storage.ErrNotFound, "a malformed subject has none")
			k.is(k.s.DeleteStaticToken(k.ctx, storage.DigestOf("x")), storage.ErrNotFound, "nothing to delete")
			k.is(k.s.DeleteStaticTokenOf(k.ctx, "nobody"), storage.ErrNotFound, "nothing to delete")
		},
		"one_per_subject: a subject has one token, which is replaced only by a caller that knows it": func(k *kit) {
			u, first := k.give("alice")
			second := token(u.ID, first.Epoch, 2)
			k.is(k.s.PutStaticToken(k.ctx, second, none), storage.ErrConflict, "the subject has a token")
			k.is(k.s.PutStaticToken(k.ctx, second, storage.DigestOf("other")), storage.ErrConflict, "its token is another")
			if !k.usable(first.Digest) || k.usable(second.Digest) {
				k.Error("a refused put changed something")
			}
			k.must(k.s.PutStaticToken(k.ctx, second, first.Digest))
			if k.usable(first.Digest) || !k.usable(second.Digest) {
				k.Error("the exchange did not take place")
			}
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, first.Epoch, 3), first.Digest), storage.ErrConflict, "its token is another by now")
		},
		"exchange_of_none: without a token there is nothing to exchange": func(k *kit) {
			u := k.add("alice")
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, 0, 1), storage.DigestOf("x")), storage.ErrConflict, "there is nothing to exchange")
		},
		"attack_048_digest_is_taken: a digest belongs to one subject; ErrConflict changes nothing": func(k *kit) {
			_, first := k.give("alice")
			bob := k.add("bob")
			same := first
			same.Subject = bob.ID
			k.is(k.s.PutStaticToken(k.ctx, same, none), storage.ErrConflict, "the digest is another subject's")
			own := token(bob.ID, 0, 7)
			k.must(k.s.PutStaticToken(k.ctx, own, none))
			k.is(k.s.PutStaticToken(k.ctx, same, own.Digest), storage.ErrConflict, "the digest is another subject's")
			if _, owner, err := k.s.StaticTokenByDigest(k.ctx, first.Digest); err != nil || owner.Name != "alice" || !k.usable(own.Digest) {
				k.Errorf("a refused put changed something: %+v, %v", owner, err)
			}
		},
		"attack_047_digests_that_begin_alike: the whole digest is compared": func(k *kit) {
			_, first := k.give("alice")
			bob := k.add("bob")
			second := token(bob.ID, 0, 1)
			second.Digest = first.Digest
			second.Digest[len(second.Digest)-1] ^= 1
			k.must(k.s.PutStaticToken(k.ctx, second, none))
			for want, d := range map[string]storage.Digest{"alice": first.Digest, "bob": second.Digest} {
				if _, u, err := k.s.StaticTokenByDigest(k.ctx, d); err != nil || u.Name != want {
					k.Errorf("got %q, %v, want %q: the whole digest is compared", u.Name, err, want)
				}
			}
		},
		"times_are_utc: times come back in UTC, to the microsecond": func(k *kit) {
			u, first := k.give("alice")
			for _, want := range []time.Time{born.In(time.FixedZone("", 5*3600)), {}} {
				t := first
				t.Created = want
				k.must(k.s.DeleteStaticToken(k.ctx, t.Digest))
				k.must(k.s.PutStaticToken(k.ctx, t, none))
				got, err := k.s.StaticTokenOf(k.ctx, u.ID)
				k.must(err)
				if !got.Created.Equal(want) || got.Created.Location() != time.UTC {
					k.Errorf("%v came back as %v: times are UTC, to the microsecond", want, got.Created)
				}
			}
		},
		"what_is_kept_is_a_copy: the salt is not shared with the caller": func(k *kit) {
			u := k.add("alice")
			t := token(u.ID, 0, 1)
			k.must(k.s.PutStaticToken(k.ctx, t, none))
			want := t.Salt[0]
			t.Salt[0]++
			got, err := k.s.StaticTokenOf(k.ctx, u.ID)
			k.must(err)
			if got.Salt[0] != want {
				k.Error("a caller changed a stored token through what it gave")
			}
		},
		"attack_050_imported_twice: a second import of a token gets ErrConflict and replaces nothing": func(k *kit) {
			_, first := k.give("alice")
			k.is(k.s.PutStaticToken(k.ctx, first, none), storage.ErrConflict, "the second import is refused, never a silent replacement")
		},
		"stale: a token of a subject that is absent, disabled or of another epoch gets ErrStale": func(k *kit) {
			u := k.add("alice")
			k.is(k.s.PutStaticToken(k.ctx, token("nobody", 0, 1), none), storage.ErrStale, "there is no such subject")
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, 5, 1), none), storage.ErrStale, "the epoch is another")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, k.epoch(u.ID), 1), none), storage.ErrStale, "the subject is disabled")
			_, err := k.s.StaticTokenOf(k.ctx, u.ID)
			k.is(err, storage.ErrNotFound, "nothing was written")
		},
		"stale_exchange: an exchange by a caller that read an earlier epoch gets ErrStale": func(k *kit) {
			u, first := k.give("alice")
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.PutStaticToken(k.ctx, token(u.ID, first.Epoch, 2), first.Digest), storage.ErrStale, "the epoch moved")
			k.must(k.s.PutStaticToken(k.ctx, token(u.ID, k.epoch(u.ID), 2), first.Digest))
		},
		"delete: a token is deleted once; a second call gets ErrNotFound": func(k *kit) {
			u, tok := k.give("alice")
			k.must(k.s.DeleteStaticToken(k.ctx, tok.Digest))
			k.is(k.s.DeleteStaticToken(k.ctx, tok.Digest), storage.ErrNotFound, "it is deleted already")
			k.must(k.s.PutStaticToken(k.ctx, tok, none))
			k.must(k.s.DeleteStaticTokenOf(k.ctx, u.ID))
			k.is(k.s.DeleteStaticTokenOf(k.ctx, u.ID), storage.ErrNotFound, "it is deleted already")
		},
		"list: pages of tokens follow each other in the order of the subjects": func(k *kit) {
			for _, name := range []string{"c", "a", "b"} {
				k.give(name)
			}
			page, err := k.s.ListStaticTokens(k.ctx, "id-a", 1)
			k.must(err)
			if len(page) != 1 || page[0].Subject != "id-b" {
				k.Errorf("got %v", page)
			}
			all, err := k.s.ListStaticTokens(k.ctx, "", 10)
			k.must(err)
			if len(all) != 3 {
				k.Errorf("got %d tokens", len(all))
			}
		},
	})
}

func transactions(t *testing.T, s *suite) {
	failed := errors.New("failed on purpose")
	gone := func(k *kit) {
		k.Helper()
		_, err := k.s.UserByID(k.ctx, "id-alice")
		k.is(err, storage.ErrNotFound, "the transaction was rolled back")
	}
	s.rules(t, map[string]func(*kit){
		"commit: a transaction sees its own writes, and they stay": func(k *kit) {
			k.owns(Users)
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
				if err := k.s.CreateUser(ctx, account("alice")); err != nil {
					return err
				}
				_, err := k.s.UserByName(ctx, "alice") // the transaction reads its own writes
				return err
			}))
			_, err := k.s.UserByID(k.ctx, "id-alice")
			k.must(err)
		},
		"rollback_on_error: an error rolls back everything, also epochs, and is passed on": func(k *kit) {
			k.needs(StaticTokens)
			k.owns(Users, Accounts, Subjects)
			err := k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.CreateUser(ctx, account("alice")))
				k.must(k.s.PutStaticToken(ctx, token("id-alice", 0, 1), storage.Digest{}))
				k.must(k.s.SetPassword(ctx, "id-alice", "x"))
				return failed
			})
			k.is(err, failed, "the function's error is passed on")
			gone(k)
			if n := k.epoch("id-alice"); n != 0 {
				k.Errorf("epoch %d", n)
			}
		},
		"rollback_on_panic: a panic rolls back and is passed on, and the store goes on": func(k *kit) {
			k.owns(Users)
			func() {
				defer func() {
					if recover() == nil {
						k.Error("the panic is passed on")
					}
				}()
				_ = k.s.InTx(k.ctx, func(ctx context.Context) error {
					k.must(k.s.CreateUser(ctx, account("alice")))
					panic("on purpose")
				})
			}()
			gone(k)
			k.add("alice") // the store still works
		},
		"nested_joins: a nested InTx joins the transaction that is running": func(k *kit) {
			k.owns(Users)
			err := k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(k.s.InTx(ctx, func(ctx context.Context) error { return k.s.CreateUser(ctx, account("alice")) }))
				return failed
			})
			k.is(err, failed, "the function's error is passed on")
			gone(k)
		},
		"an_answer_does_not_spoil_it: an error that is an answer, such as ErrConflict, leaves the transaction usable": func(k *kit) {
			k.needs(StaticTokens)
			k.owns(Users)
			k.add("bob")
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.is(k.s.CreateUser(ctx, account("bob")), storage.ErrConflict, "the name is taken")
				k.is(k.s.PutStaticToken(ctx, token("nobody", 0, 1), storage.Digest{}), storage.ErrStale, "there is no such subject")
				return k.s.CreateUser(ctx, account("alice"))
			}))
			_, err := k.s.UserByID(k.ctx, "id-alice")
			k.must(err)
		},
		"cancelled: a transaction whose context ended is not committed": func(k *kit) {
			k.owns(Users)
			ctx, cancel := context.WithCancel(k.ctx)
			err := k.s.InTx(ctx, func(ctx context.Context) error {
				k.must(k.s.CreateUser(ctx, account("alice")))
				cancel()
				return nil
			})
			if err == nil {
				k.Error("a transaction whose context ended was acknowledged")
			}
			gone(k)
		},
		"context_ends_inside: a context that ends in the midst of a transaction rolls all of it back": func(k *kit) {
			k.owns(Users, Accounts)
			k.add("bob")
			ctx, cancel := context.WithCancel(k.ctx)
			err := k.s.InTx(ctx, func(ctx context.Context) error {
				k.must(k.s.CreateUser(ctx, account("alice")))
				cancel()
				for range 1000 { // a store may return an error immediately or at the end
					if k.s.SetPassword(ctx, "id-bob", "x") != nil {
						break
					}
				}
				return nil
			})
			if err == nil {
				k.Error("a transaction whose context ended was acknowledged")
			}
			gone(k)
			u, err := k.s.UserByID(k.ctx, "id-bob")
			k.must(err)
			if u.Password != account("bob").Password {
				k.Error("a part of the transaction stayed")
			}
			k.add("carol") // the store still works
		},
	})
}
