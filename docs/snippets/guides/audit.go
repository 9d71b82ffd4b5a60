package guides

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// #region copyaudit

// copyAudit passes on the events after the ID last, and returns the ID to begin with next time. The
// receiver ignores IDs that it has.
func copyAudit(ctx context.Context, db storage.AuditLog, last string, send func(storage.AuditRecord) error) (string, error) {
	again := time.Now().Add(-5 * time.Minute) // newer events are read once more next time
	for from := last; ; {
		list, err := db.AuditAfter(ctx, from, 500)
		if err != nil || len(list) == 0 {
			return last, err
		}
		for _, r := range list {
			if err := send(r); err != nil {
				return last, err
			}
			if from = r.ID; r.Time.Before(again) {
				last = r.ID
			}
		}
	}
}

// #endregion copyaudit
