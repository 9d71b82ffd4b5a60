package session_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// leaving is a store whose next session is inserted after something else happened, and whose client
// leaves when it was.
type leaving struct {
	store
	before, after func()
}

func (s *leaving) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	before, after := s.before, s.after
	if s.before, s.after = nil, nil; before == nil {
		return s.store.CreateSession(ctx, v, replaces)
	}
	before()
	err := s.store.CreateSession(ctx, v, replaces)
	after()
	return err
}

// Who copied a remember cookie asks twice for the session that it is exchanged for. The owner ends
// the login while the second request is on its way, and its client leaves at once. The session,
// whose cookie the first answer has, is gone all the same.
func TestRememberedLeaves_attack_600(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		schemetest.Add(t, s, "alice")
		db := &leaving{store: s}
		a := remembering(t, db, session.RememberOptions{Grace: time.Minute})
		b := visit(t, a, "alice")
		thief := &browser{a: a, memo: b.memo}
		a.c.Set(3 * time.Hour)
		if got := thief.who(); got != aliceIn {
			t.Fatal(got)
		}
		ctx, leave := context.WithCancel(t.Context())
		db.before = func() {
			_, err := a.x.EndAll(t.Context(), "id-alice", "")
			schemetest.Must(t, err)
		}
		db.after = leave
		a.mux.ServeHTTP(httptest.NewRecorder(), a.request("GET", "/", "", "Cookie", b.memo).WithContext(ctx))
		if list, err := s.ListSessions(t.Context(), "id-alice", 10); err != nil || len(list) != 0 {
			t.Errorf("%d sessions are left, %v", len(list), err)
		}
		if w := a.do("GET", "/", "", "Cookie", thief.session); w.Code == 200 && w.Body.String() == aliceIn {
			t.Error("the session outlives its end")
		}
	})
}
