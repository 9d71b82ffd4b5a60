// Package storagetest is the conformance suite that every implementation of the
// interfaces of package storage passes. Give Run a function that opens an empty
// store:
//
//	func TestStore(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storagetest.Store { return open(t) })
//	}
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Store is what the suite needs of an implementation.
type Store interface {
	storage.Users
	storage.Accounts
	storage.Subjects
	storage.Permissions
	storage.StaticTokens
	storage.DeviceTokens
	storage.Sessions
	storage.SessionList
	storage.Families
	storage.Blocklist
	storage.Replays
	storage.SigningKeys
	storage.OneTimes
	storage.Clients
	storage.Codes
	storage.AccessTokens
	storage.AuthRequests
	storage.DeviceGrants
	storage.Tries
	storage.Consents
	storage.Pruner
	storage.Transactor
}

// Run runs the suite. open returns an empty store of its own for each test, and
// cleans up by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) Store)
	}{
		{"users", users},
		{"accounts", accounts},
		{"subjects", subjects},
		{"permissions", permissions},
		{"tokens", tokens},
		{"device_tokens", deviceTokens},
		{"device_ends", deviceEnds},
		{"device_limit", deviceLimit},
		{"sessions", sessions},
		{"session_ends", sessionEnds},
		{"families", families},
		{"claims", claims},
		{"blocklist", blocklist},
		{"replays", replays},
		{"signing_keys", signingKeys},
		{"one_times", oneTimes},
		{"clients", clients},
		{"codes", codes},
		{"access_tokens", accessTokens},
		{"auth_requests", authRequests},
		{"device_grants", deviceGrants},
		{"tries", triesCounted},
		{"consents", consents},
		{"pending", pending},
		{"prune", prune},
		{"sweep", sweep},
		{"transactions", transactions},
		{"races", races},
		{"device_races", deviceRaces},
		{"session_races", sessionRaces},
		{"family_races", familyRaces},
		{"texts", texts},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, open) })
	}
}

// rules runs each rule on a store of its own.
func rules(t *testing.T, open func(*testing.T) Store, list map[string]func(*kit)) {
	for name, rule := range list {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			rule(&kit{t, ctx, open(t)})
		})
	}
}

// withClients runs each rule with these clients in its store.
func withClients(list map[string]func(*kit), ids ...string) map[string]func(*kit) {
	out := make(map[string]func(*kit), len(list))
	for name, rule := range list {
		out[name] = func(k *kit) {
			for _, id := range ids {
				k.must(k.s.CreateClient(k.ctx, client(id)))
			}
			rule(k)
		}
	}
	return out
}

// kit is a store with what the rules do again and again.
type kit struct {
	*testing.T
	ctx context.Context
	s   Store
}

// is fails unless err is want; why says which rule that breaks.
func (k *kit) is(err, want error, why string) {
	k.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		k.Errorf("got error %v, want %v: %s", err, want, why)
	}
}

// must fails the test at once where err is not nil.
func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// born is a time that every store can keep: whole microseconds, UTC.
var born = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

func account(name string) storage.User {
	return storage.User{
		ID: "id-" + name, Name: name, Email: name + "@example.com", Password: "hash of " + storage.PasswordHash(name),
		Active: true, Roles: []string{"staff", "admin"}, Created: born,
	}
}

// isOwner reports whether got is the account as it comes with a credential: perhaps
// without its password hash.
func isOwner(got, want storage.User) bool {
	if got.Password == "" {
		want.Password = ""
	}
	return reflect.DeepEqual(got, want)
}

// add creates an account.
func (k *kit) add(name string) storage.User {
	k.Helper()
	u := account(name)
	k.must(k.s.CreateUser(k.ctx, u))
	return u
}

func (k *kit) epoch(subject string) int64 {
	k.Helper()
	n, err := k.s.SubjectEpoch(k.ctx, subject)
	k.must(err)
	return n
}

// token makes a token record for a subject; n tells tokens apart.
func token(subject string, epoch int64, n int) storage.StaticToken {
	return storage.StaticToken{
		Digest: storage.DigestOf(fmt.Sprintf("%s %d", subject, n)), Subject: subject,
		Salt: []byte{byte(n), 0, 1, 2, 0xff}, KeyID: "key", Epoch: epoch, Created: born,
	}
}

// give creates an account with a token.
func (k *kit) give(name string) (storage.User, storage.StaticToken) {
	k.Helper()
	u := k.add(name)
	t := token(u.ID, k.epoch(u.ID), 1)
	k.must(k.s.PutStaticToken(k.ctx, t, storage.Digest{}))
	return u, t
}

// usable reports whether a scheme would accept the token.
func (k *kit) usable(d storage.Digest) bool {
	k.Helper()
	t, u, err := k.s.StaticTokenByDigest(k.ctx, d)
	if errors.Is(err, storage.ErrNotFound) {
		return false
	}
	k.must(err)
	return u.Active && t.Epoch == u.Epoch
}
