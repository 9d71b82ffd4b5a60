package history_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// attempts returns n attempts of one address that were allowed, 100 ms apart, and as many that were not.
func attempts(n int, change ...func(*history.Event)) (list []history.Event) {
	for i := range n {
		ms := int64(1000 + 100*i)
		list = append(list, at(ms, "A", history.Attempt, history.Yes, change...), at(ms+50, "B", history.Attempt, history.Limited, change...))
	}
	return list
}

func from(sub string) func(*history.Event) {
	return func(e *history.Event) { e.Sub, e.Cred, e.Kind = sub, "", "" }
}

func TestLimits(t *testing.T) {
	b := bounds
	b.Limit = history.Limit{Most: 5, Refill: 12 * time.Second, Share: 1, Replicas: 3, Lost: []string{"FLUSHALL"}}
	flush := history.Event{T0: 1200e6, T1: 1300e6, Op: history.Fault, Note: "FLUSHALL"}
	before := history.Event{T0: 1e6, T1: 2e6, Op: history.Fault, Note: "FLUSHALL"}
	other := history.Event{T0: 1200e6, T1: 1300e6, Op: history.Fault, Note: "cut"}
	late := at(14_000, "A", history.Attempt, history.Yes, from("a"))
	for name, x := range map[string]struct {
		list []history.Event
		bad  bool
	}{
		"the limit and each replica's share": {attempts(9, from("a")), false},
		"one more":                           {attempts(10, from("a")), true},
		"of two addresses":                   {append(attempts(9, from("a")), attempts(9, from("b"))...), false},
		"one more after a refill":            {append(attempts(9, from("a")), late), false},
		"two more after one refill":          {append(attempts(10, from("a")), late), true},
		"twice, since the counts were lost":  {append(attempts(14, from("a")), flush), false},
		"one more than that":                 {append(attempts(15, from("a")), flush), true},
		"lost before":                        {append(attempts(10, from("a")), before), true},
		"another fault":                      {append(attempts(10, from("a")), other), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := history.Check(x.list, b)
			if (len(r.Violations) == 1) != x.bad {
				t.Errorf("%v", r.Violations)
			}
			if x.bad && r.Violations[0].Invariant != "I7" {
				t.Errorf("%v", r.Violations)
			}
			if r.Attempts == 0 {
				t.Error("no attempt was counted")
			}
		})
	}
}
