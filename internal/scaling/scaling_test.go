package scaling

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// example is the application of the page: 100 million users, 10 million of them active, and a
// million requests per second at 40 replicas.
func example(zipf float64, sticky bool, ttl time.Duration) Reads {
	return Reads{PerSecond: 1e6, Credentials: 10_000_000, Zipf: zipf, Replicas: 40, Sticky: sticky, TTL: ttl}
}

var exampleFleet = Fleet{Replicas: 40, Active: 10e6, Revocations: 700, Logins: 400, Poll: 75 * time.Millisecond, AccessTTL: 30 * time.Minute, Touch: 15 * time.Minute}

// The formula gives what a simulation counts: requests at random times, to random replicas.
func TestReadsSimulated(t *testing.T) {
	for _, r := range []Reads{
		{PerSecond: 500, Credentials: 300, Zipf: 1, Replicas: 4, TTL: 10 * time.Second},
		{PerSecond: 500, Credentials: 300, Zipf: 1, Replicas: 4, TTL: 10 * time.Second, Sticky: true},
		{PerSecond: 2000, Credentials: 3000, Zipf: 0.8, Replicas: 3, TTL: 5 * time.Second},
	} {
		queries, entries := simulate(r, 400)
		if math.Abs(queries/r.Queries()-1) > 0.03 || math.Abs(entries/r.Entries()-1) > 0.03 {
			t.Errorf("%+v: %.1f queries per second and %.1f entries, simulated %.1f and %.1f", r, r.Queries(), r.Entries(), queries, entries)
		}
	}
}

// simulate returns the queries per second, and the entries of a replica, after a time to warm up.
func simulate(r Reads, seconds float64) (queries, entries float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	upTo := make([]float64, r.Credentials) // the shares, added up
	total := 0.0
	for n := range upTo {
		total += math.Pow(float64(n+1), -r.Zipf)
		upTo[n] = total
	}
	type key struct{ replica, credential int }
	until := map[key]float64{}
	warm := 2 * r.TTL.Seconds()
	n := 0.0
	for now := 0.0; now < seconds; now += rng.ExpFloat64() / r.PerSecond {
		at, low, high := rng.Float64()*total, 0, len(upTo)-1
		for low < high {
			if mid := (low + high) / 2; upTo[mid] < at {
				low = mid + 1
			} else {
				high = mid
			}
		}
		k := key{rng.IntN(r.Replicas), low}
		if r.Sticky {
			k.replica = low % r.Replicas
		}
		if until[k] > now {
			continue
		}
		until[k] = now + r.TTL.Seconds()
		if now >= warm {
			n++
		}
	}
	for _, end := range until { // those that exist at the end
		if end > seconds {
			entries++
		}
	}
	return n / (seconds - warm), entries / float64(r.Replicas)
}

// The shortcut for many credentials gives the same sum.
func TestShares(t *testing.T) {
	f := func(share float64) float64 { return share / (1 + 1e5*share) }
	exact := 0.0
	for n := 1; n <= 1_000_000; n++ {
		exact += f(math.Pow(float64(n), -1.2))
	}
	if got := shares(1_000_000, 1.2, f); math.Abs(got/exact-1) > 1e-6 {
		t.Errorf("%g, want %g", got, exact)
	}
	if got := shares(7, 0, func(float64) float64 { return 1 }); got != 7 {
		t.Errorf("%g credentials, want 7", got)
	}
}

// The page has the numbers that this package computes.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/production/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range append(readRows(), fleetRows()...) {
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("the page does not have the row\n%s", row)
		}
	}
}

// entryBytes is the memory of a cached answer (BenchmarkMemory of storage/cached).
const entryBytes = 390

func readRows() (rows []string) {
	for _, x := range []struct {
		what   string
		sticky bool
		ttl    time.Duration
	}{
		{"any replica, TTL 30 s (no courier)", false, 30 * time.Second}, {"any replica, TTL 1 h", false, time.Hour},
		{"the same replica, TTL 30 s (no courier)", true, 30 * time.Second}, {"the same replica, TTL 1 h", true, time.Hour},
	} {
		row := "| " + x.what + " |"
		for _, zipf := range []float64{0.8, 1, 1.2} {
			r := example(zipf, x.sticky, x.ttl)
			row += fmt.Sprintf(" %s reads/s, %s |", rounded(r.Queries()), size(r.Entries()*entryBytes))
		}
		rows = append(rows, row)
	}
	return rows
}

func fleetRows() []string {
	f := exampleFleet
	row := func(what, formula, sum string, value float64) string {
		return fmt.Sprintf("| %s | %s | %s | %s |", what, formula, sum, rounded(value))
	}
	return []string{
		row("outbox polls/s", "P / poll interval", "40 / 0.075 s", f.Polls()),
		row("messages received/s", "revocations/s × P", "700 × 40", f.Messages()),
		row("refreshes/s", "active clients / access token lifetime", "10,000,000 / 1,800 s", f.Refreshes()),
		row("recorded uses/s, at most", "active credentials / interval", "10,000,000 / 900 s", f.Touches()),
		row("cores for password hashes", "logins/s × 0.03 s", "400 × 0.03", f.HashCores()),
		row("entries of a deny set", "revocations/s × access token lifetime", "231 × 1,800 s", DenyEntries(231, f.AccessTTL)),
	}
}

// rounded writes a number with three digits and with commas.
func rounded(f float64) string {
	if f >= 1000 {
		unit := math.Pow(10, math.Floor(math.Log10(f))-2)
		f = math.Round(f/unit) * unit
	}
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(bytes float64) string {
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", bytes/1e9)
	}
	return fmt.Sprintf("%.0f MB", bytes/1e6)
}
