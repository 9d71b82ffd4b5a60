package password_test

import (
	"context"
	"encoding/base64"
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
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func base64Std(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// world is a checker with a clock that only its own sleeps move.
type world struct {
	store   *memory.Store
	hasher  *password.Hasher
	limiter *limiter
	checker *password.Checker
	mu      sync.Mutex
	now     time.Time
	slept   time.Duration
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) sleep(_ context.Context, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.slept = w.now.Add(d), w.slept+d
}

// limiter allows a number of attempts and counts their results.
type limiter struct {
	left                 atomic.Int64
	succeeded, cancelled atomic.Int64
	mu                   sync.Mutex
	accounts             []string
}

func (l *limiter) Reserve(_ *http.Request, account string) (authn.LoginAttempt, error) {
	l.mu.Lock()
	l.accounts = append(l.accounts, account)
	l.mu.Unlock()
	if l.left.Add(-1) < 0 {
		return nil, authn.Throttled(time.Minute)
	}
	return reserved{l}, nil
}

type reserved struct{ l *limiter }

func (r reserved) Succeeded(context.Context) []*http.Cookie {
	r.l.succeeded.Add(1)
	return []*http.Cookie{{Name: "device"}}
}

func (r reserved) Cancelled(context.Context) { r.l.cancelled.Add(1) }

func (reserved) Source() string { return "192.0.2.1" }

const secret = "wonderland-42"

func newWorld(t testing.TB, hasher *password.Hasher, opts password.Options) *world {
	t.Helper()
	w := &world{store: memory.New(nil), hasher: hasher, limiter: new(limiter), now: time.Unix(1_800_000_000, 0)}
	w.limiter.left.Store(1_000_000)
	opts.Limiter, opts.Clock, opts.Sleep = w.limiter, w.clock, w.sleep
	if opts.Canonical == nil {
		opts.Canonical = username.Canonical
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	var err error
	w.checker, err = password.New(w.store, hasher, &opts)
	must(t, err)
	return w
}

func (w *world) register(t testing.TB, name string) storage.User {
	t.Helper()
	u, err := w.checker.Register(t.Context(), password.NewUser{Name: name, Password: secret, Email: name + "@example.com", Roles: []string{"staff"}})
	must(t, err)
	return u
}

func (w *world) login(name, pw string) (authn.Login, error) {
	return w.checker.CheckPassword(httptest.NewRequest("POST", "/", nil), name, pw)
}

func status(err error) int {
	var e *authn.Error
	switch {
	case err == nil:
		return 200
	case errors.As(err, &e):
		return e.Status
	}
	return 503
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cheap returns a new hasher with two slots, a long wait, and fast hashes. It is new for each test,
// because unknown names cost as much as the slowest hash that it met.
func cheap() *password.Hasher {
	h, err := password.NewHasher(&password.HasherOptions{Slots: 2, MaxWait: time.Minute, MaxWaiting: 4000})
	if err != nil {
		panic(err)
	}
	return passwordtest.Weaken(h)
}

func verify(t testing.TB, h *password.Hasher, encoded, pw string) (ok, outdated bool) {
	t.Helper()
	ok, outdated, err := h.Verify(t.Context(), "", storage.PasswordHash(encoded), pw)
	must(t, err)
	return ok, outdated
}

func b64(b []byte) string { return strings.TrimRight(base64Std(b), "=") }
