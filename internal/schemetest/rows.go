package schemetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Rows is a store that counts the families and sessions that its lists return: what an endpoint
// reads to look at one of them.
type Rows struct {
	storagetest.Store
	N atomic.Int64
}

func counted[T any](r *Rows, list []T, err error) ([]T, error) {
	r.N.Add(int64(len(list)))
	return list, err
}

// ListFamilies implements storage.Families.
func (r *Rows) ListFamilies(ctx context.Context, purpose, subject string, after storage.FamilyPlace, limit int) ([]storage.Family, error) {
	list, err := r.Store.ListFamilies(ctx, purpose, subject, after, limit)
	return counted(r, list, err)
}

// ListFamiliesOf implements storage.Families.
func (r *Rows) ListFamiliesOf(ctx context.Context, purpose, subject, client string, skip, limit int) ([]storage.Family, error) {
	list, err := r.Store.ListFamiliesOf(ctx, purpose, subject, client, skip, limit)
	return counted(r, list, err)
}

// ListSessions implements storage.SessionList.
func (r *Rows) ListSessions(ctx context.Context, subject string, limit int) ([]storage.Session, error) {
	list, err := r.Store.ListSessions(ctx, subject, limit)
	return counted(r, list, err)
}

// Families creates n families of the subject as like is one, each a second older than the one
// before it and all older than like, and returns their IDs. client returns the client of one; nil:
// that of like.
func Families(t testing.TB, s storage.Families, tx storage.Transactor, like storage.Family, n int, client func(i int) string) (ids []string) {
	t.Helper()
	err := tx.InTx(t.Context(), func(ctx context.Context) error {
		for i := range n {
			f := like
			f.ID, f.Created = fmt.Sprintf("%s-%d", like.ID, i), like.Created.Add(-time.Duration(i+1)*time.Second)
			if client != nil {
				f.Client = client(i)
			}
			ids = append(ids, f.ID)
			if err := s.CreateFamily(ctx, f, storage.Refresh{Digest: storage.DigestOf(f.ID), Created: f.Created, Expires: f.Expires}); err != nil {
				return err
			}
		}
		return nil
	})
	Must(t, err)
	return ids
}
