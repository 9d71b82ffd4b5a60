package throttle

import (
	"fmt"
	"testing"
	"time"
)

// A full table drops what has expired, and then the entry of the fullest network that expires first.
func TestRefuserTableMakesRoom(t *testing.T) {
	var table refuserTable
	begin := time.Unix(1_000_000, 0)
	put := func(place, within string, at time.Time) {
		table.put(place, refuser{within: within, until: at.Add(goodFor)}, at)
	}
	put("expired", "alone", begin)
	now := begin.Add(goodFor)
	put("kept", "other", now)
	for i := range maxRefusers - 3 {
		put(fmt.Sprint("flood ", i), "flood", now)
	}
	put("flood 0", "flood", now) // it becomes the last of its network to expire
	put("second", "other", now)
	for _, step := range []struct{ put, within, gone string }{
		{"flood a", "flood", "expired"},
		{"flood b", "flood", "flood 1"},
		{"third", "new", "flood 2"},
		{"flood c", "flood", "flood 3"},
	} {
		if table.get(step.gone) == (refuser{}) {
			t.Fatalf("%s is gone before %s was put", step.gone, step.put)
		}
		put(step.put, step.within, now)
		if table.get(step.gone) != (refuser{}) || table.get(step.put).within != step.within {
			t.Errorf("after %s, %s is still in the table", step.put, step.gone)
		}
		if n := len(table.places); n != maxRefusers || table.order.Len() != n {
			t.Errorf("%d entries, %d in order, want %d", n, table.order.Len(), maxRefusers)
		}
	}
	for _, place := range []string{"kept", "second", "third", "flood 0"} {
		if table.get(place) == (refuser{}) {
			t.Errorf("%s was dropped", place)
		}
	}
	if n := len(table.vast); n != 3 || len(table.groups) != n { // "alone" has no entries left
		t.Errorf("%d networks, %d in the heap, want 3", n, len(table.groups))
	}
}
