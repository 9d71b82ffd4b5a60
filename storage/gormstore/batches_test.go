package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// The batches follow the application's IDs, call the hook for each account, and undo a batch whose
// hook fails.
func TestBumpEpochsOfOwnTable(t *testing.T) {
	for name, open := range databases {
		for _, space := range []string{"", "staff"} {
			t.Run("attack_230_"+name+"_"+space, func(t *testing.T) {
				ctx := t.Context()
				var seen []string
				var fail error
				s := migrated(t, open(t, &gormstore.Options{Users: &accounts, Space: space, Ended: func(_ context.Context, e storage.Ending) error {
					seen = append(seen, e.Subject)
					if e.Subject[len(e.Subject)-1] == '7' {
						return fail
					}
					return nil
				}}))
				if err := s.DB(ctx).AutoMigrate(&Account{}); err != nil {
					t.Fatal(err)
				}
				subject := func(i int) string {
					if space != "" {
						return fmt.Sprintf("%s:%d", space, i)
					}
					return fmt.Sprint(i)
				}
				for i := 1; i <= 12; i++ {
					if err := s.DB(ctx).Create(&Account{UID: int64(i), Login: fmt.Sprint("u", i)}).Error; err != nil {
						t.Fatal(err)
					}
				}
				epoch := func(i int) int64 {
					n, err := s.SubjectEpoch(ctx, subject(i))
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
				floor := epoch(1)
				last, n, err := s.BumpEpochs(ctx, "", time.Time{}, 5)
				if err != nil || n != 5 || last != subject(5) || len(seen) != 5 || epoch(6) <= floor || epoch(5) <= epoch(6) {
					t.Fatal(last, n, err, seen)
				}
				least := epoch(6)
				fail = errors.New("on purpose")
				if _, _, err := s.BumpEpochs(ctx, last, time.Time{}, 5); !errors.Is(err, fail) || epoch(6) != least {
					t.Errorf("the hook failed: %v", err)
				}
				fail = nil
				// A wrong clock made an epoch of next year. It does not count as a logout since now.
				next := time.Now().AddDate(1, 0, 0).UnixMicro()
				if err := s.DB(ctx).Exec("INSERT INTO vestibule_subjects (subject, epoch) VALUES (?, ?)", subject(12), next).Error; err != nil {
					t.Fatal(err)
				}
				seen = nil
				if n, err := storage.LogoutAll(ctx, s, time.Now().Add(-time.Hour)); err != nil || n != 7 || epoch(12) != next+1 || len(seen) != 7 {
					t.Error(n, err, seen, epoch(12))
				}
				if space != "" {
					if _, _, err := s.BumpEpochs(ctx, "other:1", time.Time{}, 5); !errors.Is(err, storage.ErrInvalid) {
						t.Error(err)
					}
				}
			})
		}
	}
}
