package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// changes are what takes more than one statement.
var changes = map[string]func(context.Context, *gormstore.Store) error{
	"SetPassword":   func(ctx context.Context, s *gormstore.Store) error { return s.SetPassword(ctx, "1", "new") },
	"SetActive":     func(ctx context.Context, s *gormstore.Store) error { return s.SetActive(ctx, "1", false) },
	"DeleteUser":    func(ctx context.Context, s *gormstore.Store) error { return s.DeleteUser(ctx, "1") },
	"DeleteSubject": func(ctx context.Context, s *gormstore.Store) error { return s.DeleteSubject(ctx, "1") },
	"SetPermissions": func(ctx context.Context, s *gormstore.Store) error {
		return s.SetSubjectPermissions(ctx, "1", []string{"app.z"})
	},
	"SetGroups": func(ctx context.Context, s *gormstore.Store) error { return s.SetSubjectGroups(ctx, "1", nil) },
	"Evict": func(ctx context.Context, s *gormstore.Store) error {
		_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf("new"), ID: "new", Subject: "1"}, storage.CredentialLimit{Max: 1, Evict: true})
		return err
	},
	"CreateFamily": func(ctx context.Context, s *gormstore.Store) error {
		return s.CreateFamily(ctx, storage.Family{ID: "new", Purpose: "p", Subject: "1"}, storage.Refresh{Digest: storage.DigestOf("new")})
	},
	"ClaimRefresh": func(ctx context.Context, s *gormstore.Store) error {
		return s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: storage.DigestOf("second 1"), Next: storage.Refresh{Digest: storage.DigestOf("new")}, Sealed: []byte("y"), Window: time.Hour})
	},
	"EndFamily": func(ctx context.Context, s *gormstore.Store) error { return s.EndFamily(ctx, "f1", time.Now()) },
	"Block": func(ctx context.Context, s *gormstore.Store) error {
		return s.Block(ctx, time.Now(), storage.BlockKeyOf("jti", "", "1"), storage.BlockKeyOf("jti", "", "2"))
	},
	"PruneFamilies": func(ctx context.Context, s *gormstore.Store) error {
		n, err := s.Prune(ctx, time.Now(), 1) // what is removed at all is removed whole
		if n > 0 {
			return nil
		}
		return err
	},
	"CreateSigningKey": func(ctx context.Context, s *gormstore.Store) error {
		return s.CreateSigningKey(ctx, storage.SigningKey{ID: "1", Purpose: "p", Algorithm: "a", MasterID: "m"}, "")
	},
}

// state is all that a change may touch.
type state struct {
	user        storage.User
	epoch       int64
	token       storage.StaticToken
	permissions []string
	lives       string // all rows of the records that end
}

func read(t *testing.T, s *gormstore.Store) (all state) {
	t.Helper()
	ctx := context.Background()
	var errs [4]error
	all.user, errs[0] = s.UserByID(ctx, "1")
	all.epoch, errs[1] = s.SubjectEpoch(ctx, "1")
	all.token, errs[2] = s.StaticTokenOf(ctx, "1")
	all.permissions, errs[3] = s.SubjectPermissions(ctx, "1")
	for _, err := range errs {
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
	}
	for _, from := range []string{
		"id || epoch FROM vestibule_device_tokens", "id || ended FROM vestibule_families", "block_key FROM vestibule_blocklist", "id FROM vestibule_signing_keys",
		"hex(digest) || claimed_us || (sealed IS NULL) || hex(next) FROM vestibule_refresh_tokens",
	} {
		if s.DB(ctx).Name() == "postgres" {
			from = strings.ReplaceAll(strings.ReplaceAll(from, "hex(digest)", "encode(digest, 'hex')"), "hex(next)", "COALESCE(encode(next, 'hex'), '')")
		}
		var rows []string
		if err := s.DB(ctx).Raw("SELECT " + from + " ORDER BY 1").Scan(&rows).Error; err != nil {
			t.Fatal(err)
		}
		all.lives += fmt.Sprintf("%q\n", rows)
	}
	return all
}

func furnish(t *testing.T, s *gormstore.Store) {
	t.Helper()
	ctx := context.Background()
	err := errors.Join(
		s.CreateUser(ctx, storage.User{ID: "1", Name: "alice", Password: "old", Active: true}),
		s.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "1", Salt: []byte("s"), KeyID: "k"}, storage.Digest{}),
		s.SetSubjectPermissions(ctx, "1", []string{"app.a", "app.b"}), s.SetSubjectGroups(ctx, "1", []string{"g"}), s.SetGroupPermissions(ctx, "g", []string{"app.c"}))
	if err != nil {
		t.Fatal(err)
	}
	furnishLives(t, s, "1")
}

// stateError is an error of a server, as pgx gives it.
type stateError string

func (e stateError) Error() string    { return "SQLSTATE " + string(e) }
func (e stateError) SQLState() string { return string(e) }

// Each change fails at each of its statements in turn, and at its commit: an error
// is passed on, and nothing has changed. Without a failure all of it has.
func TestAllOrNothing(t *testing.T) {
	sequential(t)
	ctx := context.Background()
	broken := errors.New("broken on purpose")
	for name, change := range changes {
		t.Run("attack_221_"+name, func(t *testing.T) {
			for failAt := 1; ; failAt++ {
				n, on := 0, false
				s := openCounting(t, new(atomic.Int64), func(query string) error {
					if on {
						n++
					}
					if on && n == failAt {
						return broken
					}
					return nil
				})
				furnish(t, s)
				before := read(t, s)
				on = true
				err := change(ctx, s)
				on = false
				after := read(t, s)
				if n < failAt { // it has fewer statements than that
					if err != nil || reflect.DeepEqual(before, after) {
						t.Errorf("without a failure: %v, %+v", err, after)
					}
					if failAt < 3 {
						t.Errorf("only %d statements were seen", n)
					}
					return
				}
				if !errors.Is(err, broken) || !reflect.DeepEqual(before, after) {
					t.Errorf("failing at statement %d: %v; before %+v, after %+v", failAt, err, before, after)
				}
			}
		})
	}
}

// A transaction that the server ended in favour of another one is run again, a
// bounded number of times; no other failure is, and the caller's own transaction is
// the caller's to repeat.
func TestServerErrors(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		state string
		times int  // how often the server says so
		good  bool // the change succeeds in the end
		tries int
	}{
		{"40001", 1, true, 2}, {"40P01", 3, true, 4}, {"40001", 1000, false, 20}, // serialization failure, deadlock
		{"53300", 1, false, 1}, {"53100", 1, false, 1}, {"25006", 1, false, 1}, {"57P01", 1, false, 1}, // connections, disk, read-only, shut down
	} {
		for name, change := range changes {
			if name == "PruneFamilies" {
				continue // it has several transactions
			}
			t.Run("attack_223_"+c.state+"/"+name, func(t *testing.T) {
				on, tries := false, 0
				s := openCounting(t, new(atomic.Int64), func(query string) error {
					if !on || query != "COMMIT" {
						return nil
					}
					if tries++; tries <= c.times {
						return stateError(c.state)
					}
					return nil
				})
				furnish(t, s)
				before := read(t, s)
				on = true
				err := change(ctx, s)
				on = false
				after := read(t, s)
				for _, answer := range []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrStale} {
					if errors.Is(err, answer) {
						t.Errorf("a fault looks like an answer: %v", err)
					}
				}
				if (err == nil) != c.good || tries != c.tries || reflect.DeepEqual(before, after) == c.good {
					t.Errorf("%v after %d tries, want success %t after %d; before %+v, after %+v", err, tries, c.good, c.tries, before, after)
				}
			})
		}
	}
	t.Run("one_statement", func(t *testing.T) {
		fails := 0
		s := openCounting(t, new(atomic.Int64), func(query string) error {
			if fails > 0 && !strings.HasPrefix(query, "SELECT") {
				fails--
				return stateError("40001")
			}
			return nil
		})
		furnish(t, s)
		fails = 3
		if _, err := s.BumpEpoch(ctx, "1"); err != nil || fails != 0 {
			t.Errorf("bump: %v", err)
		}
		fails = 3
		if err := s.DeleteStaticTokenOf(ctx, "1"); err != nil || fails != 0 {
			t.Errorf("delete: %v", err)
		}
		fails = 1
		err := s.InTx(ctx, func(ctx context.Context) error { return s.SetPassword(ctx, "1", "new") })
		if state := stateError(""); !errors.As(err, &state) || fails != 0 {
			t.Errorf("the caller's own transaction: %v", err)
		}
		if u, err := s.UserByID(ctx, "1"); err != nil || u.Password != "old" {
			t.Errorf("the caller's own transaction left something: %v", err)
		}
	})
}
