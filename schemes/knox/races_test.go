package knox_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
)

// together runs f 64 times concurrently.
func together(f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range 64 {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

// 64 concurrent logins with a limit of five leave five tokens.
func TestLimitRace(t *testing.T) {
	for _, evict := range []bool{false, true} {
		each(t, func(t *testing.T, s store) {
			t.Run("attack_041_device_limit", func(t *testing.T) {
				schemetest.Add(t, s, "alice")
				x := scheme(t, s, &knox.Options{Limit: 5, EvictOldest: evict})
				h := x.Login(schemetest.Anyone{Subject: "id-alice"})
				var ok, limited atomic.Int64
				together(func(int) {
					switch w := schemetest.Do(h, schemetest.Post(login)); w.Code {
					case 200:
						ok.Add(1)
					case 403:
						limited.Add(1)
					default:
						t.Errorf("%d %s", w.Code, w.Body)
					}
				})
				list, err := x.List(t.Context(), "id-alice")
				schemetest.Must(t, err)
				want := int64(5)
				if evict {
					want = 64
				}
				if len(list) != 5 || ok.Load() != want || limited.Load() != 64-want {
					t.Errorf("%d tokens, %d logins, %d refused", len(list), ok.Load(), limited.Load())
				}
			})
		})
	}
}

// After a revocation has returned, the token is rejected.
func TestLogoutDuringUse(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, &knox.Options{Renew: true, MinInterval: time.Microsecond, Logger: schemetest.Quiet}) // every use writes
		for name, h := range map[string]func(text string) int{
			"attack_042_logout_during_use": func(text string) int { return schemetest.Do(x.Logout(), schemetest.Request("POST", "Knox "+text)).Code },
			"attack_042_logout_all_during_use": func(text string) int {
				return schemetest.Do(x.LogoutAll(), schemetest.Request("POST", "Knox "+text)).Code
			},
		} {
			t.Run(name, func(t *testing.T) {
				text, rec := issue(t, x, "id-alice", knox.Token{})
				var out atomic.Bool
				var late atomic.Int64
				used := make(chan struct{}, 64*20)
				together(func(i int) {
					if i == 32 {
						for range 10 {
							<-used
						}
						if code := h(text); code != 204 {
							t.Errorf("logout: %d", code)
						}
						out.Store(true)
						return
					}
					for range 20 {
						was := out.Load()
						if _, err := x.Authenticate(schemetest.With("Knox " + text)); err == nil {
							used <- struct{}{}
							if was {
								late.Add(1)
							}
						}
					}
				})
				if late.Load() > 0 {
					t.Errorf("accepted %d times after the logout was acknowledged", late.Load())
				}
				if _, _, err := s.CredentialByDigest(t.Context(), "knox", rec.Digest); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("a use wrote the token back: %v", err)
				}
			})
		}
	})
}

// Logins run concurrently with a logout of all devices. A login either came first, and its token is
// revoked, or it came later. Logging out everywhere also revokes the result of every login that was
// verified before.
func TestLogoutAllDuringLogin(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, nil)
		t.Run("attack_043_logout_all_during_login", func(t *testing.T) {
			mine, _ := issue(t, x, "id-alice", knox.Token{})
			var began atomic.Bool
			before := make([]string, 64) // tokens whose login was answered before the logout began
			made := make(chan struct{}, 64)
			together(func(i int) {
				if i == 32 {
					for range 5 {
						<-made
					}
					began.Store(true)
					if w := schemetest.Do(x.LogoutAll(), schemetest.Request("POST", "Knox "+mine)); w.Code != 204 {
						t.Errorf("%d %s", w.Code, w.Body)
					}
					return
				}
				text, _, err := x.Issue(t.Context(), "id-alice", 0, knox.Token{})
				if err != nil {
					t.Error(err)
				}
				if !began.Load() {
					before[i] = text
				}
				made <- struct{}{}
			})
			for _, text := range append(before, mine) {
				if text != "" && !refused(t, x, text) {
					t.Error("a token that was issued before the logout works after it")
				}
			}
		})
		t.Run("attack_043_epoch_moves_during_login", func(t *testing.T) {
			texts := make([]string, 64)
			made, moved := make(chan struct{}, 64), make(chan struct{})
			together(func(i int) {
				if i == 32 {
					for range 5 {
						<-made
					}
					if _, err := s.BumpEpoch(t.Context(), "id-alice"); err != nil {
						t.Error(err)
					}
					close(moved)
					return
				}
				if i > 48 { // verified before, and late
					<-moved
				}
				text, _, err := x.Issue(t.Context(), "id-alice", 0, knox.Token{})
				if err != nil && !errors.Is(err, storage.ErrStale) {
					t.Error(err)
				}
				texts[i] = text
				made <- struct{}{}
			})
			for _, text := range texts {
				if text != "" && !refused(t, x, text) {
					t.Error("a token works that was verified before the epoch moved")
				}
			}
			if list, err := x.List(t.Context(), "id-alice"); err != nil || len(list) > 0 {
				t.Errorf("%d ended tokens are listed, %v", len(list), err)
			}
		})
	})
}

// gate is a store in which all lookups read before any returns.
type gate struct {
	store
	open sync.WaitGroup
}

func (g *gate) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	t, u, err := g.store.CredentialByDigest(ctx, purpose, d)
	g.open.Done()
	g.open.Wait()
	return t, u, err
}

// Of 64 concurrent logouts with one token, each reports that the token is revoked.
func TestLogoutsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		g := &gate{store: s}
		x := scheme(t, g, nil)
		text, _ := issue(t, x, "id-alice", knox.Token{})
		g.open.Add(64)
		together(func(int) {
			if w := schemetest.Do(x.Logout(), schemetest.Request("POST", "Knox "+text)); w.Code != 204 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	})
}

// 64 concurrent uses that read the same last use cause one write per interval.
func TestOneWritePerInterval(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		g := &gate{store: s}
		counted := schemetest.Watch(g)
		x := scheme(t, counted, &knox.Options{Renew: true, Clock: c.Now})
		text, rec := issue(t, x, "id-alice", knox.Token{})
		t.Run("attack_039_one_write_per_interval", func(t *testing.T) {
			for round := range 3 {
				c.Set(time.Duration(round) * time.Minute)
				g.open.Add(64)
				together(func(int) {
					if refused(t, x, text) {
						t.Error("refused")
					}
				})
				if n, tries := counted.Touched(), counted.Calls("TouchCredential"); n != int64(round+1) || tries != 64*n {
					t.Errorf("after %d intervals: %d of %d writes took effect", round+1, n, tries)
				}
			}
			row, _, err := s.CredentialByDigest(t.Context(), "knox", rec.Digest)
			schemetest.Must(t, err)
			if !row.Expires.Equal(rec.Expires.Add(2 * time.Minute)) {
				t.Errorf("expires %s", row.Expires)
			}
		})
	})
}

// Tokens that are created concurrently are all different and valid.
func TestManyTokens(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, nil)
		texts := make([]string, 64)
		together(func(i int) { texts[i], _, _ = x.Issue(t.Context(), "id-alice", 0, knox.Token{}) })
		for _, text := range texts {
			if text == "" || refused(t, x, text) {
				t.Error("a token does not work")
			}
		}
		slices.Sort(texts)
		if n := len(slices.Compact(texts)); n != 64 {
			t.Errorf("%d different tokens", n)
		}
	})
}
