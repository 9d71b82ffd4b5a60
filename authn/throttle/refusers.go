package throttle

import "time"

const maxRefusers = 10_000

// refuserTable holds the addresses and networks that exceed a limit. If it is full, the IPv4 /16 or
// IPv6 /32 with most entries loses the one that expires first. So a client with many addresses does
// not evict the entries of others. It is not safe for concurrent use. The zero value is empty.
type refuserTable struct {
	places map[string]refuser
	vast   map[string]int // number of places in it
}

// refuser is an address or a network that exceeds a limit.
type refuser struct {
	within string    // IPv4 /16 or IPv6 /32
	until  time.Time // when it is forgotten
	paused time.Time // until then, unknown credentials get 429
}

func (t *refuserTable) get(place string) refuser { return t.places[place] }

func (t *refuserTable) put(place string, p refuser, now time.Time) {
	if _, ok := t.places[place]; !ok {
		if t.places == nil {
			t.places, t.vast = make(map[string]refuser), make(map[string]int)
		}
		if len(t.places) >= maxRefusers {
			t.makeRoom(now)
		}
		t.vast[p.within]++
	}
	t.places[place] = p
}

func (t *refuserTable) makeRoom(now time.Time) {
	within, most := "", 0
	for name, n := range t.vast {
		if n > most {
			within, most = name, n
		}
	}
	var first string
	var ends time.Time
	for place, p := range t.places {
		if !now.Before(p.until) {
			t.remove(place)
		} else if p.within == within && (ends.IsZero() || p.until.Before(ends)) {
			first, ends = place, p.until
		}
	}
	if len(t.places) >= maxRefusers {
		t.remove(first)
	}
}

func (t *refuserTable) remove(place string) {
	within := t.places[place].within
	delete(t.places, place)
	if t.vast[within]--; t.vast[within] == 0 {
		delete(t.vast, within)
	}
}
