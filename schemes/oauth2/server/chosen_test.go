package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// countingHasher is a verifier that counts its hashes.
type countingHasher struct {
	n         atomic.Int64
	fail      atomic.Bool
	meanwhile func() // runs while the secret is hashed
}

func (c *countingHasher) Verify(_ context.Context, _ string, encoded storage.PasswordHash, secret string) (bool, bool, error) {
	if c.fail.Load() {
		return false, false, errors.New("queue full")
	}
	c.n.Add(1)
	if c.meanwhile != nil {
		c.meanwhile()
	}
	return encoded != "" && string(encoded) == "hash of "+secret, false, nil
}

// A secret that was withdrawn while it was hashed gives no token.
func TestChosenSecretChangedMeanwhile_attack_328(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		verifier := new(countingHasher)
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { o.InsecureChosenSecrets = verifier })
		n := 0
		ask := func(change func(storage.Client)) int {
			n++
			c := storage.Client{ID: fmt.Sprint("chosen", n), Method: oauth2.SecretBasic, Password: "hash of open sesame", Grants: []string{oauth2.ClientCredentials}}
			oauthtest.Must(t, s.CreateClient(t.Context(), c))
			verifier.meanwhile = func() { change(c) }
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
			r.SetBasicAuth(c.ID, "open+sesame")
			return w.Send(w.Token(), r, "grant_type=client_credentials").Status
		}
		update := func(change func(*storage.Client)) func(storage.Client) {
			return func(c storage.Client) { change(&c); oauthtest.Must(t, s.UpdateClient(t.Context(), c)) }
		}
		if got := ask(func(storage.Client) {}); got != 200 {
			t.Errorf("nothing changed: %d", got)
		}
		for what, change := range map[string]func(storage.Client){
			"a new secret":       update(func(c *storage.Client) { c.Password = "hash of another" }),
			"a generated secret": update(func(c *storage.Client) { c.Password, c.Secret = "", storage.DigestOf("g") }),
			"another method":     update(func(c *storage.Client) { c.Method = oauth2.SecretPost }),
			"disabled":           update(func(c *storage.Client) { c.Disabled = true }),
			"deleted":            func(c storage.Client) { oauthtest.Must(t, s.DeleteClient(t.Context(), c.ID)) },
		} {
			if got := ask(change); got != 401 {
				t.Errorf("%s: %d", what, got)
			}
		}
	})
}

// clientReads counts how often a client is read.
type clientReads struct {
	oauthtest.Store
	n atomic.Int64
}

func (c *clientReads) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	c.n.Add(1)
	return c.Store.ClientByID(ctx, id)
}

// A client is read once more only if its secret was hashed meanwhile: a remembered secret and a
// generated one are compared at once.
func TestClientIsReadOnce(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, db oauthtest.Store) {
		s := &clientReads{Store: db}
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { o.InsecureChosenSecrets = new(countingHasher) })
		chosen := storage.Client{ID: "chosen", Method: oauth2.SecretBasic, Password: "hash of open sesame", Grants: []string{oauth2.ClientCredentials}}
		oauthtest.Must(t, s.CreateClient(t.Context(), chosen))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "generated", Method: oauth2.SecretBasic, Secret: storage.DigestOf("g"), Grants: []string{oauth2.ClientCredentials}}))
		reads := func(id, secret string, status int) int64 {
			t.Helper()
			before := s.n.Load()
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
			r.SetBasicAuth(id, url.QueryEscape(secret))
			if got := w.Send(w.Token(), r, "grant_type=client_credentials"); got.Status != status {
				t.Fatalf("%s: %d %s", id, got.Status, got.Body)
			}
			return s.n.Load() - before
		}
		once := reads("generated", "g", 200)
		first, again := reads("chosen", "open sesame", 200), reads("chosen", "open sesame", 200)
		if first != once+1 || again != once {
			t.Errorf("a generated secret: %d, a chosen one: %d, remembered: %d", once, first, again)
		}
		chosen.Disabled = true
		oauthtest.Must(t, s.UpdateClient(t.Context(), chosen))
		reads("chosen", "open sesame", 401)
		chosen.Disabled, chosen.Password = false, "hash of another"
		oauthtest.Must(t, s.UpdateClient(t.Context(), chosen))
		reads("chosen", "open sesame", 401)
	})
}

func TestChosenSecrets(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		verifier := new(countingHasher)
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { o.InsecureChosenSecrets = verifier })
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "chosen", Method: oauth2.SecretBasic, Password: "hash of open sesame", Grants: []string{oauth2.ClientCredentials}}))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "off", Method: oauth2.SecretBasic, Password: "hash of x", Disabled: true, Grants: []string{oauth2.ClientCredentials}}))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "generated", Method: oauth2.SecretBasic, Secret: storage.DigestOf("g"), Grants: []string{oauth2.ClientCredentials}}))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "public", Method: oauth2.None, Grants: []string{oauth2.ClientCredentials}}))
		net := 0
		elsewhere := func() string { net++; return fmt.Sprintf("203.%d.%d.1:1", net/200, net%200) }
		ask := func(addr, id, secret string) oauthtest.Reply {
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
			r.RemoteAddr = addr
			r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
			return w.Send(w.Token(), r, "grant_type=client_credentials")
		}
		t.Run("edge_A14/a limit without options", func(t *testing.T) {
			for _, id := range []string{"chosen", "off", "generated", "public", "nobody"} {
				got := map[int]int{}
				addr, before := elsewhere(), verifier.n.Load()
				for i := range 60 {
					x := ask(addr, id, fmt.Sprint("wrong", i))
					if got[x.Status]++; x.Status == 429 && x.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				}
				if n := verifier.n.Load() - before; got[401] != 5 || got[429] != 55 || n != 5 {
					t.Errorf("%s: %v, %d hashes", id, got, n)
				}
			}
		})
		t.Run("edge_A14/one cost", func(t *testing.T) {
			for _, id := range []string{"chosen", "off", "generated", "public", "nobody"} {
				before := verifier.n.Load()
				if got := ask(elsewhere(), id, "wrong"); got.Status != 401 {
					t.Errorf("%s: %d", id, got.Status)
				}
				if n := verifier.n.Load() - before; n != 1 {
					t.Errorf("%s: %d hashes", id, n)
				}
			}
		})
		t.Run("edge_A14/strangers do not lock a client out", func(t *testing.T) {
			home := "198.51.100.1:1"
			if got := ask(home, "chosen", "open sesame"); got.Status != 200 {
				t.Fatal(got.Status)
			}
			w.Pass(2 * time.Minute)
			for range 500 {
				ask(elsewhere(), "chosen", "wrong")
			}
			if got := ask("198.51.101.1:1", "chosen", "open sesame"); got.Status != 429 {
				t.Errorf("from a new address: %d", got.Status)
			}
			if got := ask(home, "chosen", "open sesame"); got.Status != 200 {
				t.Errorf("from where it authenticated before: %d", got.Status)
			}
			before := verifier.n.Load()
			for range 500 {
				if got := ask(home, "chosen", "open sesame"); got.Status != 200 {
					t.Fatal(got.Status)
				}
			}
			if n := verifier.n.Load() - before; n != 0 {
				t.Errorf("%d hashes of a secret that was right a moment ago", n)
			}
			ask(home, "chosen", "wrong") // ends what is remembered
			if got := ask(home, "chosen", "open sesame"); got.Status != 200 || verifier.n.Load()-before != 2 {
				t.Errorf("%d, %d hashes", got.Status, verifier.n.Load()-before)
			}
			if got := ask(home, "generated", "g"); got.Status != 200 {
				t.Errorf("a generated secret: %d", got.Status)
			}
		})
		t.Run("edge_A14/a fault of the hasher", func(t *testing.T) {
			verifier.fail.Store(true)
			defer verifier.fail.Store(false)
			for _, id := range []string{"nobody", "generated"} {
				if got := ask(elsewhere(), id, "wrong"); got.Status != 503 {
					t.Errorf("%s: %d", id, got.Status)
				}
			}
		})
		t.Run("edge_A14/a new secret", func(t *testing.T) {
			home := "198.51.100.1:1"
			oauthtest.Must(t, s.DeleteClient(t.Context(), "chosen"))
			oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "chosen", Method: oauth2.SecretBasic, Password: "hash of another", Grants: []string{oauth2.ClientCredentials}}))
			if got := ask(home, "chosen", "open sesame"); got.Status == 200 {
				t.Error("the old secret is remembered")
			}
		})
	})
	l, err := throttle.NewLogin(throttle.NewMemory(nil), nil)
	oauthtest.Must(t, err)
	if _, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &oauthtest.Options{InsecureChosenSecrets: plain{}, Limiter: l, InsecureNoLimiter: true}); err == nil {
		t.Error("a limiter and none were accepted")
	}
}
