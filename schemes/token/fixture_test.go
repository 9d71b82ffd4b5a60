package token_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// each runs f with each kind of store.
func each(t *testing.T, f func(t *testing.T, s storagetest.Store)) { schemetest.Each(t, nil, f) }

func scheme(t testing.TB, s token.Store, r *keys.Ring, opts *token.Options) *token.Scheme {
	t.Helper()
	x, err := token.New(s, r, opts)
	schemetest.Must(t, err)
	return x
}

// refused reports whether the token is rejected with the text for invalid tokens.
func refused(t testing.TB, x *token.Scheme, text string) bool {
	t.Helper()
	return schemetest.Refused(t, x, "Token "+text)
}

var sharedRing, _ = keys.NewRing(bytes.Repeat([]byte{9, 8}, 16))

// readOnly returns a store that cannot write.
func readOnly(s storagetest.Store) *schemetest.Watched {
	return schemetest.Watch(s).Fail(errors.New("read-only"), schemetest.Writes()...)
}

func form(name, password string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader("username="+name+"&password="+password))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

type mine string

func (m mine) UserID() string { return string(m) }

type inactive struct{ storagetest.Store }

func (s inactive) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	t, u, err := s.Store.StaticTokenByDigest(ctx, d)
	u.Active = false
	return t, u, err
}
