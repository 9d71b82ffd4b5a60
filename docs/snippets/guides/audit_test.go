package guides

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// An event that was committed late, with an ID before others, is copied too.
func TestCopyAudit(t *testing.T) {
	db := memory.New(nil)
	write := func(id string, age time.Duration) {
		t.Helper()
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			return db.AppendAudit(ctx, storage.AuditRecord{ID: id, Time: time.Now().Add(-age), Kind: "logout", Event: []byte("{}")})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	copyFrom := func(last string) string {
		t.Helper()
		got = nil
		next, err := copyAudit(t.Context(), db, last, func(r storage.AuditRecord) error {
			got = append(got, r.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	write("a", time.Hour)
	write("d", time.Second)
	next := copyFrom("")
	if text := strings.Join(got, " "); text != "a d" || next != "a" {
		t.Errorf("first: %s, then from %q", text, next)
	}
	write("c", time.Minute)
	next = copyFrom(next)
	if text := strings.Join(got, " "); text != "c d" || next != "a" {
		t.Errorf("then: %s, then from %q", text, next)
	}
	for i := range 1200 {
		write(fmt.Sprintf("e%04d", i), time.Hour)
	}
	if next = copyFrom(next); len(got) != 1202 || next != "e1199" {
		t.Errorf("%d events, then from %q", len(got), next)
	}
}
