package benchmarks

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// Sample is what was measured of one contender.
type Sample struct {
	// Section and Group say what it is compared with: "work" and "authenticate/token",
	// "http" and a server.
	Section, Group, Name string
	// Unit is "ns" of processor time for an operation, or "req/s".
	Unit string
	// Values are one a round. Those of one group and index are of the same few seconds.
	Values []float64
	// Allocs and Bytes are of one operation; -1 where it was not measured.
	Allocs, Bytes float64
	Module        string `json:",omitempty"`
	Note          string `json:",omitempty"`
	Cached        bool   `json:",omitempty"`
	Less          bool   `json:",omitempty"` // see Contender
}

// Rounds says how long to measure.
type Rounds struct {
	Number int
	Slot   time.Duration // of one contender in one round
}

// Progress is told what is being done, after done of total steps.
type Progress func(done, total int, what string)

// MeasureWork measures those contenders whose ID matches, in groups of a kind and a
// scheme. Within a group they take turns, so that what else the machine does hits all.
func MeasureWork(ctx context.Context, list []*Contender, rounds Rounds, tell Progress) ([]*Sample, error) {
	var samples []*Sample
	total := len(list) * (rounds.Number + 1)
	done := 0
	groups := make(map[string][]*Contender)
	var order []string
	for _, c := range list {
		g := string(c.Kind) + "/" + c.Scheme
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], c)
	}
	env := NewEnv(ctx)
	defer env.Close()
	for _, g := range order {
		group := groups[g]
		entrants := make([]*entrant, len(group))
		for i, c := range group {
			tell(done, total, c.ID())
			w, err := c.Make(env)
			if err != nil {
				return nil, err
			}
			entrants[i] = &entrant{work: w, sample: &Sample{Section: "work", Group: g, Name: c.Name, Unit: "ns", Module: c.Module, Note: c.Note, Cached: c.Cached, Less: c.Less}}
			if err := entrants[i].calibrate(rounds.Slot); err != nil {
				return nil, fmt.Errorf("%s: %w", c.ID(), err)
			}
			samples = append(samples, entrants[i].sample)
			done++
		}
		for round := range rounds.Number {
			for i := range entrants {
				i = (i + round) % len(entrants) // nobody is always first
				tell(done, total, group[i].ID())
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if err := entrants[i].round(); err != nil {
					return nil, fmt.Errorf("%s: %w", group[i].ID(), err)
				}
				done++
			}
		}
	}
	tell(total, total, "work")
	return samples, nil
}

// entrant is a contender while it is measured.
type entrant struct {
	work   *Work
	n      int // how often in a round
	sample *Sample
}

// run does the work n times.
func (e *entrant) run(n int) (time.Duration, error) {
	if e.work.Prepare != nil {
		if err := e.work.Prepare(n); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	for range n {
		if err := e.work.Do(); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// calibrate finds how often the work can be done in a slot.
func (e *entrant) calibrate(slot time.Duration) error {
	for n := 1; ; n *= 4 {
		d, err := e.run(n)
		if err != nil {
			return err
		}
		if d >= slot/8 || n >= 1<<22 {
			e.n = max(1, int(float64(n)*float64(slot)/float64(max(d, 1))))
			return nil
		}
	}
}

// round measures one slot.
func (e *entrant) round() error {
	if e.work.Prepare != nil { // outside of the allocations that are counted
		if err := e.work.Prepare(e.n); err != nil {
			return err
		}
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := cpu()
	for range e.n {
		if err := e.work.Do(); err != nil {
			return err
		}
	}
	d := cpu() - begin
	runtime.ReadMemStats(&after)
	n := float64(e.n)
	s := e.sample
	allocs, bytes := float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n
	if len(s.Values) == 0 || allocs < s.Allocs {
		s.Allocs, s.Bytes = allocs, bytes
	}
	s.Values = append(s.Values, float64(d.Nanoseconds())/n)
	return nil
}

// cpu is the processor time that the process has taken, garbage collection included: what
// else the machine does counts less in it than in the time of day.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Ratio is how many times as much, by the median of rounds, and between which bounds.
type Ratio struct{ Median, Min, Max float64 }

// RatioOf compares two samples round by round.
func RatioOf(a, b *Sample) Ratio {
	var r []float64
	for i := range min(len(a.Values), len(b.Values)) {
		if b.Values[i] > 0 {
			r = append(r, a.Values[i]/b.Values[i])
		}
	}
	if len(r) == 0 {
		return Ratio{}
	}
	return Ratio{median(r), slices.Min(r), slices.Max(r)}
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// String is such as "2.3 (2.1–2.9)".
func (r Ratio) String() string {
	if r.Median == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", digits(r.Median), digits(r.Min), digits(r.Max))
}

// digits writes a ratio with as many digits as mean something.
func digits(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// byRatio sorts those that take the smallest part of base's time first.
func byRatio(list []*Sample, base *Sample) []*Sample {
	return slices.SortedStableFunc(slices.Values(list), func(a, b *Sample) int { return cmp.Compare(RatioOf(a, base).Median, RatioOf(b, base).Median) })
}
