package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// exchanging is a server that exchanges refresh tokens of simplejwt.
type exchanging struct {
	http.Handler
	old    *jose.KeySet
	api    http.Handler
	faulty *faulty
	tokens *jwt.Scheme
}

// faulty is a store that can fail when a login is stored.
type faulty struct {
	*gormstore.Store
	err error
}

func (f *faulty) CreateFamily(ctx context.Context, v storage.Family, first storage.Refresh) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.CreateFamily(ctx, v, first)
}

func exchangeOf(t *testing.T, db *gormstore.Store, s secrets) exchanging {
	t.Helper()
	secret, err := jose.NewSecret("django", jose.HS256, []byte(part[map[string]string](t, s, "SIMPLE_JWT")["SIGNING_KEY"]))
	if err != nil {
		t.Fatal(err)
	}
	old, err := jose.NewKeySet(secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	signing, err := jwt.NewStoredKeys(db, ring, "https://api.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := signing.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := &faulty{Store: db}
	tokens, err := jwt.New("https://api.example", "https://api.example", signing, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return exchanging{Exchange(db, SimpleJWT{Keys: old, InsecureAnyPassword: true}, tokens), old, whoami(authn.Chain{tokens}), f, tokens}
}

// refresh returns a refresh token of Django for the account 1.
func (e exchanging) refresh(t *testing.T, id string, issued time.Time) string {
	t.Helper()
	text, err := e.old.Sign(t.Context(), "JWT", fmt.Appendf(nil, `{"token_type":"refresh","exp":%d,"iat":%d,"jti":%q,"user_id":1}`, time.Now().Add(time.Hour).Unix(), issued.Unix(), id))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (e exchanging) send(refresh string) (int, string) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"refresh":"`+refresh+`"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// A refresh token of Django is not exchanged after Vestibule revoked the account's credentials. One
// that Django rotated since has a later "iat", and proves nothing either.
func TestExchangeRevoked(t *testing.T) {
	for name, end := range revocations {
		t.Run("attack_439_"+name, func(t *testing.T) {
			each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
				e := exchangeOf(t, db, s)
				stolen, rotated := e.refresh(t, "stolen", time.Now().Add(-time.Minute)), e.refresh(t, "rotated", time.Now().Add(time.Minute))
				if code, body := e.send(e.refresh(t, "first", time.Now())); code != http.StatusOK {
					t.Fatal(code, body)
				}
				if err := end(t.Context(), db); err != nil {
					t.Fatal(err)
				}
				for what, text := range map[string]string{"stolen": stolen, "rotated": rotated} {
					if code, body := e.send(text); code != http.StatusUnauthorized {
						t.Errorf("%s: %d %s", what, code, body)
					}
				}
				if n := count(t, db, "SELECT count(*) FROM token_blacklist_outstandingtoken o WHERE user_id = 1 AND NOT EXISTS (SELECT 1 FROM token_blacklist_blacklistedtoken b WHERE b.token_id = o.id)"); n != 0 {
					t.Errorf("Django still accepts %d tokens", n)
				}
			})
		})
	}
	t.Run("attack_439_race", func(t *testing.T) {
		each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
			e := exchangeOf(t, db, s)
			var wg sync.WaitGroup
			issued := make(chan string, 40)
			for n := range cap(issued) {
				text := e.refresh(t, fmt.Sprint(n), time.Now())
				wg.Go(func() {
					code, body := e.send(text)
					var pair struct{ Access string }
					switch err := json.Unmarshal([]byte(body), &pair); {
					case code == http.StatusOK && err == nil:
						issued <- pair.Access
					case code != http.StatusUnauthorized:
						t.Errorf("%d %s", code, body)
					}
				})
			}
			list := []string{<-issued} // others are on their way
			if _, err := db.BumpEpoch(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			close(issued)
			for access := range issued {
				list = append(list, access)
			}
			for _, access := range list {
				if code, body := ask(t, e.api, "Bearer "+access); code != http.StatusUnauthorized {
					t.Errorf("of %d: %d %s", len(list), code, body)
				}
			}
		})
	})
}

// A fault between the note that the token was used and the new login costs nothing: the same token
// works later, once.
func TestExchangeFault(t *testing.T) {
	t.Run("attack_440", func(t *testing.T) {
		each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
			e := exchangeOf(t, db, s)
			text := e.refresh(t, "only", time.Now())
			e.faulty.err = errors.New("connection lost")
			for range 2 {
				if code, body := e.send(text); code != http.StatusServiceUnavailable {
					t.Errorf("%d %s", code, body)
				}
			}
			e.faulty.err = nil
			for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
				if code, body := e.send(text); code != want {
					t.Errorf("%d %s", code, body)
				}
			}
		})
	})
}
