package cached_test

import (
	"context"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// A context of a transaction that has ended is often used on: a transaction that begins with
// it is another one, and what that changes holds when it has ended, not before.
func TestTrackedContextGoesOn(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		for _, over := range []bool{true, false} { // whether done was called before
			w := newWorld(t, base, nil).by(how)
			id := map[bool]string{true: "alice", false: "bob"}[over]
			w.add(id)
			list := w.give(id)
			tracked, done := w.s.Track(w.ctx)
			if over {
				done()
			}
			w.must(w.s.InTx(tracked, func(ctx context.Context) error {
				if _, err := w.s.BumpEpoch(ctx, id); err != nil {
					return err
				}
				if strings.HasSuffix(t.Name(), "/memory") { // readers wait for the transaction there
					return nil
				}
				for _, c := range list { // somebody else, before the commit
					w.is(c, true, "before the commit")
				}
				return nil
			}))
			for _, c := range list {
				w.is(c, false, "BumpEpoch")
			}
			done()
		}
	})
}

// Neither does a transaction that the application begins with it go unnoticed.
func TestTrackedContextInAnotherTransaction(t *testing.T) {
	base := stores["sqlite"](t).(*gormstore.Store)
	w := newWorld(t, base, nil)
	w.add("alice")
	tracked, done := w.s.Track(w.ctx)
	done()
	w.must(base.DB(w.ctx).Transaction(func(tx *gorm.DB) error {
		ctx := base.WithTx(tracked, tx)
		if _, err := w.s.BumpEpoch(ctx, "alice"); err == nil || !strings.Contains(err.Error(), "Track") {
			t.Errorf("a change that holds too early: %v", err)
		}
		if err := w.s.InTx(ctx, func(context.Context) error { return nil }); err == nil || !strings.Contains(err.Error(), "Track") {
			t.Errorf("a transaction that is not tracked: %v", err)
		}
		return nil
	}))
}
