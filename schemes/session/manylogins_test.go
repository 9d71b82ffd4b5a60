package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// seriesOf returns the family of the browser's remember cookie.
func seriesOf(t *testing.T, s store, b *browser) storage.Family {
	t.Helper()
	_, text, _ := strings.Cut(b.memo, "=")
	st, err := s.RefreshByDigest(t.Context(), storage.DigestOf("__Host-session __Host-remember="+text)) // bound to both cookies
	schemetest.Must(t, err)
	return st.Family
}

// Deleting a session, logging out and a stolen remember cookie read no other session of the
// account.
func TestEndOneOfManySessions_attack_375(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		schemetest.Add(t, s, "bob")
		rows := &schemetest.Rows{Store: s}
		a := newApp(t, rows, &session.Options{MaxSessions: session.NoLimit, Remember: &session.RememberOptions{Grace: -1}})
		mine, gone, stolen, ended, bobs := visit(t, a, "alice"), visit(t, a, "alice"), visit(t, a, "alice"), visit(t, a, "alice"), visit(t, a, "bob")
		schemetest.Must(t, s.InTx(t.Context(), func(ctx context.Context) error {
			for i := range 300 {
				v := storage.Session{Digest: storage.DigestOf(fmt.Sprint("s", i)), ID: fmt.Sprintf("f%d.x", i), Subject: "id-alice", Created: born, LastSeen: born.Add(time.Minute), Expires: born.Add(time.Hour), Ends: born.Add(time.Hour)}
				if err := s.CreateSession(ctx, v, storage.Digest{}); err != nil {
					return err
				}
			}
			return nil
		}))
		idOf := func(b *browser) string {
			id, err := a.x.Authenticate(a.request("GET", "/", "", "Cookie", b.session))
			schemetest.Must(t, err)
			return session.SessionID(id)
		}
		thief := &browser{a: a, memo: stolen.memo}
		if got := thief.who(); got != aliceIn {
			t.Fatal(got)
		}
		rows.N.Store(0)
		for path, want := range map[string]int{idOf(ended): 204, idOf(bobs): 404, "nosuch": 404, seriesOf(t, s, mine).ID + ".nosuch": 404} {
			if w := mine.send("DELETE", "/sessions/"+path, ""); w.Code != want {
				t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
			}
		}
		if w := gone.send("POST", "/logout", ""); w.Code >= 300 {
			t.Error(w.Code)
		}
		first := &browser{a: a, session: stolen.session}
		stolen.session = ""
		if got := stolen.who(); got != unauthorized {
			t.Error(got)
		}
		if n := rows.N.Load(); n > 10 {
			t.Errorf("%d sessions were read to end three", n)
		}
		for name, b := range map[string]*browser{"ended": ended, "stolen": first, "of the thief": thief} {
			if got := b.who(); got != unauthorized {
				t.Errorf("%s: %s", name, got)
			}
		}
		if mine.who() != aliceIn || bobs.who() != "session:id-bob" {
			t.Error("another session has ended")
		}
	})
}

// Ending all logins also ends remembered logins beyond the result of one list.
func TestEndAllOfManySeries_attack_377(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		a := newApp(t, s, &session.Options{MaxSessions: session.NoLimit, Remember: &session.RememberOptions{}})
		oldest := visit(t, a, "alice")
		a.c.Set(2 * time.Hour)
		kept := visit(t, a, "alice")
		like := seriesOf(t, s, kept)
		ids := schemetest.Families(t, s, s, like, 1100, nil)
		if w := kept.send("POST", "/others", ""); w.Code >= 300 {
			t.Fatal(w.Code, w.Body)
		}
		if got := oldest.who(); got != unauthorized {
			t.Errorf("the oldest login: %s", got)
		}
		if got := kept.who(); got != aliceIn {
			t.Errorf("the login to keep: %s", got)
		}
		if list, err := s.ListFamilies(t.Context(), like.Purpose, "id-alice", storage.FamilyPlace{}, 2000); err != nil || len(list) != 1 || list[0].ID != like.ID {
			t.Errorf("%d of %d are left, %v", len(list), len(ids), err)
		}
		schemetest.Must(t, func() error { _, err := a.x.EndAll(t.Context(), "id-alice", ""); return err }())
		if list, err := s.ListFamilies(t.Context(), like.Purpose, "id-alice", storage.FamilyPlace{}, 2000); err != nil || len(list) != 0 || kept.who() != unauthorized {
			t.Errorf("%d are left, %v", len(list), err)
		}
	})
}
