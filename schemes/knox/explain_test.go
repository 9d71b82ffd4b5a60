package knox_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Explain is a dry run: it records no use, renews no token and keeps no identity.
func TestExplainNotesNoUse(t *testing.T) {
	t.Run("attack_305", func(t *testing.T) {
		s := memory.New(nil)
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		x := scheme(t, lasting{s}, &knox.Options{Clock: c.Now, TTL: time.Hour, MinInterval: time.Minute})
		text, before := issue(t, x, "id-alice", knox.Token{})
		c.Set(30 * time.Minute)
		m := authn.New(x, nil)
		is := func(used bool) {
			t.Helper()
			list, err := x.List(t.Context(), "id-alice")
			if err != nil || len(list) != 1 || list[0].LastUsed.After(before.LastUsed) != used {
				t.Errorf("%+v, %v: used %t", list, err, !used)
			}
		}
		if id, _, err := m.Explain(schemetest.With("Knox " + text)); err != nil || id.Subject != "id-alice" {
			t.Fatalf("%+v, %v", id, err)
		}
		is(false)
		if _, err := m.Authenticate(schemetest.With("Knox " + text)); err != nil {
			t.Fatal(err)
		}
		is(true)
	})
}
