package cached_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// counting counts the lookups that a token causes, and can hold a reading of the revocations.
type counting struct {
	*memory.Store
	n    atomic.Int64
	held atomic.Pointer[func()] // called after the revocations were read, before they are used
	skew atomic.Int64           // of the clock that the store tells
}

func (c *counting) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	c.n.Add(1)
	return c.Store.TokenStatusOf(ctx, subject, keys)
}

func (c *counting) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	c.n.Add(1)
	return c.Store.TokenStatusWithUser(ctx, subject, keys)
}

func (c *counting) UserByID(ctx context.Context, id string) (storage.User, error) {
	c.n.Add(1)
	return c.Store.UserByID(ctx, id)
}

func (c *counting) SignedAccessStatus(ctx context.Context, client, family, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	c.n.Add(1)
	return c.Store.SignedAccessStatus(ctx, client, family, subject, keys)
}

func (c *counting) RevokedSince(ctx context.Context, since time.Time, limit int, f func(storage.Revocation)) error {
	var all []storage.Revocation
	err := c.Store.RevokedSince(ctx, since, limit, func(r storage.Revocation) { all = append(all, r) })
	if hold := c.held.Swap(nil); hold != nil {
		(*hold)()
	}
	for _, r := range all {
		f(r)
	}
	return err
}

func (c *counting) RecordTokenLifetime(ctx context.Context, lifetime time.Duration) (storage.TokenLifetimes, error) {
	l, err := c.Store.RecordTokenLifetime(ctx, lifetime)
	l.Now = l.Now.Add(time.Duration(c.skew.Load()))
	return l, err
}

// denying is a replica with a deny set and a JWT scheme.
type denying struct {
	*testing.T
	base *counting
	s    *cached.Store
	wire *wire
	jwts *jwt.Scheme
	h    http.Handler
	stop func()

	alone bool // without a courier
}

type denyOptions struct {
	set       cached.DenySet
	opts      cached.Options
	ttl       time.Duration // of access tokens
	stateless bool
	issuer    string
	alone     bool // without a courier
}

// deny runs f in a bubble with its own clock, with one account.
func deny(t *testing.T, o denyOptions, f func(*denying)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		base := &counting{Store: memory.New(nil)}
		must(t, base.CreateUser(t.Context(), storage.User{ID: "id", Name: "ann", Active: true, Roles: []string{"admin"}}))
		must(t, base.CreateUser(t.Context(), storage.User{ID: "other", Name: "bob", Active: true}))
		d := replicaOf(t, base, o)
		defer d.stop()
		d.proved()
		f(d)
	})
}

// replicaOf starts a replica over a store.
func replicaOf(t *testing.T, base *counting, o denyOptions) *denying {
	t.Helper()
	d := &denying{T: t, base: base, alone: o.alone, wire: &wire{of: base, calls: make(chan func(bus.Follower) error)}}
	o.opts.DenySet, o.opts.Logger = &o.set, slog.New(slog.DiscardHandler)
	if !o.alone {
		o.opts.Courier = d.wire
	}
	var err error
	d.s, err = cached.New(base, &o.opts)
	must(t, err)
	issuer := o.issuer
	if issuer == "" {
		issuer = "https://auth.example"
	}
	d.jwts, err = jwt.New(issuer, "https://api.example", signing(t, "k"), d.s, &jwt.Options{AccessTTL: o.ttl, Stateless: o.stateless})
	must(t, err)
	d.h = authn.New(authn.Chain{d.jwts}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, role := range authn.FromContext(r.Context()).Roles {
			w.Header().Add("Role", role)
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.s.Run(ctx) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
	return d
}

// proved lets the courier prove that all has arrived, and the set be read.
func (d *denying) proved() {
	synctest.Wait()
	if !d.alone {
		d.wire.do(func(f bus.Follower) error {
			f.AccountsTold(true)
			return f.Prove(func() error { return nil })
		})
	}
	synctest.Wait()
}

// later lets time pass, with proofs.
func (d *denying) later(by time.Duration) {
	time.Sleep(by)
	d.proved()
}

func (d *denying) issue(subject string) jwt.Pair {
	d.Helper()
	epoch, err := d.base.SubjectEpoch(d.Context(), subject)
	must(d.T, err)
	p, err := d.jwts.Issue(d.Context(), subject, epoch, nil)
	must(d.T, err)
	return p
}

// use uses an access token and returns the status, and the number of lookups that reached the store.
func (d *denying) use(access string) (*http.Response, int64) {
	before := d.base.n.Load()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	rec := httptest.NewRecorder()
	d.h.ServeHTTP(rec, r)
	return rec.Result(), d.base.n.Load() - before
}

func (d *denying) want(what, access string, status int, lookups int64) *http.Response {
	d.Helper()
	resp, n := d.use(access)
	if resp.StatusCode != status || n != lookups {
		d.Errorf("%s: %d with %d lookups, want %d with %d; %+v", what, resp.StatusCode, n, status, lookups, d.s.DenySet())
	}
	return resp
}

func (d *denying) refused(what, access string) {
	d.Helper()
	if resp, _ := d.use(access); resp.StatusCode != 401 {
		d.Errorf("%s: %d; %+v", what, resp.StatusCode, d.s.DenySet())
	}
}

func (d *denying) tell(c cached.Change) {
	d.wire.do(func(f bus.Follower) error { f.Apply(c); return nil })
}

// idsOf returns the ID of an access token and that of its family.
func idsOf(t testing.TB, access string) (id, family string) {
	t.Helper()
	parts := strings.Split(access, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var c struct {
		ID     string `json:"jti"`
		Family string `json:"sid"`
	}
	must(t, json.Unmarshal(text, &c))
	return c.ID, c.Family
}
