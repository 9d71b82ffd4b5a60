package cached_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// As TestRevocationRaces, with the revoke in a transaction, beside one that is rolled back:
// the rolled back one ends nothing, the other one everything, from when it returns.
func TestTransactionRaces(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, nil).by(how)
		n := 0
		t.Run("attack_042_in_a_transaction", func(t *testing.T) {
			w.TB = t
			for what := range everywhere(w.ctx, "", 0) {
				n++
				id := fmt.Sprintf("user%d", n)
				w.add(id)
				list := w.give(id)
				undone := errors.New("undone")
				w.against(what, func(s *cached.Store) error {
					revoke := func(ctx context.Context) error { return everywhere(ctx, id, 0)[what](s) }
					if err := s.InTx(w.ctx, func(ctx context.Context) error { return errors.Join(revoke(ctx), undone) }); !errors.Is(err, undone) {
						t.Error(err)
					}
					for _, c := range list {
						w.is(c, true, "what was to end it was rolled back")
					}
					return s.InTx(w.ctx, func(ctx context.Context) error {
						return s.InTx(ctx, func(ctx context.Context) error { // joins
							_, _, err := s.StaticTokenByDigest(ctx, storage.DigestOf(id+" 0"))
							return errors.Join(err, revoke(ctx))
						})
					})
				}, list...)
			}
		})
	})
}
