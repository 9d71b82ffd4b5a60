package knox_test

import (
	"context"
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
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// store is what the tests need of one.
type store interface {
	storage.Users
	storage.Accounts
	storage.Subjects
	storage.Credentials
	storage.CredentialList
}

// each runs f on every kind of store.
func each(t *testing.T, f func(t *testing.T, s store)) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) { f(t, s) })
	t.Run("cached", func(t *testing.T) {
		s, err := cached.New(memory.New(nil), &cached.Options{TTL: cached.MaxTTL, Clock: func() time.Time { return born }})
		must(t, err)
		f(t, s)
	})
}

func scheme(t testing.TB, s knox.Store, opts *knox.Options) *knox.Scheme {
	t.Helper()
	x, err := knox.New(s, opts)
	must(t, err)
	return x
}

func add(t testing.TB, s storage.Users, name string) {
	t.Helper()
	must(t, s.CreateUser(context.Background(), storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff"}}))
}

func epoch(t testing.TB, s storage.Subjects, subject string) int64 {
	t.Helper()
	n, err := s.SubjectEpoch(context.Background(), subject)
	must(t, err)
	return n
}

// issue makes a token of the subject at its present epoch.
func issue(t testing.TB, x *knox.Scheme, subject string, spec knox.Token) (string, storage.Credential) {
	t.Helper()
	epoch, err := x.CurrentEpoch(context.Background(), subject)
	must(t, err)
	text, rec, err := x.Issue(context.Background(), subject, epoch, spec)
	must(t, err)
	return text, rec
}

func with(value string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{value}
	return r
}

// refused reports whether the token is refused, with the one text.
func refused(t testing.TB, x *knox.Scheme, text string) bool {
	t.Helper()
	_, err := authn.Chain{x}.Authenticate(with("Knox " + text))
	var e *authn.Error
	if err != nil && (!errors.As(err, &e) || e.Status != 401 || e.Detail != "Invalid token.") {
		t.Errorf("got %v", err)
	}
	return err != nil
}

// born is when a test's clock begins: whole microseconds.
var born = time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)

// clock is a clock that stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time      { return born.Add(time.Duration(c.ns.Load())) }
func (c *clock) set(d time.Duration) { c.ns.Store(int64(d)) }

// journal collects events.
type journal struct {
	mu   sync.Mutex
	list []audit.Event
}

func (j *journal) observe(_ context.Context, e audit.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, e)
}

// take returns the kinds since the last time, and forgets them.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var kinds []string
	for _, e := range j.list {
		kinds = append(kinds, string(e.Kind))
	}
	j.list = nil
	return strings.Join(kinds, " ")
}

// counter counts look-ups and written uses; reads and writes fail with the errors
// that are set.
type counter struct {
	store
	reads, touches, written, deletes atomic.Int64
	readErr, writeErr                error
}

func (c *counter) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	c.reads.Add(1)
	if c.readErr != nil {
		return storage.Credential{}, storage.User{}, c.readErr
	}
	return c.store.CredentialByDigest(ctx, purpose, d)
}

func (c *counter) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (bool, error) {
	c.touches.Add(1)
	if c.writeErr != nil {
		return false, c.writeErr
	}
	ok, err := c.store.TouchCredential(ctx, purpose, d, used, expires, before)
	if ok {
		c.written.Add(1)
	}
	return ok, err
}

func (c *counter) ListCredentials(ctx context.Context, purpose, subject string, limit int) ([]storage.Credential, error) {
	if c.readErr != nil {
		return nil, c.readErr
	}
	return c.store.ListCredentials(ctx, purpose, subject, limit)
}

func (c *counter) CreateCredential(ctx context.Context, t storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	if c.writeErr != nil {
		return nil, c.writeErr
	}
	return c.store.CreateCredential(ctx, t, l)
}

func (c *counter) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	c.deletes.Add(1)
	if c.writeErr != nil {
		return c.writeErr
	}
	return c.store.DeleteCredential(ctx, purpose, subject, id)
}

func (c *counter) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error) {
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	return c.store.DeleteCredentialsOf(ctx, purpose, subject, keep)
}

var quiet = slog.New(slog.DiscardHandler)

// anyone checks no password. Its epoch is the one that was read, or 0.
type anyone struct {
	subject string
	epochs  storage.Subjects
}

func (a anyone) CheckPassword(r *http.Request, _, _ string) (login authn.Login, err error) {
	login = authn.Login{Subject: a.subject, Cookies: []*http.Cookie{{Name: "device", Value: "x"}}}
	if a.epochs != nil {
		login.Epoch, err = a.epochs.SubjectEpoch(r.Context(), a.subject)
	}
	return login, err
}

// deny knows nobody.
type deny struct{}

func (deny) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, authn.InvalidLogin()
}

// dry has no random bytes.
type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func post(body string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// login is a login's body.
const login = `{"username":"alice","password":"x"}`

// do asks h as behind a middleware that has no scheme.
func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	authn.New(authn.Chain{}, &authn.Options{Logger: quiet}).Public(h).ServeHTTP(w, r)
	return w
}

// request is one with a credential.
func request(method, authorization string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}
