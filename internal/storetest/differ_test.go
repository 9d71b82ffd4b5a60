package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// The memory finds by maps what SQLite finds by queries: whatever is done with families,
// device tokens and sessions, also in transactions that are taken back, both answer alike.
func TestMemoryIsSQLite(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	now := time.Unix(1_800_000_000, 0).UTC()
	clock := func() time.Time { return now }
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), &gormstore.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	stores := []storagetest.Store{memory.New(&memory.Options{Clock: clock}), db}
	subjects := []string{"alice", "bob"}
	for _, s := range stores {
		for _, id := range subjects {
			if err := s.CreateUser(t.Context(), storage.User{ID: id, Name: id, Active: true, Created: now}); err != nil {
				t.Fatal(err)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	digest := func() storage.Digest { return storage.DigestOf(fmt.Sprint(rnd.IntN(60))) }
	name := func() string { n := rnd.IntN(12); return fmt.Sprintf("id%d.%d", n%4, n) } // three of a series
	var open []storage.Digest                                                          // refresh tokens that may be claimed
	var chained []string                                                               // families with a sealed answer
	seen, narrowed := 0, 0
	type op func(context.Context, storagetest.Store) string
	say := func(v any, err error) string {
		if errors.Is(err, storage.ErrLimit) {
			err = storage.ErrConflict // which of two reasons is given is nobody's promise
		}
		for _, known := range []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrStale, storage.ErrInvalid} {
			if errors.Is(err, known) {
				return known.Error()
			}
		}
		return fmt.Sprintf("%v %v", v, err)
	}
	one := func() (what string, f op) {
		subject, id, d, e := subjects[rnd.IntN(2)], name(), digest(), digest()
		far, soon := now.Add(time.Duration(rnd.IntN(60))*time.Minute), now.Add(-time.Duration(rnd.IntN(30))*time.Second)
		window := time.Duration(rnd.IntN(2)) * 20 * time.Second
		n, evict := rnd.IntN(3), rnd.IntN(2) == 0
		series, _, _ := strings.Cut(id, ".")
		if len(open) > 0 && rnd.IntN(4) > 0 {
			d = open[rnd.IntN(len(open))]
		}
		if len(chained) > 0 && rnd.IntN(2) == 0 {
			id = chained[rnd.IntN(len(chained))]
		}
		switch rnd.IntN(18) {
		case 0, 1:
			return "create a family", func(ctx context.Context, s storagetest.Store) string {
				epoch, _ := s.SubjectEpoch(ctx, subject)
				return say(nil, s.CreateFamily(ctx, storage.Family{ID: id, Purpose: "p", Subject: subject, Epoch: epoch, Created: now, Expires: far}, storage.Refresh{Digest: d, Created: now, Expires: far}))
			}
		case 2, 3, 4, 5:
			return "claim", func(ctx context.Context, s storagetest.Store) string {
				return say(nil, s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: d, Next: storage.Refresh{Digest: e, Created: now, Expires: far}, Sealed: []byte("sealed"), Window: window}))
			}
		case 6, 7:
			return "narrow", func(ctx context.Context, s storagetest.Store) string {
				return say(nil, s.CloseGraceWindow(ctx, id, soon))
			}
		case 15, 16:
			return "claim", func(ctx context.Context, s storagetest.Store) string {
				return say(nil, s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: d, Next: storage.Refresh{Digest: e, Created: now, Expires: far}, Sealed: []byte("sealed"), Window: time.Minute}))
			}
		case 8:
			return "end a family", func(ctx context.Context, s storagetest.Store) string { return say(nil, s.EndFamily(ctx, id, far)) }
		case 9:
			return "prune", func(ctx context.Context, s storagetest.Store) string { return say(s.Prune(ctx, now, 1000)) }
		case 10:
			return "create a device token", func(ctx context.Context, s storagetest.Store) string {
				epoch, _ := s.SubjectEpoch(ctx, subject)
				list, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: d, ID: id, Subject: subject, Epoch: epoch, Created: now, Expires: far}, storage.CredentialLimit{Max: n, Evict: evict, Now: now})
				return say(len(list), err)
			}
		case 11:
			return "delete a device token", func(ctx context.Context, s storagetest.Store) string {
				return say(nil, s.DeleteCredential(ctx, "knox", subject, id))
			}
		case 12:
			return "create a session", func(ctx context.Context, s storagetest.Store) string {
				epoch, _ := s.SubjectEpoch(ctx, subject)
				old := storage.Digest{}
				if evict {
					old = e
				}
				return say(nil, s.CreateSession(ctx, storage.Session{Digest: d, ID: id, Subject: subject, Epoch: epoch, Created: now, LastSeen: now, Expires: far, Ends: far}, old))
			}
		case 13:
			if evict {
				return "end a series", func(ctx context.Context, s storagetest.Store) string {
					one, err := s.SessionByID(ctx, subject, id)
					return say(one.LastSeen, err) + say(s.DeleteSeries(ctx, subject, series, id))
				}
			}
			return "end the other sessions", func(ctx context.Context, s storagetest.Store) string {
				return say(s.DeleteSessionsOf(ctx, subject, id))
			}
		case 14:
			return "delete the other device tokens", func(ctx context.Context, s storagetest.Store) string {
				return say(s.DeleteCredentialsOf(ctx, "knox", subject, id))
			}
		}
		return "end everything", func(ctx context.Context, s storagetest.Store) string {
			if n > 0 || !evict {
				return say(s.DeleteSessionsOf(ctx, subject, ""))
			}
			return say(s.BumpEpoch(ctx, subject))
		}
	}
	all := func(s storagetest.Store) (out []string) {
		ctx := t.Context()
		open, chained = nil, nil
		for i := range 60 {
			st, err := s.RefreshByDigest(ctx, storage.DigestOf(fmt.Sprint(i)))
			r := st.Refresh
			if err == nil && r.Claimed.IsZero() && !st.Family.Ended {
				open = append(open, storage.DigestOf(fmt.Sprint(i)))
			}
			if r.Sealed != nil {
				chained, seen = append(chained, r.Family), seen+1
			}
			if r.Sealed != nil && r.GraceClosed {
				narrowed++
			}
			out = append(out, say([]any{i, r.Family, r.Claimed, string(r.Sealed), r.SealedUntil, r.GraceClosed, r.Expires, st.Family.Ended, st.SuccessorClaimed}, err))
		}
		for _, id := range subjects {
			families, err := s.ListFamilies(ctx, "p", id, storage.FamilyPlace{}, 100)
			for _, f := range families {
				out = append(out, say(f.ID, err))
			}
			for _, skip := range []int{0, 2} {
				of, err := s.ListFamiliesOf(ctx, "p", id, "", skip, 3)
				for _, f := range of {
					one, lost := s.FamilyByID(ctx, "p", id, f.ID)
					out = append(out, say([]any{skip, f.ID, one.Created}, errors.Join(err, lost)))
				}
			}
			out = append(out, say(s.CountFamilies(ctx, "p", id)))
			devices, err := s.ListCredentials(ctx, "knox", id, 100)
			for _, v := range devices {
				out = append(out, say([]any{v.ID, v.Digest}, err))
			}
			sessions, err := s.ListSessions(ctx, id, 100)
			for _, v := range sessions {
				out = append(out, say([]any{v.ID, v.Digest}, err))
			}
		}
		return out
	}
	undone := errors.New("undone")
	for round := range 250 {
		now = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
		var whats []string
		var ops []op
		for range 1 + rnd.IntN(6) {
			what, f := one()
			whats, ops = append(whats, what), append(ops, f)
		}
		how := rnd.IntN(3) // each alone; in a transaction; in one that is taken back
		var said [2]string
		for i, s := range stores {
			run := func(ctx context.Context) (err error) {
				for _, f := range ops {
					said[i] += f(ctx, s) + "\n"
				}
				if how == 2 {
					err = undone
				}
				return err
			}
			if how == 0 {
				_ = run(t.Context())
			} else if err := s.InTx(t.Context(), run); (err != nil) != (how == 2) {
				t.Fatal(err)
			}
		}
		if said[0] != said[1] {
			t.Fatalf("round %d, way %d: %q: memory says\n%sSQLite\n%s", round, how, whats, said[0], said[1])
		}
		was, is := all(stores[0]), all(stores[1])
		for i := range max(len(was), len(is)) {
			if i >= len(was) || i >= len(is) || was[i] != is[i] {
				t.Fatalf("round %d, way %d: %q: memory has\n%q\nSQLite\n%q", round, how, whats, was[i:], is[i:])
			}
		}
	}
	if seen < 100 || narrowed < 20 {
		t.Errorf("%d sealed answers and %d narrowed ones were seen", seen, narrowed)
	}
}
