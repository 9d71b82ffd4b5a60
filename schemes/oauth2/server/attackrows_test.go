package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// counting counts what is asked of a store.
type counting struct {
	*memory.Store
	access, clients, codes atomic.Int64
}

func (c *counting) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	c.access.Add(1)
	return c.Store.AccessByDigest(ctx, d)
}

func (c *counting) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	c.clients.Add(1)
	return c.Store.ClientByID(ctx, id)
}

func (c *counting) DeviceGrantByUserCode(ctx context.Context, code storage.MAC) (storage.DeviceGrant, error) {
	c.codes.Add(1)
	return c.Store.DeviceGrantByUserCode(ctx, code)
}

// Distinct bad tokens leave no rows, no memory, and no more questions than the limiter lets by.
func TestBadTokens(t *testing.T) {
	t.Run("attack_232", func(t *testing.T) {
		n := 100_000
		if testing.Short() {
			n /= 10
		}
		base := &counting{Store: memory.New(nil)}
		s, err := cached.New(base, &cached.Options{TTL: 30 * time.Second, MaxUnknown: 500, UnknownRate: 1000, Clock: func() time.Time { return oauthtest.Born }})
		oauthtest.Must(t, err)
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { o.DPoP = &oauthtest.DPoP{} })
		p := w.NewProver()
		handler := authn.New(authn.Chain{w.Scheme()}, &authn.Options{Logger: oauthtest.Quiet}).Handler(http.NotFoundHandler())
		codes := map[int]int{}
		for i := range n {
			token := guess("vat")
			r := httptest.NewRequest("GET", oauthtest.APIURL, nil)
			switch i % 4 {
			case 0:
				r.Header.Set("Authorization", "DPoP "+token)
				r.Header.Set("DPoP", p.At(token, nil))
			case 1:
				r.Header.Set("Authorization", "Bearer "+oauthtest.Changed(token)) // its checksum is wrong
			default:
				r.Header.Set("Authorization", "Bearer "+token)
			}
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			codes[rec.Code]++
		}
		if codes[401]+codes[503] != n || codes[401] < 1000 {
			t.Errorf("%v", codes)
		}
		rows, err := base.Prune(t.Context(), oauthtest.Born.Add(100*24*time.Hour), 1<<20)
		oauthtest.Must(t, err)
		if u := s.Usage(); rows != 0 || u.Unknown > 500 || u.Entries > 0 {
			t.Errorf("%d rows, %+v", rows, u)
		}
		if asked := base.access.Load(); asked > 1100 { // the clock stands still: one second's worth
			t.Errorf("%d questions", asked)
		}
	})
}

// endless is a body that never ends and counts what was read of it.
type endless struct{ n int64 }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	e.n += int64(len(b))
	return len(b), nil
}

// stopping is a body that stops, until the server's deadline ends it.
type stopping struct{ sent bool }

func (s *stopping) Read(b []byte) (int, error) {
	if s.sent {
		return 0, errors.New("i/o timeout")
	}
	s.sent = true
	return copy(b, "client_id=spa&token"), nil
}

// No endpoint reads more than 64 KiB of a body, and one that stops in the midst is a 400 that
// changes nothing.
func TestBodies(t *testing.T) {
	w, _ := oauthtest.NewRegistry(t, memory.New(nil), func(o *oauthtest.Options) {
		o.Keys = oauthtest.NewRing(t, []byte(strings.Repeat("k", 31)+"y"))
		o.Registration.Allow = func(*http.Request) error { return nil }
	})
	alice := w.Alice("s1")
	for what, h := range map[string]http.Handler{
		"token": w.Token(), "par": w.PushedAuthorization(), "device_authorization": w.DeviceAuthorization(), "introspect": w.Introspect(), "revoke": w.Revoke(),
		"register": w.Register(), "authorize": w.Authorize("/login"), "device": w.Device("/login"), "grants": w.GrantsPage("/login"),
	} {
		send := func(body io.Reader) int {
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/x", body)
			r.ContentLength = -1 // chunked
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if what == "register" {
				r.Header.Set("Content-Type", "application/json")
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, authntest.As(r, *alice))
			return rec.Code
		}
		t.Run("attack_238_endless_"+what, func(t *testing.T) {
			body := &endless{}
			want := 413
			if what == "authorize" {
				want = 400 // a request by POST that is too long for an address
			}
			if got := send(body); got != want || body.n > 64<<10 {
				t.Errorf("%d after %d bytes", got, body.n)
			}
		})
		t.Run("attack_238_slow_"+what, func(t *testing.T) {
			if got := send(&stopping{}); got != 400 {
				t.Errorf("%d", got)
			}
		})
	}
}

// A user's live grants to one client are bounded; the newest are good.
func TestManyGrants(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_239", func(t *testing.T) {
			w := oauthtest.NewWorld(t, s, nil)
			const n = 130
			all := make([]oauthtest.Reply, n)
			for i := range n {
				w.Pass(time.Second)
				all[i] = w.Exchange("spa", w.Code("spa", nil))
			}
			other := w.Exchange("app", w.Code("app", nil))
			live := 0
			for i, got := range all {
				switch code := w.Status(got.Access); {
				case code == 200:
					live++
				case i >= n-100:
					t.Errorf("grant %d of %d: %d", i, n, code)
				}
			}
			if live != 100 || w.Status(other.Access) != 200 {
				t.Errorf("%d are live, another client's: %d", live, w.Status(other.Access))
			}
			if got := strings.Count(w.Take(), "token.evicted"); got != 30 {
				t.Errorf("%d events", got)
			}
		})
		t.Run("attack_239_codes", func(t *testing.T) { // a logged-in user's codes are counted
			w := newWorldOf(t, "trusted", func(o *oauthtest.Options) { oauthtest.WithSessions(o); oauthtest.WithLimits(o) })
			alice, codes := w.Alice("s1"), 0
			for range 1000 {
				switch rec := w.Authorizes(alice, "GET", oauthtest.Query("trusted"), ""); rec.Code {
				case 303:
					codes++
				case 200: // beyond, the user is asked
				default:
					t.Fatalf("%d %s", rec.Code, rec.Body)
				}
			}
			if codes != 60 { // half of an hour's at once
				t.Errorf("%d codes", codes)
			}
		})
	})
}

// newWorldOf is a world with a trusted client of that name.
func newWorldOf(t *testing.T, id string, change func(*oauthtest.Options)) *oauthtest.World {
	w := oauthtest.NewWorld(t, memory.New(nil), change)
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{
		ID: id, Method: oauth2.None, Trusted: true, RedirectURIs: []string{oauthtest.Redirect}, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"read", "write"}, Default: []string{"read"},
	}))
	return w
}

// For what is unknown the same is done as for what is known: the same questions to the store,
// the same answer.
func TestUnknownCostsTheSame(t *testing.T) {
	base := &counting{Store: memory.New(nil)}
	w := oauthtest.NewDevices(t, base, nil)
	t.Run("attack_248_clients", func(t *testing.T) {
		asked := func(form ...string) (string, int64) {
			before := base.clients.Load()
			got := w.Post(w.Token(), "", append([]string{"grant_type", "authorization_code", "code", guess("vac")}, form...)...)
			return fmt.Sprint(got.Status, got.Body, got.Header), base.clients.Load() - before
		}
		known, n := asked("client_id", "other", "client_secret", guess("vcs"))
		for what, form := range map[string][]string{
			"unknown": {"client_id", "nobody", "client_secret", guess("vcs")}, "another method": {"client_id", "spa", "client_secret", guess("vcs")},
			"malformed": {"client_id", strings.Repeat("x", 300), "client_secret", guess("vcs")},
		} {
			if got, m := asked(form...); got != known || m != n {
				t.Errorf("%s: %d questions and %s, want %d and %s", what, m, got, n, known)
			}
		}
	})
	t.Run("attack_248_user_codes", func(t *testing.T) {
		b := w.Begin()
		alice := w.Alice("s1")
		w.Poll("tv", b.Device)
		typed := func(code string) (int, int64) {
			before := base.codes.Load()
			rec := w.DevicePage(alice, "POST", "user_code="+code)
			return rec.Code, base.codes.Load() - before
		}
		_, n := typed(b.User)
		status, m := typed("BCDF-GHJK")
		if n != m || status != 400 {
			t.Errorf("%d, %d questions for an unknown code, %d for a known one", status, m, n)
		}
		oauthtest.Must(t, base.CreateDeviceGrant(t.Context(), storage.DeviceGrant{Digest: storage.DigestOf("d"), UserCode: storage.MAC{1}, Client: "tv", Interval: time.Second, Created: oauthtest.Born, Expires: oauthtest.Born.Add(time.Minute)}))
		w.Pass(time.Hour)
		if status, m := typed(b.User); m != n || status != 400 {
			t.Errorf("%d, %d questions for an expired code", status, m)
		}
	})
}
