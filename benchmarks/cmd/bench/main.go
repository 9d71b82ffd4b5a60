// Command bench does the same work with Vestibule and with its peers, and writes what it
// measured, tables and charts to a folder.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // it is told of the wrong credentials
	var err error
	if len(os.Args) == 3 && os.Args[1] == "serve" { // how it starts itself for a server
		err = benchmarks.Serve(ctx, os.Args[2], os.Stdin, os.Stdout)
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "", "folder to write to: what is there is replaced (default "+published+" for a whole run of at least 3 rounds, or -report; else a new temporary folder)")
	rounds := flag.Int("rounds", 9, "rounds")
	slot := flag.Duration("slot", 50*time.Millisecond, "how long each contender works in a round")
	long := flag.Duration("http-slot", time.Second, "how long each server is asked in a round")
	match := flag.String("run", all, "regular expression of the contenders, such as authenticate/jwt")
	only := flag.String("sections", everything, "what to measure")
	reference := flag.String("reference", os.Getenv("VESTIBULE_REFERENCE"), "`folder` of the Django reference project (default $VESTIBULE_REFERENCE; none: Django is not measured)")
	again := flag.Bool("report", false, "measure nothing: write tables and charts of the results that there are")
	flag.Parse()
	if *again {
		dir := cmp.Or(*out, published)
		r, err := benchmarks.ReadResults(filepath.Join(dir, results))
		if err != nil {
			return err
		}
		return r.Report(dir)
	}
	wanted, err := regexp.Compile(*match)
	if err != nil {
		return err
	}
	if *rounds < 1 || *slot <= 0 || *long <= 0 {
		return errors.New("-rounds, -slot and -http-slot: want more than nothing")
	}
	var list []*benchmarks.Contender
	for _, c := range benchmarks.Contenders() {
		if wanted.MatchString(c.ID()) {
			list = append(list, c)
		}
	}
	dir, err := folder(*out, *rounds, *match, *only)
	if err != nil {
		return err
	}
	short, seconds := benchmarks.Rounds{Number: *rounds, Slot: *slot}, benchmarks.Rounds{Number: *rounds, Slot: *long}
	r := benchmarks.NewResults(short)
	for section := range strings.SplitSeq(*only, ",") {
		var samples []*benchmarks.Sample
		switch section {
		case "work":
			samples, err = benchmarks.MeasureWork(ctx, list, short, bar())
		case "gates":
			samples, err = benchmarks.MeasureGates(ctx, list, seconds, bar())
		case "servers":
			var versions map[string]string
			var skipped []string
			samples, versions, skipped, err = benchmarks.MeasureServers(ctx, *reference, seconds, bar())
			maps.Copy(r.Versions, versions)
			for _, line := range skipped {
				fmt.Fprintln(os.Stderr, "skipped:", line)
			}
			r.Skipped = append(r.Skipped, skipped...)
		default:
			err = fmt.Errorf("-sections: %q is none of work, gates, servers", section)
		}
		if err != nil {
			return err
		}
		r.Samples = append(r.Samples, samples...)
	}
	if err := r.Write(filepath.Join(dir, results)); err != nil {
		return err
	}
	if err := r.Report(dir); err != nil {
		return err
	}
	for _, v := range r.Verdicts() {
		fmt.Printf("%-8s %s: %s\n", v.State, v.Target, v.Measured)
	}
	fmt.Println("written to", dir)
	return nil
}

// What a whole run is, and where its figures are published.
const (
	all        = "."
	everything = "work,gates,servers"
	published  = "../docs/benchmarks"
	results    = "results.json"
)

// folder makes the folder to write to. A run that is too short, or not of everything, does not
// replace what is published unless it is told to.
func folder(out string, rounds int, match, sections string) (string, error) {
	if out == "" && (rounds < 3 || match != all || sections != everything) {
		return os.MkdirTemp("", "vestibule-bench-")
	}
	out = cmp.Or(out, published)
	return out, os.MkdirAll(out, 0o755)
}

// bar shows how far it is: one line that is written over, or, where standard error is no
// terminal, a line every tenth of the way.
func bar() benchmarks.Progress {
	const width = 30
	info, err := os.Stderr.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	last, begin := -1, time.Now()
	return func(done, total int, what string) {
		if total == 0 {
			return
		}
		full := width * done / total
		if !terminal {
			if tenth := 10 * done / total; tenth != last {
				last = tenth
				fmt.Fprintf(os.Stderr, "%3d %%  %4.0f s  %s\n", 100*done/total, time.Since(begin).Seconds(), what)
			}
			return
		}
		fmt.Fprintf(os.Stderr, "\r\x1b[K[%s%s] %3d %%  %s", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*done/total, what)
		if done == total {
			fmt.Fprintln(os.Stderr)
		}
	}
}
