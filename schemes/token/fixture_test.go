package token_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
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

// each runs f on every kind of store.
func each(t *testing.T, f func(t *testing.T, s storagetest.Store)) {
	storetest.Each(t, f)
	t.Run("cached", func(t *testing.T) {
		s, err := cached.New(memory.New(nil), &cached.Options{TTL: cached.MaxTTL})
		must(t, err)
		f(t, s)
	})
}

func ring(t testing.TB, masters ...[]byte) *keys.Ring {
	t.Helper()
	if len(masters) == 0 {
		masters = [][]byte{keys.Generate()}
	}
	r, err := keys.NewRing(masters...)
	must(t, err)
	return r
}

func scheme(t testing.TB, s token.Store, r *keys.Ring, opts *token.Options) *token.Scheme {
	t.Helper()
	x, err := token.New(s, r, opts)
	must(t, err)
	return x
}

func add(t testing.TB, s storagetest.Store, name string) {
	t.Helper()
	must(t, s.CreateUser(context.Background(), storage.User{ID: "id-" + name, Name: name, Active: true, Roles: []string{"staff"}}))
}

func epoch(t testing.TB, s storage.Subjects, subject string) int64 {
	t.Helper()
	n, err := s.SubjectEpoch(context.Background(), subject)
	must(t, err)
	return n
}

func with(value string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{value}
	return r
}

// refused reports whether the token is refused, with the one text.
func refused(t testing.TB, x *token.Scheme, text string) bool {
	t.Helper()
	_, err := authn.Chain{x}.Authenticate(with("Token " + text))
	var e *authn.Error
	if err != nil && (!errors.As(err, &e) || e.Status != 401 || e.Detail != "Invalid token.") {
		t.Errorf("got %v", err)
	}
	return err != nil
}

var sharedRing, _ = keys.NewRing(bytes.Repeat([]byte{9, 8}, 16))

// counter counts calls, and fails all of them where err is set.
type counter struct {
	token.Store
	n   atomic.Int64
	err error
}

func (c *counter) call() error {
	c.n.Add(1)
	return c.err
}

func (c *counter) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	if err := c.call(); err != nil {
		return storage.StaticToken{}, storage.User{}, err
	}
	return c.Store.StaticTokenByDigest(ctx, d)
}

func (c *counter) StaticTokenOf(ctx context.Context, subject string) (storage.StaticToken, error) {
	if err := c.call(); err != nil {
		return storage.StaticToken{}, err
	}
	return c.Store.StaticTokenOf(ctx, subject)
}

func (c *counter) PutStaticToken(ctx context.Context, t storage.StaticToken, old storage.Digest) error {
	if err := c.call(); err != nil {
		return err
	}
	return c.Store.PutStaticToken(ctx, t, old)
}

func (c *counter) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	if err := c.call(); err != nil {
		return err
	}
	return c.Store.DeleteStaticToken(ctx, d)
}

func (c *counter) SubjectEpoch(ctx context.Context, subject string) (int64, error) {
	if err := c.call(); err != nil {
		return 0, err
	}
	return c.Store.SubjectEpoch(ctx, subject)
}

// readOnly cannot write.
type readOnly struct{ storagetest.Store }

var errReadOnly = errors.New("read-only")

// colliding has every digest already.
type colliding struct {
	storagetest.Store
	tries atomic.Int64
}

func (c *colliding) PutStaticToken(context.Context, storage.StaticToken, storage.Digest) error {
	c.tries.Add(1)
	return storage.ErrConflict
}

// iotest has no random bytes.
type iotest struct{}

// anyone checks no password.
type anyone struct{ subject string }

func (a anyone) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{Subject: a.subject, Cookies: []*http.Cookie{{Name: "device", Value: "x"}}}, nil
}

func form(name, password string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader("username="+name+"&password="+password))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

type deny struct{}

type mine string

func (m mine) UserID() string { return string(m) }

type inactive struct{ storagetest.Store }

func (s inactive) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	t, u, err := s.Store.StaticTokenByDigest(ctx, d)
	u.Active = false
	return t, u, err
}

func (readOnly) PutStaticToken(context.Context, storage.StaticToken, storage.Digest) error {
	return errReadOnly
}

func (readOnly) DeleteStaticToken(context.Context, storage.Digest) error { return errReadOnly }

func (readOnly) BumpEpoch(context.Context, string) (int64, error) { return 0, errReadOnly }

func (iotest) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func (deny) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, authn.InvalidLogin()
}
