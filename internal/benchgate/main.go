// Command benchgate compares the speed of two checkouts of this module. It fails if a benchmark of
// the new one is slower than that of the old one by more than a limit, in two tries.
//
//	benchgate [-limit 15] [-rounds 7] [-time 300ms] [-bench REGEXP] OLD NEW PACKAGE...
//
// OLD and NEW are folders, a PACKAGE is a folder below both, such as ./storage/cached. The test
// binaries of both are built first and then take turns, so that a busy machine slows both; the
// medians of the rounds are compared. A benchmark that is in one of them only is not compared.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchgate:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

// gate is what is compared, and how.
type gate struct {
	limit  float64 // percent
	rounds int
	time   string // of each benchmark in each round
	bench  string
	out    io.Writer
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("benchgate", flag.ContinueOnError)
	g := gate{out: out}
	flags.Float64Var(&g.limit, "limit", 15, "allowed slowdown in `percent`")
	flags.IntVar(&g.rounds, "rounds", 7, "number of rounds")
	flags.StringVar(&g.time, "time", "300ms", "`duration` of each benchmark in each round, or a count such as 1000x")
	flags.StringVar(&g.bench, "bench", ".", "`regexp` of the benchmarks")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() < 3 || g.rounds < 1 || g.limit <= 0 {
		fmt.Fprintln(os.Stderr, "benchgate: expected OLD NEW PACKAGE..., at least one round and a limit above 0")
		return errUsage
	}
	old, new := flags.Arg(0), flags.Arg(1)
	bins, err := os.MkdirTemp("", "benchgate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bins)
	var slow []string
	for i, pkg := range flags.Args()[2:] {
		pair := [2]binary{{filepath.Join(bins, fmt.Sprint(i, "old")), filepath.Join(old, pkg)}, {filepath.Join(bins, fmt.Sprint(i, "new")), filepath.Join(new, pkg)}}
		for _, b := range pair {
			if err := b.build(); err != nil {
				return err
			}
		}
		found, err := g.compare(pair, g.bench)
		if err == nil && len(found) > 0 {
			fmt.Fprintln(out, pkg+": second try")
			found, err = g.compare(pair, only(found))
		}
		if err != nil {
			return err
		}
		slow = append(slow, found...)
	}
	if len(slow) > 0 {
		return fmt.Errorf("slower by more than %g %% in two tries: %q", g.limit, slow)
	}
	return nil
}

// only returns a pattern for the -bench flag that matches the top-level benchmarks of names.
func only(names []string) string {
	pattern := ""
	for _, name := range names {
		top := regexp.MustCompile(`^[^/]*`).FindString(name)
		pattern += "|^" + regexp.QuoteMeta(top) + "$"
	}
	return pattern[1:]
}

// compare returns the names of the benchmarks that are slower by more than the limit.
func (g gate) compare(pair [2]binary, bench string) (slow []string, err error) {
	var times [2]map[string][]float64
	for i := range times {
		times[i] = make(map[string][]float64)
	}
	for round := range g.rounds {
		for turn := range pair {
			i := (turn + round) % 2 // neither is always the first
			if err := pair[i].run(bench, g.time, times[i]); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(times[1])) {
		if times[0][name] == nil {
			continue
		}
		before, after := median(times[0][name]), median(times[1][name])
		change := (after/before - 1) * 100
		fmt.Fprintf(g.out, "%-60s %12.1f ns %12.1f ns %+7.1f %%\n", name, before, after, change)
		if change > g.limit {
			slow = append(slow, name)
		}
	}
	return slow, nil
}

func median(of []float64) float64 {
	of = slices.SortedFunc(slices.Values(of), cmp.Compare)
	mid := len(of) / 2
	if len(of)%2 == 0 {
		return (of[mid-1] + of[mid]) / 2
	}
	return of[mid]
}

// binary is a package's test binary, and the folder that it runs in.
type binary struct{ file, dir string }

func (b binary) build() error {
	build := exec.Command("go", "test", "-c", "-o", b.file, ".")
	build.Dir = b.dir
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the tests of %s: %w\n%s", b.dir, err, text)
	}
	return nil
}

// A line of a benchmark: name, number of processors, iterations and time.
var line = regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op`)

// run appends the time of each benchmark to times.
func (b binary) run(bench, time string, times map[string][]float64) error {
	cmd := exec.Command(b.file, "-test.run", "^$", "-test.bench", bench, "-test.benchtime", time)
	cmd.Dir, cmd.Stderr = b.dir, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("benchmarks of %s: %w\n%s", b.dir, err, text)
	}
	for _, m := range line.FindAllSubmatch(text, -1) {
		ns, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return err
		}
		times[string(m[1])] = append(times[string(m[1])], ns)
	}
	return nil
}
