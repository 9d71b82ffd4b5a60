// Package storagetest tests implementations of the interfaces of package storage. It has a rule for
// each guarantee in their documentation, and a failing rule prints that guarantee. Call [Run] for a
// store that implements everything:
//
//	func TestStore(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storagetest.Store { return open(t) })
//	}
//
// Call [RunParts] for a store with only some of the interfaces, such as a store for sessions in
// Redis that reads accounts from another store:
//
//	func TestSessions(t *testing.T) {
//		storagetest.RunParts(t, func(t *testing.T) storagetest.Opened {
//			accounts := memory.New(nil)
//			return storagetest.Opened{Store: open(t, accounts), Beside: accounts}
//		}, storagetest.Sessions, storagetest.SessionList)
//	}
//
// Many rules run 64 goroutines concurrently, so run the suite with -race and on the real database.
//
// The package is larger than others of this module because it has the rules of every part, and
// their fixtures depend on each other.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Store is a store with all parts.
type Store interface{ storage.Complete }

// Opened is a store for [RunParts], which gets a new one for each rule.
type Opened struct {
	// Store is the store under test.
	Store any
	// Beside is the store from which Store reads accounts, OAuth 2.0 clients and token families, if
	// it does not store them itself. It is not tested; you can use a memory.Store. It can be nil if
	// Store implements storage.Users, storage.Accounts and storage.Subjects.
	Beside any
}

// Run tests a store that has all parts. The function open is called for each rule; it must return
// an empty store and release it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	RunParts(t, func(t *testing.T) Opened { return Opened{Store: open(t)} }, AllParts()...)
}

// RunParts tests the parts that a store has. claimed lists the parts that it must have, at least
// one. A missing claimed part is an error. Parts that the store has but that are not claimed are
// tested, too. The test's log lists claimed and other parts, and missing ones.
//
// A rule that requires a missing part is skipped, and its log names the part. If all parts are
// claimed, no rule is skipped. The function open is called for each rule; it must return an empty
// store and release it with t.Cleanup.
func RunParts(t *testing.T, open func(t *testing.T) Opened, claimed ...Part) {
	s := &suite{open: open}
	if !s.find(t, claimed) {
		return
	}
	for _, g := range groups {
		if g.part != "" && !s.own[g.part] {
			continue
		}
		s := *s
		s.group = g.name
		t.Run(g.name, func(t *testing.T) { g.run(t, &s) })
	}
}

// groups are the rules. A group runs if the store has its part. Rules of a group without a part
// name the parts that they require.
var groups = []struct {
	name string
	part Part
	run  func(*testing.T, *suite)
}{
	{"users", Users, users},
	{"accounts", Accounts, accounts},
	{"subjects", Subjects, subjects},
	{"permissions", Permissions, permissions},
	{"tokens", StaticTokens, tokens},
	{"credentials", Credentials, credentials},
	{"credential_purposes", Credentials, credentialPurposes},
	{"credential_ends", Credentials, credentialEnds},
	{"credential_limit", Credentials, credentialLimit},
	{"sessions", Sessions, sessions},
	{"session_ends", Sessions, sessionEnds},
	{"families", Families, families},
	{"family_lists", Families, familyLists},
	{"claims", Families, claims},
	{"blocklist", Blocklist, blocklist},
	{"replays", Replays, replays},
	{"signing_keys", SigningKeys, signingKeys},
	{"one_times", OneTimeTokens, oneTimes},
	{"clients", Clients, clients},
	{"codes", Codes, codes},
	{"access_tokens", AccessTokens, accessTokens},
	{"auth_requests", AuthRequests, authRequests},
	{"device_grants", DeviceGrants, deviceGrants},
	{"tries", Attempts, triesCounted},
	{"consents", Consents, consents},
	{"factors", Factors, factors},
	{"links", Links, links},
	{"pending", "", pending},
	{"prune", Pruner, prune},
	{"sweep", Pruner, sweep},
	{"transactions", Transactor, transactions},
	{"audit_log", Transactor, auditLog},
	{"races", "", races},
	{"credential_races", Credentials, credentialRaces},
	{"session_races", Sessions, sessionRaces},
	{"family_races", Families, familyRaces},
	{"texts", "", texts},
}

// suite is one run of the tests.
type suite struct {
	open     func(*testing.T) Opened
	own      map[Part]bool
	complete bool // the store has all parts, so no rule may be skipped
	group    string
}

// find determines the parts that the store has and compares them with the claimed ones. It is not a
// subtest, because -run can select only some groups, and they need the result.
func (s *suite) find(t *testing.T, claimed []Part) (ok bool) {
	o := s.open(t)
	ok = true
	if len(claimed) == 0 {
		ok = false
		t.Error("storagetest: RunParts: claim at least one part of the store")
	}
	for _, p := range claimed {
		if !p.of(o.Store) {
			ok = false
			t.Errorf("storagetest: %T does not implement storage.%s, which is claimed: %s", o.Store, p, p.missing(o.Store))
		}
	}
	for _, p := range []Part{Users, Accounts, Subjects} {
		if !p.of(o.Store) && !p.of(o.Beside) {
			ok = false
			t.Errorf("storagetest: no storage.%s: set Opened.Beside to the store that %T reads accounts from", p, o.Store)
		}
	}
	_, s.own = compose(o)
	var found, missing []Part
	for _, p := range AllParts() {
		if s.own[p] {
			found = append(found, p)
		} else {
			missing = append(missing, p)
		}
	}
	s.complete = len(missing) == 0
	t.Logf("parts of %T that are tested: %s; missing parts: %s", o.Store, names(found), names(missing))
	return ok
}

// rules runs each rule on its own store. The key of a rule is its name, a colon, and the sentence
// that it tests.
func (s *suite) rules(t *testing.T, list map[string]func(*kit)) {
	for key, rule := range list {
		name, sentence, ok := strings.Cut(key, ": ")
		if !ok {
			t.Errorf("storagetest: the rule %q of %s has no sentence", key, s.group)
		}
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			defer func() {
				if t.Failed() {
					t.Logf("storage contract, %s/%s: %s", s.group, name, sentence)
				}
			}()
			all, _ := compose(s.open(t))
			rule(&kit{t, ctx, all, s})
		})
	}
}

// kit is a store with helpers for the rules.
type kit struct {
	*testing.T
	ctx   context.Context
	s     *everything
	suite *suite
}

// needs skips the rule unless the store, or the store beside it, has the parts.
func (k *kit) needs(list ...Part) {
	k.Helper()
	v := reflect.ValueOf(k.s).Elem()
	for _, p := range list {
		if v.FieldByName(string(p)).IsNil() || !k.suite.own[p] && (p == CredentialList || p == SessionList) {
			k.without(p)
		}
	}
}

// owns skips the rule unless the store under test itself has the parts. Use it for rules about what
// a change of one part does to the records of another.
func (k *kit) owns(list ...Part) {
	k.Helper()
	for _, p := range list {
		if !k.suite.own[p] {
			k.without(p)
		}
	}
}

func (k *kit) without(p Part) {
	k.Helper()
	if k.suite.complete {
		k.Fatalf("storagetest: store has all parts except %s", p)
	}
	k.Skipf("not proven: the store has no storage.%s", p)
}

// has reports whether the store under test has the part.
func (k *kit) has(p Part) bool { return k.suite.own[p] }

// is fails unless err is want. why is the rule that is broken.
func (k *kit) is(err, want error, why string) {
	k.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		k.Errorf("got error %v, want %v: %s", err, want, why)
	}
}

// must stops the test if err is not nil.
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

// isOwner reports whether got is the account as it is returned with a credential, possibly without
// its password hash.
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

// token returns a token record for a subject. n is its number.
func token(subject string, epoch int64, n int) storage.StaticToken {
	return storage.StaticToken{
		Digest: storage.DigestOf(fmt.Sprintf("%s %d", subject, n)), Subject: subject,
		Salt: []byte{byte(n), 0, 1, 2, 0xff}, KeyID: "key", Epoch: epoch, Created: born,
	}
}
