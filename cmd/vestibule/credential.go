package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// credentialCommand manages credentials of any scheme, including schemes that this program does not
// know. knoxCommand does the same for device tokens only.
func credentialCommand() *cli.Command {
	purpose := func(usage string) cli.Flag { return &cli.StringFlag{Name: "purpose", Usage: usage} }
	return &cli.Command{
		Name:   "credential",
		Usage:  "list and revoke credentials of any scheme, by purpose",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "list an account's credentials, newest first", ArgsUsage: "NAME",
				Flags:  []cli.Flag{purpose("scheme, such as knox (default: all)")},
				Action: withAccounts(listCredentials),
			},
			{
				Name: "revoke", Usage: "revoke one or all of an account's credentials", ArgsUsage: "NAME",
				Flags: append([]cli.Flag{purpose("scheme, as shown by list (required)")}, revokeFlags()...),
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
			{Name: "list", Usage: "list an account's tokens, newest first", ArgsUsage: "NAME", Action: withAccounts(listDeviceTokens)},
			{
				Name: "revoke", Usage: "revoke one or all of an account's tokens", ArgsUsage: "NAME", Flags: revokeFlags(),
				Action: withAccounts(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
					return revokeCredentials(ctx, c, db, knox.Purpose, "token")
				}),
			},
		},
	}
}

func revokeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "id", Usage: "ID, as shown by list"},
		&cli.BoolFlag{Name: "all", Usage: "revoke all"},
	}
}

// maxListed is the maximum number of credentials that list shows per purpose.
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(x.ID), printable(x.Name), when(x.Created), when(x.Expires), when(x.LastUsed), yesNo(u.Active && !x.Expired(now)))
	}
	return err
}

func revokeCredentials(ctx context.Context, c *cli.Command, db *gormstore.Store, purpose, word string) error {
	id, all := c.String("id"), c.Bool("all")
	switch {
	case all && id != "":
		return fmt.Errorf("both -id and -all are set (-id revokes one %s, -all revokes all)", word)
	case !all && id == "":
		return fmt.Errorf("no %s given (-id ID or -all)", word)
	case purpose == "":
		return errors.New("no -purpose given (as shown by \"credential list\")")
	}
	if err := storage.CheckPurpose(purpose); err != nil {
		return err
	}
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	r, err := newRecorder(db)
	if err != nil {
		return err
	}
	n := 0
	err = r.change(ctx, func(ctx context.Context) (err error) {
		if n = 1; all {
			n, err = db.DeleteCredentialsOf(ctx, purpose, u.ID, "")
		} else {
			err = db.DeleteCredential(ctx, purpose, u.ID, id)
		}
		if err == nil && n > 0 {
			r.note(ctx, audit.Event{Kind: audit.TokenRevoked, Subject: u.ID, Credential: id, Count: n}, purpose)
		}
		return err
	})
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
