package throttle

import (
	"context"
	"slices"
	"time"
)

// set is a small set of marks. It is searched linearly, because it contains few marks.
type set struct {
	marks []mark
	ttl   int64
	used  int64 // time of the last read or change
}

type mark struct {
	member, stamp Key
	seen          int64
}

// Mark implements [Store].
func (m *Memory) Mark(_ context.Context, now time.Time, key Key, x Mark, keep int, ttl time.Duration) error {
	t := m.since(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sets[key]
	if s == nil {
		m.makeRoomForSet(t)
		s = new(set)
		m.sets[key] = s
	}
	s.used, s.ttl = t, int64(ttl)
	s.expire(t)
	n := mark{x.Member, x.Stamp, m.since(x.Seen)}
	if i := slices.IndexFunc(s.marks, func(o mark) bool { return o.member == x.Member }); i >= 0 {
		n.seen = max(n.seen, s.marks[i].seen)
		s.marks[i] = n
	} else {
		s.marks = append(s.marks, n)
	}
	for len(s.marks) > keep {
		oldest := 0
		for i := range s.marks {
			if s.marks[i].seen < s.marks[oldest].seen {
				oldest = i
			}
		}
		s.marks = slices.Delete(s.marks, oldest, oldest+1)
	}
	return nil
}

// Marks implements [Store].
func (m *Memory) Marks(_ context.Context, now time.Time, keys []Key) ([][]Mark, error) {
	t := m.since(now)
	all := make([][]Mark, len(keys))
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, key := range keys {
		s := m.sets[key]
		if s == nil {
			continue
		}
		if s.expire(t); len(s.marks) == 0 {
			delete(m.sets, key)
			continue
		}
		s.used = t
		all[i] = make([]Mark, len(s.marks))
		for j, x := range s.marks {
			all[i][j] = Mark{x.member, x.stamp, m.base.Add(time.Duration(x.seen))}
		}
	}
	return all, nil
}

func (s *set) expire(now int64) {
	s.marks = slices.DeleteFunc(s.marks, func(x mark) bool { return now-x.seen >= s.ttl })
}

// makeRoomForSet inspects a few sets and drops the one that was unused for the longest time. It
// prefers sets whose marks have no stamp. Such sets count the accounts of an address, and one
// account creates as many of them as it has addresses. Sets with stamps are few for each account,
// and make its owner known.
func (m *Memory) makeRoomForSet(now int64) {
	if len(m.sets) < m.maxSets {
		return
	}
	const look = 16
	n, oldest, used, plain := 0, Key{}, now, false
	for key, s := range m.sets {
		p := !slices.ContainsFunc(s.marks, func(x mark) bool { return x.stamp != Key{} })
		if n == 0 || p && !plain || p == plain && s.used < used {
			oldest, used, plain = key, s.used, p
		}
		if n++; n == look {
			break
		}
	}
	delete(m.sets, oldest)
}
