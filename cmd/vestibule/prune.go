package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// unusedClients is the flag for gormstore.Options.UnusedClients.
const unusedClients = "unused-clients"

// auditAge is how long audit events are kept: 400 days, so that a year can be looked back on.
const auditAge = 400 * 24 * time.Hour

func pruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "delete expired records and unused registered clients",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: unusedClients, Usage: "age at which unused registered clients are deleted (-1ns: never)", Value: storage.UnusedClientAge(0)},
			&cli.DurationFlag{Name: "every", Usage: "repeat at about this interval until the command is stopped (default: once)"},
			&cli.DurationFlag{Name: "audit", Usage: "age at which audit events are deleted (0: never)", Value: auditAge},
		},
		Action: withDB(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
			if err := noArguments(c); err != nil {
				return err
			}
			age := c.Duration("audit")
			if age < 0 {
				return fmt.Errorf("-audit %v is negative (at least 0)", age)
			}
			if c.IsSet("every") {
				return pruneEvery(ctx, c, db)
			}
			const batch = 10_000
			total := 0
			for {
				n, err := db.Prune(ctx, time.Now().Add(-storage.PruneMargin), batch)
				total += n
				if err != nil {
					return fmt.Errorf("after %d records: %w", total, err)
				}
				if n < batch {
					break
				}
			}
			events := 0
			for age > 0 {
				n, err := db.PruneAudit(ctx, time.Now().Add(-age), batch)
				events += n
				if err != nil {
					return fmt.Errorf("after %d records and %d audit events: %w", total, events, err)
				}
				if n < batch {
					break
				}
			}
			if total == 0 && events == 0 {
				fmt.Fprintln(c.Root().Writer, "nothing to remove")
			} else {
				fmt.Fprintf(c.Root().Writer, "removed %d records and %d audit events\n", total, events)
			}
			return nil
		}),
	}
}

// pruneEvery prunes until the command is stopped. Failures are logged, and tried again.
func pruneEvery(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	every := c.Duration("every")
	if every <= 0 {
		return fmt.Errorf("-every %v out of range (above 0)", every)
	}
	err := storage.PruneEvery(ctx, every, &storage.PruningOptions{
		Logger: slog.New(slog.NewTextHandler(c.Root().ErrWriter, nil)),
		Done: func(list []storage.Pruned) {
			if n := list[0].Records; n > 0 {
				fmt.Fprintf(c.Root().Writer, "removed %d records\n", n)
			}
		},
	}, db)
	if ctx.Err() != nil { // stopped
		return nil
	}
	return err
}
