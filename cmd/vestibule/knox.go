package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func knoxCommand() *cli.Command {
	return &cli.Command{
		Name:   "knox",
		Usage:  "list and revoke device tokens",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{Name: "list", Usage: "list the account's tokens, the last created first; never their text", ArgsUsage: "NAME", Action: withAccounts(listDevices)},
			{
				Name: "revoke", Usage: "end one of the account's tokens, or all", ArgsUsage: "NAME",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "id", Usage: "the ID that list shows"},
					&cli.BoolFlag{Name: "all", Usage: "all of them"},
				},
				Action: withAccounts(revokeDevices),
			},
		},
	}
}

// maxListed is how many tokens list shows.
const maxListed = 10_000

func listDevices(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	list, err := db.ListDeviceTokens(ctx, u.ID, maxListed)
	if err != nil {
		return err
	}
	now := time.Now()
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tCREATED\tEXPIRES\tLAST USED\tUSABLE")
	for _, x := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%t\n", printable(x.ID), printable(x.Name), when(x.Created), when(x.Expires), when(x.LastUsed), u.Active && !x.Expired(now))
	}
	return t.Flush()
}

func revokeDevices(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	id, all := c.String("id"), c.Bool("all")
	switch {
	case all && id != "":
		return errors.New("-id ends one token and -all all of them: give one of the two")
	case !all && id == "":
		return errors.New("which tokens? Give -id ID or -all")
	}
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	n := 1
	if all {
		n, err = db.DeleteDeviceTokensOf(ctx, u.ID, "")
	} else {
		err = db.DeleteDeviceToken(ctx, u.ID, id)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("user %s has no such token", u.Name)
	}
	if err != nil {
		return err
	}
	word := "tokens"
	if n == 1 {
		word = "token"
	}
	fmt.Fprintf(c.Root().Writer, "revoked %d %s of user %s\n", n, word, u.Name)
	return nil
}
