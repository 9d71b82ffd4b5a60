package server_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// A signed token that a client has for itself does not fit a later client with the same ID.
func TestDeletedClientSigned_attack_314(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) {
			o.SignedAccess, o.SigningKeys, o.AccessTTL = true, oauthtest.FreshRing(t, jose.ES256), time.Hour
		})
		got := w.Post(w.Token(), "app", "grant_type", "client_credentials", "scope", "read write")
		if got.Status != 200 || w.Status(got.Access) != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		oauthtest.Must(t, s.DeleteClient(t.Context(), "app"))
		c := storage.Client{ID: "app", Method: oauth2.SecretBasic, Grants: []string{oauth2.ClientCredentials}, Scopes: []string{"read"}, Created: w.Clock().Add(time.Second)}
		var err error
		_, c.Secret, err = oauth2.NewSecret()
		oauthtest.Must(t, err)
		oauthtest.Must(t, s.CreateClient(t.Context(), c))
		if status := w.Status(got.Access); status != 401 {
			t.Errorf("a later client of that ID: %d", status)
		}
		if about := w.Post(w.Introspect(), "api", "token", got.Access); strings.TrimSpace(about.Body) != `{"active":false}` {
			t.Errorf("introspection: %s", about.Body)
		}
	})
}

// A resource that a client has lost is not issued any more, whatever grants have it.
func TestWithdrawnResource_attack_315(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		const files, api = "https://files.example", "https://api.example"
		w := oauthtest.NewWorld(t, s, nil)
		of := func(resource ...string) func(*storage.Code) {
			return func(c *storage.Code) { c.Resource, c.Scopes = resource, []string{"read"} }
		}
		only, both := w.Exchange("app", w.Code("app", of(files))), w.Exchange("app", w.Code("app", of(files, api)))
		onlyCode, bothCode := w.Code("app", of(files)), w.Code("app", of(files, api))
		c, err := s.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		c.Resources = []string{api}
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		has := func(what string, got oauthtest.Reply, want string) {
			t.Helper()
			if want == "" {
				if got.Status != 400 || got.Error != "invalid_target" {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
				return
			}
			st, err := s.AccessByDigest(t.Context(), storage.DigestOf(got.Access))
			if err != nil || strings.Join(st.Access.Resource, " ") != want {
				t.Errorf("%s: %d %q, %v", what, got.Status, st.Access.Resource, err)
			}
		}
		has("a refresh of a grant for it alone", w.Refreshes("app", only.Refresh), "")
		has("a refresh of a grant for another one too", w.Refreshes("app", both.Refresh), api)
		has("a code for it alone", w.Exchange("app", onlyCode), "")
		has("a code for another one too", w.Exchange("app", bothCode), api)
		c.Resources = []string{api, files}
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		has("given back", w.Refreshes("app", only.Refresh), files)
	})
}

// Any program can listen on a loopback port or take a private scheme, so nobody gets a code there
// unless the user was asked.
func TestTrustedNative_attack_316(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { oauthtest.WithSessions(o); o.RememberConsent = time.Hour })
		c := storage.Client{
			ID: "own", Method: oauth2.None, Native: true, Trusted: true, Grants: []string{oauth2.AuthorizationCode},
			RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb", "https://app.example/cb"}, Scopes: []string{"read"},
		}
		oauthtest.Must(t, s.CreateClient(t.Context(), c))
		for to, status := range map[string]int{"http://127.0.0.1:6666/cb": 200, "com.example.app:/cb": 200, "https://app.example/cb": 303} {
			if rec := w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("own", "redirect_uri", to, "scope", "read"), ""); rec.Code != status {
				t.Errorf("%s: %d, want %d", to, rec.Code, status)
			}
		}
	})
}

// between calls a hook once, after a consent was read.
type between struct {
	oauthtest.Store
	hook atomic.Pointer[func()]
}

func (b *between) ConsentOf(ctx context.Context, subject, client string) (storage.Consent, error) {
	c, err := b.Store.ConsentOf(ctx, subject, client)
	if hook := b.hook.Swap(nil); hook != nil {
		(*hook)()
	}
	return c, err
}

// A consent that is withdrawn while a request uses it gives no code.
func TestSilentRevoke_attack_321(t *testing.T) {
	remembers := func(o *oauthtest.Options) { oauthtest.WithSessions(o); o.RememberConsent = time.Hour }
	codeOf := func(to string) string {
		_, query, _ := strings.Cut(to, "?")
		v, _ := url.ParseQuery(query)
		return v.Get("code")
	}
	t.Run("between", func(t *testing.T) {
		oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
			b := &between{Store: s}
			w := oauthtest.NewWorld(t, b, remembers)
			alice := w.Alice("s1")
			w.Allows(alice, "app", oauthtest.Query("app", "scope", "read"))
			if rec := w.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "read"), ""); codeOf(rec.Header().Get("Location")) == "" {
				t.Fatalf("not remembered: %d", rec.Code)
			}
			id := w.GrantsOf(alice)[0].ID
			hook := func() { w.RevokesGrant(alice, id) }
			b.hook.Store(&hook)
			if rec := w.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "read"), ""); rec.Code != 200 || len(w.GrantsOf(alice)) != 0 {
				t.Errorf("%d %s, %d grants", rec.Code, rec.Header().Get("Location"), len(w.GrantsOf(alice)))
			}
		})
	})
	t.Run("race", func(t *testing.T) {
		oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
			w := oauthtest.NewWorld(t, s, remembers)
			alice := w.Alice("s1")
			for range 4 {
				w.Allows(alice, "app", oauthtest.Query("app", "scope", "read", "prompt", "consent"))
				id := w.GrantsOf(alice)[0].ID
				codes := make([]string, 16)
				var wg sync.WaitGroup
				for i := range codes {
					wg.Go(func() {
						codes[i] = codeOf(w.Authorizes(alice, "GET", oauthtest.Query("app", "scope", "read"), "").Header().Get("Location"))
					})
				}
				oauthtest.Must(t, w.Server.Server.RevokeGrant(t.Context(), "id-alice", id, true))
				wg.Wait()
				for _, code := range codes {
					if code != "" && w.Exchange("app", code).Status == 200 {
						t.Fatal("a code works after the revocation was acknowledged")
					}
				}
			}
		})
	})
}
