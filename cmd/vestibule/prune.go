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
		Usage: "remove what has ended by itself: expired tokens, sessions, refresh families, blocklist entries, codes, signing keys, unused clients",
		Flags: []cli.Flag{&cli.DurationFlag{Name: unusedClients, Usage: "age of unused registered clients to remove (-1ns: none)", Value: storage.UnusedClientAge(0)}},
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
