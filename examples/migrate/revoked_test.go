package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/django"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// revocations are the changes after which no credential of the account 1 is accepted.
var revocations = map[string]func(context.Context, *gormstore.Store) error{
	"log_out_everywhere": func(ctx context.Context, db *gormstore.Store) error {
		_, err := storage.LogoutEverywhere(ctx, db, "1")
		return err
	},
	"epoch":        func(ctx context.Context, db *gormstore.Store) error { _, err := db.BumpEpoch(ctx, "1"); return err },
	"new_password": func(ctx context.Context, db *gormstore.Store) error { return db.SetPassword(ctx, "1", "!x") },
	"disabled": func(ctx context.Context, db *gormstore.Store) error {
		return errors.Join(db.SetActive(ctx, "1", false), db.SetActive(ctx, "1", true))
	},
}

func count(t *testing.T, db *gormstore.Store, query string) (n int) {
	t.Helper()
	if err := db.DB(t.Context()).Raw(query).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func exec(t *testing.T, db *gormstore.Store, query string, args ...any) {
	t.Helper()
	if err := db.DB(t.Context()).Exec(query, args...).Error; err != nil {
		t.Fatal(err)
	}
}

// imported is a server over imported tokens.
type imported struct {
	db   *gormstore.Store
	ring *keys.Ring
	http.Handler
	tokens *token.Scheme
	text   string // alice's token of Django
}

func importing(t *testing.T, db *gormstore.Store, s secrets) imported {
	t.Helper()
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.New(Tokens{db}, ring, &token.Options{Format: token.Hex40})
	if err != nil {
		t.Fatal(err)
	}
	return imported{db, ring, whoami(authn.Chain{tokens}), tokens, part[map[string]string](t, s, "authtoken")["alice"]}
}

func (i imported) run(t *testing.T) {
	t.Helper()
	if _, err := ImportTokens(t.Context(), i.db, i.ring); err != nil {
		t.Fatal(err)
	}
}

func (i imported) want(t *testing.T, what, text string, status int) {
	t.Helper()
	if code, body := ask(t, i, "Token "+text); code != status {
		t.Errorf("%s: %d %s", what, code, body)
	}
}

func (i imported) logout() int {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Token "+i.text)
	w := httptest.NewRecorder()
	i.tokens.Logout().ServeHTTP(w, r)
	return w.Code
}

const (
	aliceRows = "SELECT count(*) FROM authtoken_token WHERE user_id = 1"
	putAgain  = "INSERT INTO authtoken_token (key, created, user_id) VALUES (?, ?, 1)"
)

// A token that Vestibule revoked is not imported again, also if Django's row is still there (a
// restore, or a store without the hook), and Django has it no longer.
func TestImportRevoked(t *testing.T) {
	ends := map[string]func(*testing.T, imported){
		"logout": func(t *testing.T, i imported) {
			if code := i.logout(); code != http.StatusNoContent {
				t.Fatal(code)
			}
		},
		"revoked": func(t *testing.T, i imported) {
			if err := i.tokens.Revoke(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range revocations {
		ends[name] = func(t *testing.T, i imported) {
			if err := end(t.Context(), i.db); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, end := range ends {
		t.Run("attack_438_"+name, func(t *testing.T) {
			each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
				i := importing(t, db, s)
				old := time.Date(2024, 1, 2, 4, 4, 5, 0, time.UTC)
				i.run(t)
				i.want(t, "imported", i.text, http.StatusOK)
				end(t, i)
				i.want(t, "revoked", i.text, http.StatusUnauthorized)
				if n := count(t, db, aliceRows); n != 0 {
					t.Error("Django still accepts it")
				}
				exec(t, db, putAgain, i.text, old)
				i.run(t)
				i.want(t, "after the next import", i.text, http.StatusUnauthorized)

				// What Django issues now follows, and what it issued before does not.
				for text, created := range map[string]time.Time{strings.Repeat("a", 40): time.Now().Add(time.Second), strings.Repeat("b", 40): old} {
					exec(t, db, "DELETE FROM authtoken_token WHERE user_id = 1")
					exec(t, db, putAgain, text, created)
					i.run(t)
					want := http.StatusOK
					if created == old && name != "logout" && name != "revoked" { // after these Django's other tokens are good
						want = http.StatusUnauthorized
					}
					i.want(t, "the next token", text, want)
					if err := db.DeleteStaticTokenOf(t.Context(), "1"); err != nil && !errors.Is(err, storage.ErrNotFound) {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// Imports run all the time while the token is revoked.
func TestImportRace(t *testing.T) {
	t.Run("attack_438_race", func(t *testing.T) {
		each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
			i := importing(t, db, s)
			ends := map[string]func() error{"logout": func() error {
				if code := i.logout(); code != http.StatusNoContent && code != http.StatusUnauthorized {
					return fmt.Errorf("logout: %d", code)
				}
				return nil
			}}
			for name, end := range revocations {
				ends[name] = func() error { return end(t.Context(), db) }
			}
			for name, end := range ends {
				exec(t, db, "DELETE FROM authtoken_token")
				exec(t, db, "DELETE FROM vestibule_subjects")
				exec(t, db, "DELETE FROM vestibule_static_tokens")
				i.text = strings.Repeat(fmt.Sprintf("%x", len(name)%16), 40)
				exec(t, db, "DELETE FROM vestibule_replays")
				exec(t, db, putAgain, i.text, time.Now())
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						for range 5 {
							if _, err := ImportTokens(t.Context(), db, i.ring); err != nil {
								t.Errorf("%s: %v", name, err)
							}
						}
					})
				}
				for code := 0; code != http.StatusOK; code, _ = ask(t, i, "Token "+i.text) { // it is imported
				}
				if err := end(); err != nil {
					t.Fatal(name, err)
				}
				wg.Wait()
				i.run(t)
				i.want(t, name, i.text, http.StatusUnauthorized)
			}
		})
	})
}

// A token of Knox ends with every revocation in Vestibule, in both programs.
func TestKnoxRevoked(t *testing.T) {
	for name, end := range revocations {
		t.Run("attack_441_"+name, func(t *testing.T) {
			each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
				hash, err := django.NewKnoxHash(django.Knox5, "")
				if err != nil {
					t.Fatal(err)
				}
				h := whoami(authn.Chain{Knox{DB: db, Hash: hash}})
				text := part[map[string]struct{ Token string }](t, s, "knox")["alice"].Token
				if code, body := ask(t, h, "Token "+text); code != http.StatusOK {
					t.Fatal(code, body)
				}
				// The epoch alone is enough: these rows are out of the hook's reach.
				exec(t, db, "UPDATE knox_authtoken SET user_id = 2 WHERE user_id = 1")
				if err := end(t.Context(), db); err != nil {
					t.Fatal(err)
				}
				exec(t, db, "UPDATE knox_authtoken SET user_id = 1 WHERE user_id = 2")
				if code, body := ask(t, h, "Token "+text); code != http.StatusUnauthorized {
					t.Errorf("%d %s", code, body)
				}
				if err := end(t.Context(), db); err != nil {
					t.Fatal(err)
				}
				if n := count(t, db, "SELECT count(*) FROM knox_authtoken WHERE user_id = 1"); n != 0 {
					t.Errorf("Django still accepts %d tokens", n)
				}
			})
		})
	}
}
