package storagetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func consents(t *testing.T, s *suite) {
	consent := func(subject, client string) storage.Consent {
		return storage.Consent{Subject: subject, Client: client, Scopes: []string{"b", "a"}, Resource: []string{"https://api.example"}, Created: born, Expires: born.Add(time.Hour)}
	}
	// allowed creates an account, clients, and a consent of the account to each.
	allowed := func(k *kit, clients ...string) storage.User {
		k.Helper()
		u := k.add("alice")
		for _, id := range clients {
			k.must(k.s.CreateClient(k.ctx, client(id)))
			k.must(k.s.PutConsent(k.ctx, consent(u.ID, id)))
		}
		return u
	}
	gone := func(k *kit, subject, client, why string) {
		k.Helper()
		_, err := k.s.ConsentOf(k.ctx, subject, client)
		k.is(err, storage.ErrNotFound, why)
	}
	s.rules(t, map[string]func(*kit){
		"round_trip: a consent comes back as it was stored, and a new one of the same user and client replaces it": func(k *kit) {
			k.needs(Clients)
			u := allowed(k, "c", "d")
			given := consent(u.ID, "c")
			given.Created = born.In(time.FixedZone("", 60))
			k.must(k.s.PutConsent(k.ctx, given))
			if got, err := k.s.ConsentOf(k.ctx, u.ID, "c"); err != nil || !reflect.DeepEqual(got, consent(u.ID, "c")) {
				k.Errorf("got %+v, %v", got, err)
			}
			next := storage.Consent{Subject: u.ID, Client: "c", Created: born.Add(time.Second), Expires: born.Add(time.Minute)}
			k.must(k.s.PutConsent(k.ctx, next))
			if got, err := k.s.ConsentOf(k.ctx, u.ID, "c"); err != nil || !reflect.DeepEqual(got, next) {
				k.Errorf("got %+v, %v: all of it is replaced", got, err)
			}
			gone(k, u.ID, "C", "another client")
			gone(k, "id-bob", "c", "another user")
			k.must(k.s.DeleteConsent(k.ctx, u.ID, "c"))
			k.is(k.s.DeleteConsent(k.ctx, u.ID, "c"), storage.ErrNotFound, "dropped already")
			gone(k, u.ID, "c", "dropped")
			if got, err := k.s.ConsentOf(k.ctx, u.ID, "d"); err != nil || got.Client != "d" {
				k.Errorf("got %+v, %v: another client's stays", got, err)
			}
		},
		"refused: a consent that cannot be kept is refused with ErrInvalid": func(k *kit) {
			k.needs(Clients)
			u := allowed(k, "c")
			for what, change := range map[string]func(*storage.Consent){
				"subject": func(c *storage.Consent) { c.Subject = "" }, "client": func(c *storage.Consent) { c.Client = "a\x00" }, "end": func(c *storage.Consent) { c.Expires = time.Time{} },
				"scope": func(c *storage.Consent) { c.Scopes = []string{"a b"} }, "resource": func(c *storage.Consent) { c.Resource = []string{""} },
			} {
				c := consent(u.ID, "c")
				change(&c)
				k.is(k.s.PutConsent(k.ctx, c), storage.ErrInvalid, what)
			}
			for _, bad := range []string{"", "a\x00", "\xff"} {
				gone(k, bad, "c", "no name")
				gone(k, u.ID, bad, "no name")
				k.is(k.s.DeleteConsent(k.ctx, bad, "c"), storage.ErrNotFound, "no name")
				k.is(k.s.DeleteConsent(k.ctx, u.ID, bad), storage.ErrNotFound, "no name")
			}
		},
		"stale: a consent of a subject or client that is absent, disabled or changed gets ErrStale": func(k *kit) {
			k.needs(Clients)
			u := allowed(k)
			c := client("off")
			c.Disabled = true
			k.must(k.s.CreateClient(k.ctx, c))
			k.must(k.s.CreateClient(k.ctx, client("c")))
			k.is(k.s.PutConsent(k.ctx, consent(u.ID, "nobody")), storage.ErrStale, "there is no such client")
			k.is(k.s.PutConsent(k.ctx, consent(u.ID, "off")), storage.ErrStale, "the client is disabled")
			k.is(k.s.PutConsent(k.ctx, consent("nobody", "c")), storage.ErrStale, "there is no such account")
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.PutConsent(k.ctx, consent(u.ID, "c")), storage.ErrStale, "the epoch moved")
			now := consent(u.ID, "c")
			now.Epoch = k.epoch(u.ID)
			k.must(k.s.PutConsent(k.ctx, now))
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			now.Epoch = k.epoch(u.ID)
			k.is(k.s.PutConsent(k.ctx, now), storage.ErrStale, "the account is disabled")
		},
		"goes_with_the_client: deleting the client deletes its consents": func(k *kit) {
			k.owns(Clients)
			u := allowed(k, "c", "d")
			k.must(k.s.DeleteClient(k.ctx, "c"))
			k.must(k.s.CreateClient(k.ctx, client("c"))) // another client with that ID
			gone(k, u.ID, "c", "its client was deleted")
			_, err := k.s.ConsentOf(k.ctx, u.ID, "d")
			k.is(err, nil, "another client's stays")
		},
		"goes_with_the_account: deleting the account deletes its consents": func(k *kit) {
			k.needs(Clients)
			k.owns(Accounts)
			u := allowed(k, "c")
			k.must(k.s.DeleteUser(k.ctx, u.ID))
			gone(k, u.ID, "c", "its account was deleted")
		},
		"rolls_back: a rollback takes a consent back": func(k *kit) {
			k.needs(Clients, Transactor)
			u := allowed(k, "c")
			stop := errors.New("stop")
			k.is(k.s.InTx(k.ctx, func(ctx context.Context) error {
				return errors.Join(k.s.DeleteConsent(ctx, u.ID, "c"), stop)
			}), stop, "passed on")
			_, err := k.s.ConsentOf(k.ctx, u.ID, "c")
			k.is(err, nil, "the transaction was rolled back")
		},
		"prune: Prune deletes consents that have expired and no others": func(k *kit) {
			k.needs(Clients, Pruner)
			u := allowed(k, "c", "d")
			later := consent(u.ID, "d")
			later.Expires = later.Expires.Add(time.Microsecond)
			k.must(k.s.PutConsent(k.ctx, later))
			k.pruned(born.Add(time.Hour), 10, 1)
			gone(k, u.ID, "c", "expired")
			_, err := k.s.ConsentOf(k.ctx, u.ID, "d")
			k.is(err, nil, "one that has not expired stays")
		},
		// In either order, no record of a deleted client remains.
		"beside_the_end_of_the_client: no consent stays of a client that is deleted at the same time": func(k *kit) {
			k.owns(Clients)
			u := allowed(k, "c")
			for i, err := range race(func(i int) error {
				if i%8 == 7 {
					return k.s.DeleteClient(k.ctx, "c")
				}
				return k.s.PutConsent(k.ctx, consent(u.ID, "c"))
			}) {
				if err != nil && !errors.Is(err, storage.ErrStale) && !errors.Is(err, storage.ErrNotFound) {
					k.Errorf("%d: %v", i, err)
				}
			}
			gone(k, u.ID, "c", "its client was deleted")
		},
	})
}
