package throttle_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
)

// Responses do not reveal what other callers do.
func TestRetryAfterTellsNothingOfOthers(t *testing.T) {
	t.Run("attack_215_others", func(t *testing.T) {
		answers := map[string]bool{}
		for _, others := range []int{300, 301, 350, 2000} {
			s := newSim(t)
			for i := range others {
				s.wrong(v4(i%200, 1), victim)
			}
			for i := range others {
				s.wrong(v4(1000+i, 1), victim)
			}
			s.c.add(time.Duration(others) * 10 * time.Millisecond)
			_, err := s.l.Reserve(from("198.51.100.7:1"), victim)
			var e *authn.Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			authn.Respond(w, httptest.NewRequest("POST", "/", nil), err)
			answers[fmt.Sprint(w.Code, w.Header(), w.Body)] = true
			if after := w.Header().Get("Retry-After"); strings.Trim(after, "0123456789") != "" || after == "" {
				t.Errorf("Retry-After %q", after)
			}
		}
		if len(answers) != 1 {
			t.Errorf("%v", answers)
		}
	})
}

// Durations do not depend on changes of the wall clock.
func TestWallClockSteps(t *testing.T) {
	for _, step := range []time.Duration{-29 * time.Second, -10 * time.Minute, -24 * time.Hour, 10 * time.Minute, 24 * time.Hour} {
		t.Run(fmt.Sprint("edge_A15/attack_212/", step), func(t *testing.T) {
			now := time.Now() // with the monotonic reading
			l := login(t, throttle.NewMemory(nil), throttle.LoginOptions{Clock: func() time.Time { return now }})
			one := func() *http.Request { return from("203.0.113.1:1") }
			if got := tries(t, l, "alice", one); got != 5 {
				t.Fatal(got)
			}
			for range 10 {
				now = stepped(now, step)
				if got := tries(t, l, "alice", one); got != 0 {
					t.Errorf("%d tries after a step of the wall clock", got)
				}
			}
			now = now.Add(time.Minute)
			if got := tries(t, l, "alice", one); got != 5 {
				t.Errorf("%d tries a minute later", got)
			}
		})
	}
}

// stepped returns t after a change of the wall clock. Its monotonic reading stays.
func stepped(t time.Time, d time.Duration) time.Time {
	x := t.Add(d)
	type layout struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}
	(*layout)(unsafe.Pointer(&x)).ext = (*layout)(unsafe.Pointer(&t)).ext
	return x
}

func TestMarks(t *testing.T) {
	m, now := throttle.NewMemory(&throttle.MemoryOptions{MaxSets: 100}), newClock().now()
	key := func(i int) (k throttle.Key) { k[0], k[1] = byte(i), byte(i>>8); return k }
	members := func(set throttle.Key) (got []throttle.Key) {
		all, err := m.Marks(t.Context(), now, []throttle.Key{key(999), set})
		must(t, err)
		if len(all) != 2 || len(all[0]) != 0 {
			t.Fatalf("%v", all)
		}
		for _, x := range all[1] {
			got = append(got, x.Member)
		}
		return got
	}
	mark := func(set, member int, seen time.Duration) {
		must(t, m.Mark(t.Context(), now, key(set), throttle.Mark{Member: key(member), Stamp: key(member), Seen: now.Add(seen)}, 3, time.Hour))
	}
	for i := 1; i <= 4; i++ {
		mark(1, i, time.Duration(i))
	}
	if got := members(key(1)); !slices.Equal(got, []throttle.Key{key(2), key(3), key(4)}) {
		t.Errorf("%v", got)
	}
	mark(1, 2, -time.Minute) // an older sight does not make it older
	mark(1, 5, time.Second)
	if got := members(key(1)); !slices.Equal(got, []throttle.Key{key(3), key(4), key(5)}) {
		t.Errorf("%v", got)
	}
	mark(1, 6, -time.Minute) // the oldest of four: it is not kept
	if got := members(key(1)); len(got) != 3 || slices.Contains(got, key(6)) {
		t.Errorf("%v", got)
	}
	now = now.Add(time.Hour + time.Millisecond)
	if got := members(key(1)); !slices.Equal(got, []throttle.Key{key(5)}) {
		t.Errorf("after an hour: %v", got)
	}
	t.Run("attack_210_sets_are_bounded", func(t *testing.T) {
		used := 5000
		for i := range 5000 {
			mark(i%4000, 1, 0)
			now = now.Add(time.Millisecond)
			if i%20 == 0 {
				mark(used, 1, 0)
			}
		}
		n := 0
		for i := range 4000 {
			all, _ := m.Marks(t.Context(), now, []throttle.Key{key(i)})
			n += len(all[0])
		}
		if n > 100 {
			t.Errorf("%d sets are kept", n)
		}
	})
}
