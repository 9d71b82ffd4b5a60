package jwt_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const (
	issuer   = "https://app.example"
	audience = "https://api.example"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock moves when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// store is what the tests need of a store.
type store interface {
	jwt.Store
	storage.Users
	storage.Accounts
	storage.Subjects
	storage.Pruner
}

// world is a scheme over a store with the account alice.
type world struct {
	*jwt.Scheme
	front  *authn.Middleware // keeps identities
	clock  *clock
	store  store
	ring   *jose.KeySet
	mu     sync.Mutex
	events []audit.Event
}

func newWorld(t testing.TB, opts jwt.Options) *world {
	t.Helper()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	return over(t, memory.New(&memory.Options{Clock: c.Now}), c, opts)
}

func over(t testing.TB, s store, c *clock, opts jwt.Options) *world {
	t.Helper()
	w := &world{clock: c, store: s, ring: ringOf(t, jose.ES256)}
	opts.Clock = c.Now
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Audit = audit.To(func(_ context.Context, e audit.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	})
	must(t, s.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"staff"}}))
	var err error
	w.Scheme, err = jwt.New(issuer, audience, w.ring, s, &opts)
	must(t, err)
	w.front = authn.New(w.Scheme, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
	return w
}

func ringOf(t testing.TB, alg jose.Algorithm) *jose.KeySet {
	t.Helper()
	k, err := jose.Generate(alg)
	must(t, err)
	r, err := jose.NewKeySet(k)
	must(t, err)
	return r
}

// issue begins a login of alice.
func (w *world) issue(t testing.TB) jwt.Pair {
	t.Helper()
	epoch, err := w.store.SubjectEpoch(t.Context(), "id-alice")
	must(t, err)
	p, err := w.Issue(t.Context(), "id-alice", epoch, nil)
	must(t, err)
	return p
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// status is the answer to an access token: 200, or that of the refusal.
func (w *world) status(token string) int { return through(w.front, token) }

func statusOf(a authn.Authenticator, token string) int { return through(authn.New(a, nil), token) }

// through is the status for a token behind a middleware.
func through(m *authn.Middleware, token string) int {
	ctx, err := m.Authenticate(bearer(token))
	id := authn.FromContext(ctx)
	var e *authn.Error
	switch {
	case err == nil && !id.Authenticated():
		return 401
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

// refreshes is the answer to a refresh token.
func (w *world) refreshes(t testing.TB, token string) (jwt.Pair, int) {
	t.Helper()
	p, _, err := w.Refresh(t.Context(), token)
	var e *authn.Error
	switch {
	case err == nil:
		return p, 200
	case errors.As(err, &e):
		return p, e.Status
	}
	return p, 503
}

// post sends a JSON body to an endpoint.
func post(h http.Handler, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	// A middleware around it, so that faults are logged nowhere.
	authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(h).ServeHTTP(w, r)
	return w
}

func fields(t testing.TB, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var m map[string]string
	must(t, json.Unmarshal(w.Body.Bytes(), &m))
	return m
}

// sign makes a token of the scheme's issuer with changed claims.
func (w *world) sign(t testing.TB, typ string, change map[string]any) string {
	t.Helper()
	now := w.clock.Now().Unix()
	c := map[string]any{"iss": issuer, "aud": audience, "sub": "id-alice", "jti": "some-jti", "sid": "some-sid", "ver": 0,
		"iat": now, "exp": now + 300, "auth_time": now}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	text, err := json.Marshal(c)
	must(t, err)
	token, err := w.ring.Sign(t.Context(), typ, text)
	must(t, err)
	return token
}

// anyone checks no password.
type anyone struct{}

func (anyone) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{Subject: "id-alice", Cookies: []*http.Cookie{{Name: "device", Value: "x"}}}, nil
}

// nobody refuses every password.
type nobody struct{}

func (nobody) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, authn.InvalidLogin()
}

// faulty fails where it is told to.
type faulty struct {
	store
	reads, writes error
}

func (f *faulty) TokenStatusWithUser(ctx context.Context, s string, k storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	if f.reads != nil {
		return storage.User{}, storage.TokenStatus{}, f.reads
	}
	return f.store.TokenStatusWithUser(ctx, s, k)
}

func (f *faulty) TokenStatusOf(ctx context.Context, s string, k storage.BlockKeys) (storage.TokenStatus, error) {
	if f.reads != nil {
		return storage.TokenStatus{}, f.reads
	}
	return f.store.TokenStatusOf(ctx, s, k)
}

func (f *faulty) RefreshByDigest(ctx context.Context, d storage.Digest) (storage.RefreshState, error) {
	if f.reads != nil {
		return storage.RefreshState{}, f.reads
	}
	return f.store.RefreshByDigest(ctx, d)
}

func (f *faulty) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	if f.writes != nil {
		return f.writes
	}
	return f.store.ClaimRefresh(ctx, c)
}

func (f *faulty) EndFamily(ctx context.Context, id string, until time.Time) error {
	if f.writes != nil {
		return f.writes
	}
	return f.store.EndFamily(ctx, id, until)
}

func (f *faulty) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	if f.writes != nil {
		return f.writes
	}
	return f.store.Block(ctx, until, keys...)
}

// counting counts writes.
type counting struct {
	store
	writes atomic.Int64
}

func (c *counting) EndFamily(ctx context.Context, id string, until time.Time) error {
	c.writes.Add(1)
	return c.store.EndFamily(ctx, id, until)
}

func (c *counting) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	c.writes.Add(1)
	return c.store.Block(ctx, until, keys...)
}

// overStore is another scheme of w's issuer, over a store of its own.
func overStore(t testing.TB, w *world, s jwt.Store, opts jwt.Options) *jwt.Scheme {
	t.Helper()
	opts.Clock, opts.Logger = w.clock.Now, slog.New(slog.DiscardHandler)
	x, err := jwt.New(issuer, audience, w.ring, s, &opts)
	must(t, err)
	return x
}

// ambiguous claims, and loses the answer where it is told to.
type ambiguous struct {
	store
	lose bool
}

func (a *ambiguous) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	err := a.store.ClaimRefresh(ctx, c)
	if a.lose {
		return errors.Join(errors.New("connection lost"), ctx.Err())
	}
	return err
}
