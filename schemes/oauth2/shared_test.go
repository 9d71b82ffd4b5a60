package oauth2_test

import (
	"context"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Over a store that keeps answers too, a bound token needs its proof each time, is no bearer
// token before and after its use, and a bearer token that is shared comes under no other
// keyword.
func TestSharedAndDPoP(t *testing.T) {
	s, err := cached.New(memory.New(nil), &cached.Options{Clock: func() time.Time { return oauthtest.Born }})
	oauthtest.Must(t, err)
	w := oauthtest.NewWorld(t, s, oauthtest.WithDPoP)
	p := w.NewProver()
	bound := p.Exchange("app", w.Code("app", nil)).Access
	plain := w.Exchange("app", w.Code("app", nil)).Access
	if bound == "" || plain == "" {
		t.Fatal("no token")
	}
	t.Run("attack_101_bound_as_bearer", func(t *testing.T) {
		is := func(want int, keyword, token string, proofs ...string) {
			t.Helper()
			if rec := w.Calls(keyword, token, proofs...); rec.Code != want {
				t.Errorf("%s: %d %s", keyword, rec.Code, rec.Body)
			}
		}
		for range 4 {
			is(401, "Bearer", bound)
			is(200, "DPoP", bound, p.At(bound, nil))
			is(401, "Bearer", bound)
			is(401, "Bearer", bound, p.At(bound, nil))
			is(401, "DPoP", bound)
			once := p.At(bound, nil)
			is(200, "DPoP", bound, once)
			is(401, "DPoP", bound, once)
			is(200, "Bearer", plain)
			is(401, "DPoP", plain, p.At(plain, nil))
			is(401, "DPoP", plain)
		}
	})
}

// lasting is a store whose leases hold for ever.
type lasting struct{ oauthtest.Store }

func (l lasting) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	st, err := l.Store.AccessByDigest(ctx, d)
	st.User = st.User.Leased(schemetest.Forever{})
	return st, err
}

// A token expires by the server's clock, whatever the lease says.
func TestSharedExpires(t *testing.T) {
	w := oauthtest.NewWorld(t, lasting{memory.New(nil)}, nil)
	got := w.Exchange("app", w.Code("app", nil))
	for range 3 {
		if code := w.Status(got.Access); code != 200 {
			t.Fatal(code)
		}
	}
	w.Pass(time.Duration(got.Expires)*time.Second - time.Microsecond)
	if code := w.Status(got.Access); code != 200 {
		t.Errorf("a moment before its end: %d", code)
	}
	w.Pass(time.Microsecond)
	if code := w.Status(got.Access); code != 401 {
		t.Errorf("at its end: %d", code)
	}
}
