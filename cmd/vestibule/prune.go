package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// unusedClients is the flag for gormstore.Options.UnusedClients.
const unusedClients = "unused-clients"

func pruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "delete expired records and unused registered clients",
		Flags: []cli.Flag{&cli.DurationFlag{Name: unusedClients, Usage: "age at which unused registered clients are deleted (-1ns: never)", Value: storage.UnusedClientAge(0)}},
		Action: withDB(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
			if err := noArguments(c); err != nil {
				return err
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
					fmt.Fprintf(c.Root().Writer, "removed %d records\n", total)
					return nil
				}
			}
		}),
	}
}
