package token_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

const (
	goldenPrefixed = "vst__yoC68tfXFv7DQ8J5IeZjHszu_WZ-ManRnUqhFxaBFY1EOV2d"
	goldenHex      = "ff2a02ebcb5f5c5bfb0d0f09e487998c7b33bbf5"
)

// The derivation must not change. The expected values were computed by another program:
//
//	k = HKDF-SHA-256(master, info="vestibule/v1 static token")
//	HMAC-SHA-256(k, "vestibule static token v1" || 00000008 || "id-alice" || salt)
func TestGoldenTokens(t *testing.T) {
	master := bytes.Repeat([]byte{1, 2, 3, 4}, 8)
	for format, want := range map[token.Format]string{token.Prefixed: goldenPrefixed, token.Hex40: goldenHex} {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, schemetest.Ring(t, master), &token.Options{Format: format, Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 32))})
		got, err := x.GetOrCreate(t.Context(), "id-alice", 0)
		schemetest.Must(t, err)
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The derivation, computed independently for subjects of every length. The input includes the
// length, so different subjects have different inputs.
func TestDerivation(t *testing.T) {
	master := keys.Generate()
	k, err := hkdf.Key(sha256.New, master, nil, "vestibule/v1 static token", 32)
	schemetest.Must(t, err)
	s := memory.New(nil)
	x := scheme(t, s, schemetest.Ring(t, master), &token.Options{Format: token.Hex40})
	for n := 1; n <= storage.MaxIDBytes; n += 23 {
		subject := strings.Repeat("s", n)
		schemetest.Must(t, s.CreateUser(t.Context(), storage.User{ID: subject, Name: subject, Active: true}))
		got, err := x.GetOrCreate(t.Context(), subject, 0)
		schemetest.Must(t, err)
		row, err := s.StaticTokenOf(t.Context(), subject)
		schemetest.Must(t, err)
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte("vestibule static token v1"))
		mac.Write([]byte{0, 0, 0, byte(n)})
		mac.Write([]byte(subject))
		mac.Write(row.Salt)
		if want := hex.EncodeToString(mac.Sum(nil)[:20]); got != want || len(row.Salt) != 32 || row.Digest != sha256.Sum256([]byte(want)) {
			t.Errorf("subject of %d bytes: %s, want %s, %+v", n, got, want, row)
		}
	}
}

func TestLifeOfAToken(t *testing.T) {
	each(t, func(t *testing.T, s storagetest.Store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		x := scheme(t, s, schemetest.Ring(t), nil)
		now := func() string {
			text, err := x.GetOrCreate(ctx, "id-alice", schemetest.Epoch(t, s, "id-alice"))
			schemetest.Must(t, err)
			return text
		}
		first := now()
		if now() != first {
			t.Error("two logins, two tokens")
		}
		id, err := x.Authenticate(schemetest.With("Token " + first))
		schemetest.Must(t, err)
		u, ok := id.User.(*storage.Account)
		if id.Subject != "id-alice" || id.Scheme != "token" || !ok || u.Name != "alice" || id.Roles[0] != "staff" || id.Delegated() {
			t.Errorf("identity %+v", id)
		}
		for what, end := range map[string]func() error{
			"logout":             func() error { return x.Revoke(ctx, "id-alice") },
			"password change":    func() error { return s.SetPassword(ctx, "id-alice", "new") },
			"log out everywhere": func() error { _, err := s.BumpEpoch(ctx, "id-alice"); return err },
			"reset":              func() error { _, err := x.Replace(ctx, "id-alice", schemetest.Epoch(t, s, "id-alice")); return err },
			"disabled, and enabled": func() error {
				return errors.Join(s.SetActive(ctx, "id-alice", false), s.SetActive(ctx, "id-alice", true))
			},
		} {
			before := now()
			if refused(t, x, before) {
				t.Fatalf("before %s: refused", what)
			}
			schemetest.Must(t, end())
			if !refused(t, x, before) {
				t.Errorf("%s: the token works", what)
			}
			if now() == before {
				t.Errorf("%s: the same token again", what)
			}
		}
		schemetest.Must(t, s.SetActive(ctx, "id-alice", false))
		if _, err := x.GetOrCreate(ctx, "id-alice", schemetest.Epoch(t, s, "id-alice")); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for a disabled account: %v", err)
		}
		if _, err := x.GetOrCreate(ctx, "nobody", 0); !errors.Is(err, storage.ErrStale) {
			t.Errorf("a token for nobody: %v", err)
		}
		if err := x.Revoke(ctx, "nobody"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("revoking nothing: %v", err)
		}
	})
}

func TestMasterKeys(t *testing.T) {
	a, b := keys.Generate(), keys.Generate()
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	get := func(r *keys.Ring) string {
		text, err := scheme(t, s, r, nil).GetOrCreate(t.Context(), "id-alice", 0)
		schemetest.Must(t, err)
		return text
	}
	first := get(schemetest.Ring(t, a))
	if get(schemetest.Ring(t, b, a)) != first {
		t.Error("a key that is still in the ring makes the same token")
	}
	if !refused(t, scheme(t, s, schemetest.Ring(t, b), nil), first) {
		t.Error("a key left the ring and its token works")
	}
	second := get(schemetest.Ring(t, b))
	if second == first || refused(t, scheme(t, s, schemetest.Ring(t, b), nil), second) || !refused(t, scheme(t, s, schemetest.Ring(t, b, a), nil), first) {
		t.Error("a login under the new ring replaces the token by one that works")
	}
}

// If the derived text of a stored token has changed, as after a change of format or prefix, the
// next login replaces the token, so login always returns an accepted token.
func TestAnotherFormat(t *testing.T) {
	s, r := memory.New(nil), schemetest.Ring(t)
	schemetest.Add(t, s, "alice")
	var last string
	for _, opts := range []token.Options{{}, {Format: token.Hex40}, {Prefix: "abc"}, {}} {
		x := scheme(t, s, r, &opts)
		if last != "" && !refused(t, x, last) {
			t.Errorf("%+v takes %s", opts, last)
		}
		text, err := x.GetOrCreate(t.Context(), "id-alice", 0)
		schemetest.Must(t, err)
		if refused(t, x, text) {
			t.Errorf("%+v: login returned a token that is refused", opts)
		}
		if again, err := x.GetOrCreate(t.Context(), "id-alice", 0); err != nil || again != text {
			t.Errorf("%+v: another token at the second login: %v", opts, err)
		}
		last = text
	}
}

func TestConstruction(t *testing.T) {
	s, r := memory.New(nil), schemetest.Ring(t)
	for name, opts := range map[string]*token.Options{
		"keyword": {Keyword: "To ken"}, "keyword, colon": {Keyword: "a:"}, "realm": {Realm: `"`}, "prefix": {Prefix: "V"}, "format": {Format: 9},
	} {
		if _, err := token.New(s, r, opts); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := token.New(nil, r, nil); err == nil {
		t.Error("no store was taken")
	}
	if _, err := token.New(s, nil, nil); err == nil {
		t.Error("no ring was taken")
	}
}

// Options.User returns the application's account.
func TestUserHook(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	var fail error
	x := scheme(t, s, schemetest.Ring(t), &token.Options{User: func(_ context.Context, u storage.Account) (authn.User, error) { return mine(u.Name), fail }})
	text, err := x.GetOrCreate(t.Context(), "id-alice", 0)
	schemetest.Must(t, err)
	id, err := x.Authenticate(schemetest.With("Token " + text))
	if err != nil || id.User != mine("alice") {
		t.Errorf("%+v, %v", id, err)
	}
	fail = errors.New("down")
	if _, err := x.Authenticate(schemetest.With("Token " + text)); !errors.Is(err, fail) {
		t.Errorf("got %v", err)
	}
}

// An application's table may report that an account is disabled without a change of its epoch.
func TestDisabledWithoutAnEpoch(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	text, err := scheme(t, s, sharedRing, nil).GetOrCreate(t.Context(), "id-alice", 0)
	schemetest.Must(t, err)
	if !refused(t, scheme(t, inactive{s}, sharedRing, nil), text) {
		t.Error("the token of a disabled account was taken")
	}
}
