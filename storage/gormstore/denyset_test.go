package gormstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// asked counts the queries of requests with a JWT.
type asked struct {
	*gormstore.Store
	n atomic.Int64
}

func (c *asked) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	c.n.Add(1)
	return c.Store.TokenStatusOf(ctx, subject, keys)
}

func (c *asked) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	c.n.Add(1)
	return c.Store.TokenStatusWithUser(ctx, subject, keys)
}

func (c *asked) UserByID(ctx context.Context, id string) (storage.User, error) {
	c.n.Add(1)
	return c.Store.UserByID(ctx, id)
}

// denyReplica is a process with a deny set and stateless JWTs.
type denyReplica struct {
	*cached.Store
	t    *testing.T
	db   *asked
	jwts *jwt.Scheme
	h    http.Handler
	stop func()
}

func newDenyReplica(t *testing.T, db *gormstore.Store, courier string) *denyReplica {
	t.Helper()
	r := &denyReplica{t: t, db: &asked{Store: migrated(t, db)}}
	var c bus.Courier
	var err error
	if courier != "" {
		c, err = couriers[courier](t.Context(), db, "")
		must(t, err)
	}
	r.Store, err = cached.New(r.db, &cached.Options{Courier: c, TTL: 3 * time.Second, DenySet: &cached.DenySet{ClockOffset: time.Minute}, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	k, err := jose.NewSecret("k", jose.HS256, []byte(strings.Repeat("0123456789", 4)))
	must(t, err)
	ring, err := jose.NewKeySet(k)
	must(t, err)
	r.jwts, err = jwt.New("https://auth.example", "https://api.example", ring, r.Store, &jwt.Options{Stateless: true})
	must(t, err)
	r.h = authn.New(authn.Chain{r.jwts}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Roles", strings.Join(authn.FromContext(r.Context()).Roles, ","))
	}))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	r.stop = sync.OnceFunc(func() { stop(); running.Wait() })
	t.Cleanup(r.stop)
	defer func() {
		if t.Failed() {
			t.Logf("%+v, %+v", r.DenySet(), r.Freshness())
		}
	}()
	until(t, "the set is in use", func() bool { return r.DenySet().Used })
	return r
}

func (r *denyReplica) issue(subject string) jwt.Pair {
	r.t.Helper()
	epoch, err := r.SubjectEpoch(r.t.Context(), subject)
	must(r.t, err)
	p, err := r.jwts.Issue(r.t.Context(), subject, epoch, nil)
	must(r.t, err)
	return p
}

func (r *denyReplica) use(access string) (status int, roles string) {
	req := httptest.NewRequest("GET", "/", nil)
	req.Header.Set("Authorization", "Bearer "+access)
	rec := httptest.NewRecorder()
	r.h.ServeHTTP(rec, req)
	return rec.Code, rec.Header().Get("Roles")
}

func (r *denyReplica) refuses(access string) bool { status, _ := r.use(access); return status == 401 }

// Two replicas over one database: tokens of the one need no query at the other, and what the one
// revokes the other refuses, and again after a restart.
func TestDenySetReplicas(t *testing.T) {
	open := map[string]func(t *testing.T) func() (*gormstore.Store, string){
		"sqlite": func(t *testing.T) func() (*gormstore.Store, string) {
			path := t.TempDir() + "/db"
			return func() (*gormstore.Store, string) { return opened(t)(sqlite.Open(path, &patient)), "" }
		},
	}
	for name := range couriers {
		open[name] = func(t *testing.T) func() (*gormstore.Store, string) {
			url := storetest.URL(t)
			return func() (*gormstore.Store, string) { return opened(t)(postgres.Open(url, &patient)), name }
		}
	}
	for name, open := range open {
		t.Run("attack_107_108/"+name, func(t *testing.T) {
			ctx, open := t.Context(), open(t)
			start := func() *denyReplica { db, courier := open(); return newDenyReplica(t, db, courier) }
			a, b := start(), start()
			for i := range 8 {
				id := fmt.Sprint("u", i)
				must(t, a.CreateUser(ctx, storage.User{ID: id, Name: id, Active: true, Roles: []string{"admin"}}))
			}
			until(t, "the sets are in use", func() bool { return a.DenySet().Used && b.DenySet().Used })
			if name == "sqlite" { // no lease that ends after 200 ms, so the count is exact
				for range 50 {
					if status, roles := b.use(a.issue("u7").Access); status != 200 || roles != "admin" {
						t.Fatalf("%d %q", status, roles)
					}
				}
				if n := b.db.n.Load(); n != 0 {
					t.Errorf("%d queries for 50 tokens", n)
				}
			} else {
				until(t, "a new token without a query", func() bool {
					access, before := a.issue("u7").Access, b.db.n.Load()
					status, roles := b.use(access)
					return status == 200 && roles == "admin" && b.db.n.Load() == before
				})
			}
			less := a.issue("u5")
			var gone []jwt.Pair
			for i, do := range []func(p jwt.Pair, id string) error{
				func(_ jwt.Pair, id string) error { _, err := a.BumpEpoch(ctx, id); return err },
				func(_ jwt.Pair, id string) error { return a.SetActive(ctx, id, false) },
				func(_ jwt.Pair, id string) error { return a.DeleteUser(ctx, id) },
				func(p jwt.Pair, _ string) error { return a.jwts.Revoke(ctx, p.Refresh) },
				func(_ jwt.Pair, id string) error { return b.db.Store.SetActive(ctx, id, false) }, // around the cache
			} {
				id := fmt.Sprint("u", i)
				p := a.issue(id)
				if status, _ := b.use(p.Access); status != 200 {
					t.Fatalf("before change %d: %d", i, status)
				}
				must(t, do(p, id))
				gone = append(gone, p)
				until(t, fmt.Sprint("the other replica refuses after change ", i), func() bool { return b.refuses(p.Access) })
			}
			must(t, a.SetRoles(ctx, "u5"))
			if name != "sqlite" {
				runSQL(t, a.db.Store, "UPDATE vestibule_users SET roles = '' WHERE id = 'u6'")
			}
			until(t, "the roles are gone", func() bool { status, roles := b.use(less.Access); return status == 200 && roles == "" })
			a.stop()
			again := start()
			for i, p := range gone {
				for name, r := range map[string]*denyReplica{"the other": b, "a new": again} {
					if !r.refuses(p.Access) {
						t.Errorf("%s replica accepts what change %d ended; %+v", name, i, r.DenySet())
					}
				}
			}
			if status, roles := again.use(less.Access); status != 200 || roles != "" {
				t.Errorf("lessened: %d, %q", status, roles)
			}
			if status, roles := again.use(again.issue("u7").Access); status != 200 || roles != "admin" {
				t.Errorf("untouched: %d, %q", status, roles)
			}
		})
	}
}
