package credential_test

import (
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/storage"
)

// The scheme of the example meets the contract of an authenticator.
func TestExampleContract(t *testing.T) {
	with := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Api-Key", text) }
	}
	authntest.Run(t, func(t *testing.T) authntest.World {
		alice := storage.User{ID: "id-alice", Active: true, Epoch: 1}
		db := &store{users: map[string]storage.User{alice.ID: alice, "id-bob": {ID: "id-bob", Active: true}}, keys: map[storage.Digest]Key{}}
		s, err := New(db, nil)
		if err != nil {
			t.Fatal(err)
		}
		issue := func(subject string, epoch int64, scopes []string) string {
			key, err := s.Issue(t.Context(), subject, epoch, scopes)
			if err != nil {
				t.Fatal(err)
			}
			return key.Reveal()
		}
		good := issue(alice.ID, 1, nil)
		return authntest.World{
			Scheme: s, Good: with(good), Other: with(issue("id-bob", 0, nil)), Unknown: with(s.format.Encode([32]byte{1})),
			Scoped: with(issue(alice.ID, 1, []string{"read"})), Scopeless: with(issue(alice.ID, 1, []string{})),
			Bad:    map[string]func(*http.Request){"malformed": with(good[:50]), "junk": with("junk"), "empty": with("")},
			Revoke: func() { delete(db.keys, storage.DigestOf(good)) },
			Disable: func() {
				alice.Active = false
				db.users[alice.ID] = alice
			},
			LogoutEverywhere: func() {
				alice.Epoch++
				db.users[alice.ID] = alice
			},
		}
	})
}
