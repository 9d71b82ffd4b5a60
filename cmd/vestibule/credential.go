package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// credentialCommand is for credentials of any scheme, also of those that this program does not
// know; knoxCommand is the same for device tokens.
func credentialCommand() *cli.Command {
	purpose := func(usage string) cli.Flag { return &cli.StringFlag{Name: "purpose", Usage: usage} }
	return &cli.Command{
		Name:   "credential",
		Usage:  "list and revoke credentials of any scheme, by purpose",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "list the account's credentials, newest first; never their text", ArgsUsage: "NAME",
				Flags:  []cli.Flag{purpose("only those of this scheme, such as knox")},
				Action: withAccounts(listCredentials),
			},
			{
				Name: "revoke", Usage: "revoke one of the account's credentials, or all", ArgsUsage: "NAME",
				Flags: append([]cli.Flag{purpose("the scheme, as list shows it")}, revokeFlags()...),
				Action: withAccounts(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
					return revokeCredentials(ctx, c, db, c.String("purpose"), "credential")
				}),
			},
		},
	}
}

func knoxCommand() *cli.Command {
	return &cli.Command{
		Name:   "knox",
		Usage:  "list and revoke device tokens",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{Name: "list", Usage: "list the account's tokens, newest first; never their text", ArgsUsage: "NAME", Action: withAccounts(listDeviceTokens)},
			{
				Name: "revoke", Usage: "revoke one of the account's tokens, or all", ArgsUsage: "NAME", Flags: revokeFlags(),
				Action: withAccounts(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
					return revokeCredentials(ctx, c, db, knox.Purpose, "token")
				}),
			},
		},
	}
}

func revokeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "id", Usage: "the ID that list shows"},
		&cli.BoolFlag{Name: "all", Usage: "all of them"},
	}
}

// maxListed is how many credentials of a purpose list shows.
const maxListed = 10_000

func listDeviceTokens(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tCREATED\tEXPIRES\tLAST USED\tUSABLE")
	if err := writeCredentials(ctx, t, db, u, knox.Purpose, false); err != nil {
		return err
	}
	return t.Flush()
}

func listCredentials(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	purposes := []string{c.String("purpose")}
	if !c.IsSet("purpose") {
		purposes, err = db.CredentialPurposes(ctx, u.ID)
	} else {
		err = storage.CheckPurpose(purposes[0])
	}
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "PURPOSE\tID\tNAME\tCREATED\tEXPIRES\tLAST USED\tUSABLE")
	for _, p := range purposes {
		if err := writeCredentials(ctx, t, db, u, p, true); err != nil {
			return err
		}
	}
	return t.Flush()
}

// writeCredentials writes a line for each credential of one purpose.
func writeCredentials(ctx context.Context, t *tabwriter.Writer, db *gormstore.Store, u storage.User, purpose string, named bool) error {
	list, err := db.ListCredentials(ctx, purpose, u.ID, maxListed)
	now := time.Now()
	for _, x := range list {
		if named {
			fmt.Fprintf(t, "%s\t", printable(x.Purpose))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%t\n", printable(x.ID), printable(x.Name), when(x.Created), when(x.Expires), when(x.LastUsed), u.Active && !x.Expired(now))
	}
	return err
}

func revokeCredentials(ctx context.Context, c *cli.Command, db *gormstore.Store, purpose, word string) error {
	id, all := c.String("id"), c.Bool("all")
	switch {
	case all && id != "":
		return fmt.Errorf("-id revokes one %s and -all revokes all: give one of the two", word)
	case !all && id == "":
		return fmt.Errorf("which %ss? Give -id ID or -all", word)
	case purpose == "":
		return errors.New("of which scheme? Give -purpose, as \"credential list\" shows it")
	}
	if err := storage.CheckPurpose(purpose); err != nil {
		return err
	}
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	n := 1
	if all {
		n, err = db.DeleteCredentialsOf(ctx, purpose, u.ID, "")
	} else {
		err = db.DeleteCredential(ctx, purpose, u.ID, id)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("user %s has no such %s", u.Name, word)
	}
	if err != nil {
		return err
	}
	if n != 1 {
		word += "s"
	}
	fmt.Fprintf(c.Root().Writer, "revoked %d %s of user %s\n", n, word, u.Name)
	return nil
}
