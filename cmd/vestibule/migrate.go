package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func migrateCommand() *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "migrate the database to this program's schema",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "triggers", Usage: "also watch the recorded account tables of applications for changes"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			db, err := open(c)
			if err != nil {
				return err
			}
			defer db.Close()
			// The server, or the first command about accounts, records the account table.
			if err := db.MigrateSchema(ctx); err != nil {
				return err
			}
			have, _, err := db.Schema(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.Root().Writer, "schema version %d\n", have)
			if !c.Bool("triggers") {
				return nil
			}
			tables, err := db.MigrateAllTriggers(ctx)
			for _, table := range tables {
				fmt.Fprintf(c.Root().Writer, "created triggers on %s\n", table)
			}
			if err == nil && len(tables) == 0 {
				fmt.Fprintln(c.Root().Writer, "no account table of an application is recorded")
			}
			return err
		},
	}
}

func courierCommand() *cli.Command {
	return &cli.Command{
		Name:      "courier",
		Usage:     "print or set how servers learn of changes",
		ArgsUsage: "[none | notify | outbox]",
		Action: withDB(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
			if c.Args().Present() {
				name, err := oneArgument(c, "none, notify or outbox")
				if err != nil {
					return err
				}
				if err := db.SetCourier(ctx, name); err != nil {
					return err
				}
			}
			name, err := db.Courier(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.Root().Writer, name)
			return nil
		}),
	}
}
