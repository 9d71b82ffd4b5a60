package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// audited returns a record. n is its number, which is also its age order.
func audited(n int) storage.AuditRecord {
	return storage.AuditRecord{
		ID: fmt.Sprintf("019ac0f4-0000-7000-8000-%012d", n), Time: born.Add(time.Duration(n) * time.Second), Kind: "token.revoked",
		Subject: "id-alice", Event: []byte(fmt.Sprintf(`{"n":%d,"text":"a \u0000 b <é>"}`, n)),
	}
}

// auditLog tests storage.AuditLog, if the store with transactions implements it.
func auditLog(t *testing.T, s *suite) {
	all, _ := compose(s.open(t))
	if k, partly := all.Transactor.(interface{ KeepsAudit() bool }); partly && !k.KeepsAudit() {
		return
	}
	if _, ok := all.Transactor.(storage.AuditLog); !ok {
		return // it is optional
	}
	log := func(k *kit) storage.AuditLog { return k.s.Transactor.(storage.AuditLog) }
	read := func(k *kit, after string, limit int, want ...int) {
		k.Helper()
		got, err := log(k).AuditAfter(k.ctx, after, limit)
		k.must(err)
		var list []storage.AuditRecord
		for _, n := range want {
			list = append(list, audited(n))
		}
		if !reflect.DeepEqual(got, list) {
			k.Errorf("%d records %+v, want %+v", len(got), got, list)
		}
	}
	s.rules(t, map[string]func(*kit){
		"kept: records are read as they were written, in the order of their IDs, after an ID and up to a limit": func(k *kit) {
			read(k, "", 10)
			k.must(log(k).AppendAudit(k.ctx, audited(3), audited(1)))
			k.must(log(k).AppendAudit(k.ctx, audited(2)))
			k.must(log(k).AppendAudit(k.ctx))
			read(k, "", 10, 1, 2, 3)
			read(k, "", 2, 1, 2)
			read(k, audited(1).ID, 10, 2, 3)
			read(k, audited(3).ID, 10)
		},
		"refused: a record that cannot be stored, or whose ID is taken, is refused with all others of the call": func(k *kit) {
			for name, change := range map[string]func(*storage.AuditRecord){
				"no ID": func(r *storage.AuditRecord) { r.ID = "" }, "no kind": func(r *storage.AuditRecord) { r.Kind = "" },
				"NUL": func(r *storage.AuditRecord) { r.Subject = "a\x00b" }, "a long client": func(r *storage.AuditRecord) { r.Client = strings.Repeat("c", 300) },
				"no time": func(r *storage.AuditRecord) { r.Time = time.Time{} }, "no JSON": func(r *storage.AuditRecord) { r.Event = []byte("{") },
				"a long event": func(r *storage.AuditRecord) {
					r.Event = []byte(`"` + strings.Repeat("x", storage.MaxAuditBytes) + `"`)
				},
			} {
				bad := audited(2)
				change(&bad)
				k.is(log(k).AppendAudit(k.ctx, audited(1), bad), storage.ErrInvalid, name)
			}
			read(k, "", 10)
			k.must(log(k).AppendAudit(k.ctx, audited(2)))
			k.is(log(k).AppendAudit(k.ctx, audited(1), audited(2)), storage.ErrConflict, "a taken ID")
			read(k, "", 10, 2)
		},
		"rolled_back: a rollback takes the records back, and a commit keeps them with the change": func(k *kit) {
			u := k.add("alice")
			failed := errors.New("failed")
			k.is(k.s.InTx(k.ctx, func(ctx context.Context) error {
				k.must(log(k).AppendAudit(ctx, audited(1)))
				_, err := k.s.BumpEpoch(ctx, u.ID)
				k.must(err)
				return failed
			}), failed, "passed on")
			read(k, "", 10)
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error { return log(k).AppendAudit(ctx, audited(2), audited(3)) }))
			read(k, "", 10, 2, 3)
		},
		"pruned: PruneAudit deletes what is older, the oldest first, up to a limit": func(k *kit) {
			k.must(log(k).AppendAudit(k.ctx, audited(4), audited(1), audited(3), audited(2)))
			for _, want := range []int{2, 1, 0} {
				if n, err := log(k).PruneAudit(k.ctx, audited(4).Time, 2); n != want || err != nil {
					k.Errorf("deleted %d, %v, want %d", n, err, want)
				}
			}
			read(k, "", 10, 4)
		},
	})
}
