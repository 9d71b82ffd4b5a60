package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestNewRefuses(t *testing.T) {
	ring, s := ringOf(t, jose.HS256), memory.New(nil)
	for what, f := range map[string]func() error{
		"no keys":     func() error { _, err := jwt.New(issuer, audience, nil, s, nil); return err },
		"no store":    func() error { _, err := jwt.New(issuer, audience, ring, nil, nil); return err },
		"no issuer":   func() error { _, err := jwt.New("", audience, ring, s, nil); return err },
		"no audience": func() error { _, err := jwt.New(issuer, "", ring, s, nil); return err },
		"leeway": func() error {
			_, err := jwt.New(issuer, audience, ring, s, &jwt.Options{Leeway: time.Hour})
			return err
		},
		"access":  func() error { _, err := jwt.New(issuer, audience, ring, s, &jwt.Options{AccessTTL: -1}); return err },
		"refresh": func() error { _, err := jwt.New(issuer, audience, ring, s, &jwt.Options{RefreshTTL: -1}); return err },
		"absolute": func() error {
			_, err := jwt.New(issuer, audience, ring, s, &jwt.Options{AbsoluteTTL: time.Hour})
			return err
		},
		"grace": func() error {
			_, err := jwt.New(issuer, audience, ring, s, &jwt.Options{Grace: 2 * time.Minute})
			return err
		},
		"prefix": func() error { _, err := jwt.New(issuer, audience, ring, s, &jwt.Options{Prefix: "A"}); return err },
		"realm":  func() error { _, err := jwt.New(issuer, audience, ring, s, &jwt.Options{Realm: `a"b`}); return err },
		"same audience": func() error {
			_, err := jwt.New(issuer, issuer, ring, s, &jwt.Options{SignedRefresh: true})
			return err
		},
		"verifier": func() error { _, err := jwt.NewVerifier(issuer, audience, nil, nil); return err },
		"no types": func() error {
			_, err := jwt.NewVerifier(issuer, audience, ring, &jwt.VerifierOptions{Types: []string{}})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// A lifetime without a unit is in nanoseconds. The error names the option of this package.
func TestNewNamesTheOption(t *testing.T) {
	ring, s := ringOf(t, jose.HS256), memory.New(nil)
	if _, err := jwt.New("", audience, ring, s, nil); err == nil || !strings.HasPrefix(err.Error(), "jwt: New: issuer and audience must be set") {
		t.Errorf("no issuer: %v", err)
	}
	if _, err := jwt.NewVerifier(issuer, audience, nil, nil); err == nil || err.Error() != "jwt: NewVerifier: keys must be set" {
		t.Errorf("no keys: %v", err)
	}
	for want, opts := range map[string]jwt.Options{
		"jwt: New: AccessTTL 300ns out of range (at least 1s)":                     {AccessTTL: 300},
		"jwt: New: RefreshTTL -5ns out of range (at least 1s)":                     {RefreshTTL: -5},
		"jwt: New: AbsoluteTTL 1h0m0s out of range (at least RefreshTTL, 24h0m0s)": {AbsoluteTTL: time.Hour},
	} {
		if _, err := jwt.New(issuer, audience, ring, s, &opts); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		w := newWorld(t, jwt.Options{Stateless: stateless, Claims: func(_ context.Context, u storage.User) (map[string]any, error) {
			return map[string]any{"plan": "gold", "sub": "admin", "EXP": 9}, nil
		}})
		p := w.issue(t)
		id, err := w.Authenticate(bearer(p.Access))
		schemetest.Must(t, err)
		a, ok := id.Credential.(*jwt.Access)
		if !ok || id.Subject != "id-alice" || id.Scheme != "jwt" || id.Issuer != "" || id.Client != "" || !slices.Equal(id.Roles, []string{"staff"}) ||
			id.Scopes != nil || !id.Expires.Equal(w.clock.Now().Add(5*time.Minute)) || !id.AuthTime.Equal(w.clock.Now()) {
			t.Errorf("%+v", id)
		}
		if plan, _ := a.Claims.Text("plan"); plan != "gold" || a.Family == "" || a.ID == "" {
			t.Errorf("%+v", a)
		}
		if u, ok := id.User.(*storage.Account); ok == stateless || !stateless && u.Name != "alice" {
			t.Errorf("user %v", id.User)
		}
		for range 2 { // from the cache
			if again, err := w.Authenticate(bearer(p.Access)); err != nil || again.Subject != id.Subject {
				t.Errorf("%+v, %v", again, err)
			}
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", jwt.Pair{Access: "secret"}, jwt.Pair{Access: "secret"}, jwt.Pair{Access: "secret"}); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

// A removed role takes effect at the next request if the scheme loads the account, and at the next
// refresh otherwise.
func TestLostRole_attack_409(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		w := newWorld(t, jwt.Options{Stateless: stateless})
		p := w.issue(t)
		roles := func(p jwt.Pair) []string {
			var got []string
			for range 2 { // the second one is from the cache
				id, err := w.Authenticate(bearer(p.Access))
				schemetest.Must(t, err)
				got = id.Roles
			}
			return got
		}
		if got := roles(p); !slices.Equal(got, []string{"staff"}) {
			t.Errorf("stateless %t: roles %q", stateless, got)
		}
		schemetest.Must(t, w.store.SetRoles(t.Context(), "id-alice"))
		if got := roles(p); slices.Contains(got, "staff") != stateless {
			t.Errorf("stateless %t: roles %q without a refresh", stateless, got)
		}
		next, status := w.refreshes(t, p.Refresh)
		if got := roles(next); status != 200 || len(got) != 0 {
			t.Errorf("stateless %t: status %d, roles %q after a refresh", stateless, status, got)
		}
	}
}

// The identity of a login with scopes is scope-limited.
func TestScopes(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	for _, scopes := range [][]string{{"notes:read", "notes:write"}, {}} {
		p, err := w.Issue(t.Context(), "id-alice", 0, &jwt.Grant{Scopes: scopes})
		schemetest.Must(t, err)
		for range 2 {
			id, err := w.Authenticate(bearer(p.Access))
			schemetest.Must(t, err)
			if id.Scopes == nil || !slices.Equal(id.Scopes, scopes) {
				t.Errorf("got %q, want %q", id.Scopes, scopes)
			}
			var status int
			if p, status = w.refreshes(t, p.Refresh); status != 200 {
				t.Fatal(status)
			}
		}
	}
	if _, err := w.Issue(t.Context(), "id-alice", 0, &jwt.Grant{Scopes: []string{"a b"}}); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("a scope with a blank: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t, jwt.Options{Leeway: time.Second})
	p := w.issue(t)
	if w.status(p.Access) != 200 {
		t.Fatal("refused")
	}
	w.clock.Pass(5*time.Minute + time.Second - time.Nanosecond)
	if w.status(p.Access) != 200 {
		t.Error("refused before its expiry and leeway")
	}
	w.clock.Pass(time.Nanosecond)
	if w.status(p.Access) != 401 {
		t.Error("taken at its expiry, from the cache")
	}
	fresh := newWorld(t, jwt.Options{CacheEntries: -1})
	q := fresh.issue(t)
	fresh.clock.Pass(5 * time.Minute)
	if fresh.status(q.Access) != 401 {
		t.Error("taken at its expiry")
	}
}

// Every event that revokes the account's credentials revokes access and refresh tokens.
func TestEnds(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		for what, end := range map[string]func(*world, context.Context, jwt.Pair) error{
			"log-out-everywhere": func(w *world, ctx context.Context, _ jwt.Pair) error {
				_, err := w.store.BumpEpoch(ctx, "id-alice")
				return err
			},
			"new password": func(w *world, ctx context.Context, _ jwt.Pair) error {
				return w.store.SetPassword(ctx, "id-alice", "x")
			},
			"attack_044": func(w *world, ctx context.Context, _ jwt.Pair) error {
				return w.store.SetActive(ctx, "id-alice", false)
			},
			"attack_045": func(w *world, ctx context.Context, _ jwt.Pair) error { return w.store.DeleteUser(ctx, "id-alice") },
			"revoke":     func(w *world, ctx context.Context, p jwt.Pair) error { return w.Revoke(ctx, p.Refresh) },
			"revoke by id": func(w *world, ctx context.Context, p jwt.Pair) error {
				list, err := w.List(ctx, "id-alice", 10)
				if err != nil || len(list) != 1 {
					return fmt.Errorf("%d families, %w", len(list), err)
				}
				return w.RevokeFamily(ctx, "id-alice", list[0].ID)
			},
		} {
			t.Run(what, func(t *testing.T) {
				w := newWorld(t, jwt.Options{Stateless: stateless})
				p := w.issue(t)
				if w.status(p.Access) != 200 {
					t.Fatal("refused")
				}
				schemetest.Must(t, end(w, t.Context(), p))
				if got := w.status(p.Access); got != 401 {
					t.Errorf("access: %d", got)
				}
				if _, got := w.refreshes(t, p.Refresh); got != 401 {
					t.Errorf("refresh: %d", got)
				}
			})
		}
	}
	w := newWorld(t, jwt.Options{})
	if err := w.RevokeFamily(t.Context(), "id-alice", "x"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestIssueRefuses(t *testing.T) {
	no := authn.PermissionDenied("not you")
	ruled := false
	w := newWorld(t, jwt.Options{Rule: func(context.Context, storage.User) error {
		if ruled {
			return no
		}
		return nil
	}})
	p := w.issue(t)
	for what, f := range map[string]func() error{
		"another epoch": func() error { _, err := w.Issue(t.Context(), "id-alice", 7, nil); return err },
		"nobody":        func() error { _, err := w.Issue(t.Context(), "nobody", 0, nil); return err },
	} {
		if err := f(); !errors.Is(err, storage.ErrStale) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ruled = true
	if _, err := w.Issue(t.Context(), "id-alice", 0, nil); err != no {
		t.Errorf("rule at login: %v", err)
	}
	if _, _, err := w.Refresh(t.Context(), p.Refresh); err != no {
		t.Errorf("rule at refresh: %v", err)
	}
	ruled = false
	if _, status := w.refreshes(t, p.Refresh); status != 200 {
		t.Errorf("a refresh that the rule refused used the token: %d", status)
	}
}

func TestChallenges(t *testing.T) {
	w := newWorld(t, jwt.Options{Realm: "api"})
	m := authn.New(authn.Chain{w.Scheme}, &authn.Options{})
	for value, want := range map[string]string{"Bearer junk": `Bearer realm="api", error="invalid_token"`} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", value)
		m.Handler(nil).ServeHTTP(rec, r)
		if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") != want || !strings.Contains(rec.Body.String(), `"code":"token_not_valid"`) {
			t.Errorf("%d %q %s", rec.Code, rec.Header()["Www-Authenticate"], rec.Body)
		}
	}
}
