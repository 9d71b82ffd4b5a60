//go:build linux

// Command bench-hydra measures Vestibule's authorization server and Ory Hydra in turns, and writes
// the results and a page to a folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks/postgres/hydra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 2 && os.Args[1] == "serve" { // how it starts itself
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
		err = hydra.Serve(ctx, os.Stdin, os.Stdout)
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
	out := flag.String("out", "../../docs/benchmarks", "`folder` for the results and the page")
	rounds := flag.Int("rounds", 5, "rounds")
	slot := flag.Duration("slot", 3*time.Second, "length of a server's turn")
	program := flag.String("hydra", "", "`file` of Hydra's program; built if it does not exist (default a temporary file)")
	again := flag.Bool("report", false, "write the page of the last results again")
	flag.Parse()
	if *again {
		r, err := hydra.Read(*out)
		if err != nil {
			return err
		}
		return r.Write(*out)
	}
	if *rounds < 1 || *slot <= 0 {
		return fmt.Errorf("-rounds %d and -slot %s must be positive", *rounds, *slot)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := hydra.Run(ctx, hydra.Options{
		Rounds: *rounds, Slot: *slot, Hydra: *program, Self: []string{self, "serve"},
		Progress: func(what string) { fmt.Fprintln(os.Stderr, what) },
	})
	if err != nil {
		return err
	}
	return r.Write(*out)
}
