package storagetest_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// alone are stores that have one part, or the smallest useful set of parts.
var alone = map[string]func(m *memory.Store) any{
	"Users":                       func(m *memory.Store) any { return struct{ storage.Users }{m} },
	"Accounts":                    func(m *memory.Store) any { return struct{ storage.Accounts }{m} },
	"Subjects":                    func(m *memory.Store) any { return struct{ storage.Subjects }{m} },
	"Permissions":                 func(m *memory.Store) any { return struct{ storage.Permissions }{m} },
	"StaticTokens":                func(m *memory.Store) any { return struct{ storage.StaticTokens }{m} },
	"Credentials":                 func(m *memory.Store) any { return struct{ storage.Credentials }{m} },
	"CredentialList":              func(m *memory.Store) any { return struct{ storage.CredentialList }{m} },
	"Sessions":                    func(m *memory.Store) any { return struct{ storage.Sessions }{m} },
	"SessionList":                 func(m *memory.Store) any { return struct{ storage.SessionList }{m} },
	"Families":                    func(m *memory.Store) any { return struct{ storage.Families }{m} },
	"Blocklist":                   func(m *memory.Store) any { return struct{ storage.Blocklist }{m} },
	"Replays":                     func(m *memory.Store) any { return struct{ storage.Replays }{m} },
	"SigningKeys":                 func(m *memory.Store) any { return struct{ storage.SigningKeys }{m} },
	"OneTimeTokens":               func(m *memory.Store) any { return struct{ storage.OneTimeTokens }{m} },
	"Clients":                     func(m *memory.Store) any { return struct{ storage.Clients }{m} },
	"Codes":                       func(m *memory.Store) any { return struct{ storage.Codes }{m} },
	"AccessTokens":                func(m *memory.Store) any { return struct{ storage.AccessTokens }{m} },
	"AuthRequests":                func(m *memory.Store) any { return struct{ storage.AuthRequests }{m} },
	"DeviceGrants":                func(m *memory.Store) any { return struct{ storage.DeviceGrants }{m} },
	"Attempts":                    func(m *memory.Store) any { return struct{ storage.Attempts }{m} },
	"Consents":                    func(m *memory.Store) any { return struct{ storage.Consents }{m} },
	"Factors":                     func(m *memory.Store) any { return struct{ storage.Factors }{m} },
	"Links":                       func(m *memory.Store) any { return struct{ storage.Links }{m} },
	"Pruner":                      func(m *memory.Store) any { return struct{ storage.Pruner }{m} },
	"Transactor":                  func(m *memory.Store) any { return struct{ storage.Transactor }{m} },
	"Sessions SessionList Pruner": func(m *memory.Store) any { return sessionStore{m, m, m} },
}

// sessionStore is a store for sessions.
type sessionStore struct {
	storage.Sessions
	storage.SessionList
	storage.Pruner
}

// Each part is tested without the others, so that a rule which calls a part without naming it
// fails.
func TestEachPartAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("the same rules run on whole stores")
	}
	t.Setenv("VESTIBULE_VECTORS", "") // long texts are tested only with complete stores
	for names, part := range alone {
		var want []storagetest.Part
		for _, name := range strings.Fields(names) {
			want = append(want, storagetest.Part(name))
		}
		t.Run(names, func(t *testing.T) {
			if got := storagetest.PartsOf(part(memory.New(nil))); !slices.Equal(got, want) {
				t.Errorf("the parts are %v, want %v", got, want)
			}
			storagetest.RunParts(t, func(*testing.T) storagetest.Opened {
				m := memory.New(nil)
				return storagetest.Opened{Store: part(m), Beside: m}
			}, want...)
		})
	}
	if want := len(storagetest.AllParts()) + 1; len(alone) != want {
		t.Errorf("%d stores for %d parts", len(alone), want-1)
	}
}

// signature implements a part with a wrong method signature.
type signature struct{ storage.Sessions }

func (signature) DeleteSession() {}

// A claimed part that the store lacks is an error that names what is missing.
func TestClaims(t *testing.T) {
	if name := os.Getenv("STORAGETEST_CLAIM"); name != "" {
		claim := claims[name]
		storagetest.RunParts(t, func(*testing.T) storagetest.Opened { return claim.opened }, claim.parts...)
		return
	}
	for name, claim := range claims {
		t.Run(name, func(t *testing.T) {
			out, failed := childOf(t, "TestClaims", "STORAGETEST_CLAIM="+name)
			if !failed || !strings.Contains(out, claim.says) {
				t.Errorf("want a failure with %q:\n%s", claim.says, out)
			}
			if strings.Contains(out, "--- PASS: TestClaims/sessions") {
				t.Error("rules were run, though the claim is wrong")
			}
		})
	}
}

var claims = map[string]struct {
	opened storagetest.Opened
	parts  []storagetest.Part
	says   string
}{
	"nothing":     {storagetest.Opened{Store: memory.New(nil)}, nil, "claim at least one part"},
	"missing":     {storagetest.Opened{Store: sessionStore{}, Beside: memory.New(nil)}, []storagetest.Part{storagetest.Sessions, storagetest.Credentials}, "does not implement storage.Credentials, which is claimed: no method CreateCredential"},
	"signature":   {storagetest.Opened{Store: signature{}, Beside: memory.New(nil)}, []storagetest.Part{storagetest.Sessions}, "DeleteSession is func() instead of func(context.Context, storage.Digest) error"},
	"no accounts": {storagetest.Opened{Store: sessionStore{}}, []storagetest.Part{storagetest.Sessions}, "set Opened.Beside"},
	"unknown":     {storagetest.Opened{Store: memory.New(nil)}, []storagetest.Part{"Cookies"}, "package storage has no such interface"},
	"nil":         {storagetest.Opened{Beside: memory.New(nil)}, []storagetest.Part{storagetest.Sessions}, "it is nil"},
}
