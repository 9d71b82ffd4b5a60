package benchmarks_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks"
)

// BenchmarkWork does each kind of work with each contender, after Make has proved that the
// contender does it.
func BenchmarkWork(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // it is told of the wrong credentials
	env := benchmarks.NewEnv(b.Context())
	defer env.Close()
	for _, c := range benchmarks.Contenders() {
		b.Run(c.ID(), func(b *testing.B) {
			w, err := c.Make(env)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			if w.Prepare != nil {
				if err := w.Prepare(b.N); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for range b.N {
				if err := w.Do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// once is enough to see that everything that is measured works.
var once = benchmarks.Rounds{Number: 1, Slot: 50 * time.Millisecond}

func quiet(int, int, string) {}

// TestServers asks the comparison server and, where it is installed, Django.
func TestServers(t *testing.T) {
	samples, _, skipped, err := benchmarks.MeasureServers(t.Context(), os.Getenv("VESTIBULE_REFERENCE"), once, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if len(s.Values) != 1 || s.Values[0] <= 0 {
			t.Errorf("%s/%s/%s: %v", s.Section, s.Group, s.Name, s.Values)
		}
	}
	if want := 2*len(benchmarks.Schemes) + 1; len(samples) < want {
		t.Errorf("%d samples of at least %d", len(samples), want)
	}
	if skipped == nil {
		return
	}
	// In CI everything is measured that its machine can install. The package of Knox is at none of
	// the places that it reaches.
	all := strings.Join(skipped, "; ")
	if os.Getenv("CI") != "" && slices.ContainsFunc(skipped, func(why string) bool { return !strings.HasPrefix(why, "Knox is not measured") }) {
		t.Errorf("not measured: %s", all)
	}
	t.Skip(all)
}

// TestReport writes results, reads them again, and looks at what is said of the targets.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	sample := func(name, module string, allocs float64, values ...float64) *benchmarks.Sample {
		return &benchmarks.Sample{Section: "work", Group: "authenticate/oauth2", Name: name, Unit: "ns", Module: module, Allocs: allocs, Values: values, Cached: name == benchmarks.OursCached}
	}
	r := benchmarks.NewResults(once)
	r.Samples = []*benchmarks.Sample{
		sample(benchmarks.Floor, "", 2, 100, 200, 100), sample(benchmarks.OursCached, "", 5, 140, 260, 150),
		sample("go-oauth2", "m", 20, 1400, 2600, 700), sample("fosite", "m", 20, 100, 200, 100),
	}
	for _, s := range []struct {
		name, module string
		ns           float64
		less         bool
	}{{benchmarks.Ours, "", 100, false}, {"quick", "m", 50, false}, {"slow", "m", 200, false}, {"does nothing", "m", 1, true}} {
		one := sample(s.name, s.module, 9, s.ns, s.ns, s.ns)
		one.Group, one.Less = "login/oauth2", s.less
		r.Samples = append(r.Samples, one)
	}
	if err := r.Write(filepath.Join(dir, "results.json")); err != nil {
		t.Fatal(err)
	}
	r, err := benchmarks.ReadResults(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Report(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| oauth2, cached, six schemes and a guard: ≤ 1.5 × the floor | 1.40 (1.30–1.50) | met |",
		"| oauth2, cached: ≤ 2 allocations more than the floor | +3 | missed |",
		"| oauth2, cached: ≥ 5 × go-oauth2 with its store in memory | 10.0 (4.67–10.0) | met |",
		"| oauth2, cached: ≥ 5 × fosite with its store in memory | 0.71 (0.67–0.77) | missed |",
		"| authenticate and authorize, cached: every peer that does the same work is slower | 1 of 2 are slower; not, as a multiple of our time: authenticate/oauth2 fosite 0.71 (0.67–0.77) | missed |",
		"| for information: login, refresh, revoke (nothing is cached) | 1 of 2 peers that do the same work are faster, as a multiple of our time: login/oauth2 quick 0.50 (0.50–0.50) | info |",
		"| knox, requests/s, cached: ≥ 20 × Django | – | – |",
	} {
		if !strings.Contains(string(page), line) {
			t.Errorf("the page does not say %s\n%s", line, page)
		}
	}
	chart, err := os.ReadFile(filepath.Join(dir, "authenticate.svg"))
	for _, part := range []string{"1.40 (1.30–1.50)", "← less is better; logarithmic scale", ">written by hand<", ">Vestibule, cached<", ">a peer<", ">least to greatest of the rounds<"} {
		if err != nil || !strings.Contains(string(chart), part) {
			t.Errorf("%v: no %q in %s", err, part, chart)
		}
	}
	for _, part := range []string{"NaN", ">Vestibule<"} { // a colour that no bar has is not in the key
		if strings.Contains(string(chart), part) {
			t.Errorf("%q in %s", part, chart)
		}
	}
}

// TestLoopback refuses to ask anything but this machine.
func TestLoopback(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:80", "example.com:80", "[2001:db8::1]:80", ""} {
		target := benchmarks.Target{Addr: addr, Path: "/"}
		if _, err := target.Load(t.Context(), time.Millisecond); err == nil || !strings.Contains(err.Error(), "only on this machine") {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
