//go:build linux

// Command bench-growth looks device tokens up in tables of different sizes, and writes the results
// and a page to a folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks/postgres/growth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "../../docs/benchmarks", "`folder` for the results and the page")
	sizes := flag.String("sizes", "10000,1000000,10000000", "numbers of tokens; 10 million need 5 GB of disk and of memory")
	warm := flag.Duration("warm", time.Minute, "time of lookups before the measurement, for each size")
	rounds := flag.Int("rounds", 5, "rounds")
	slot := flag.Duration("slot", 3*time.Second, "length of a table's turn")
	buffers := flag.String("shared-buffers", "6GB", "PostgreSQL's shared_buffers, more than all tables")
	again := flag.Bool("report", false, "write the page of the last results again")
	flag.Parse()
	if *again {
		r, err := growth.Read(*out)
		if err != nil {
			return err
		}
		return r.Write(*out)
	}
	o := growth.Options{Warm: *warm, Rounds: *rounds, Slot: *slot, SharedBuffers: *buffers, Progress: func(what string) {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), what)
	}}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-sizes: %q is not a positive number", text)
		}
		o.Sizes = append(o.Sizes, n)
	}
	slices.Sort(o.Sizes)
	if *rounds < 1 || *slot <= 0 {
		return fmt.Errorf("-rounds %d and -slot %s must be positive", *rounds, *slot)
	}
	r, err := growth.Run(ctx, o)
	if err != nil {
		return err
	}
	return r.Write(*out)
}
