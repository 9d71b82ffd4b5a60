package redisstore

import (
	"testing"
	"time"
)

func TestCircuit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newCircuit(func() time.Time { return now })
	call := func(o outcome) bool {
		probe, err := c.enter()
		if err != nil {
			return false
		}
		c.leave(probe, o)
		return true
	}
	calls := func(what string, want bool, list ...outcome) {
		t.Helper()
		for i, o := range list {
			if call(o) != want {
				t.Errorf("%s, call %d: made %t", what, i, !want)
			}
		}
	}
	calls("two without an answer, then one with", true, silent, silent, answered, silent, silent, unknown, answered)
	calls("three in a row", true, silent, unknown, silent, silent)
	calls("open", false, answered, silent)
	now = now.Add(openFor - 1)
	calls("still open", false, answered)
	now = now.Add(1)
	probe, err := c.enter()
	if !probe || err != nil {
		t.Fatalf("probe %t, %v", probe, err)
	}
	calls("beside the probe", false, answered)
	c.leave(probe, unknown)
	calls("the caller of the probe left, so another call probes", true, silent)
	calls("the probe had no answer", false, answered)
	now = now.Add(openFor)
	calls("the probe has an answer", true, answered, silent, silent)
	calls("closed: two are not enough again", true, answered)
}
