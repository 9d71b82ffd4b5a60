package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func tokenCommand() *cli.Command {
	return &cli.Command{
		Name:   "token",
		Usage:  "create, revoke and list static tokens",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "print the account's token; make one if it has none", ArgsUsage: "NAME",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "reset", Aliases: []string{"r"}, Usage: "end the token it has and make another"},
					&cli.BoolFlag{Name: "hex40", Usage: "tokens of 40 hex digits, for a server that is set so"},
				},
				Action: withAccounts(createToken),
			},
			{Name: "revoke", Usage: "delete the account's token", ArgsUsage: "NAME", Action: withAccounts(revokeToken)},
			{Name: "list", Usage: "list who has a token, and since when", Action: withAccounts(listTokens)},
		},
	}
}

func createToken(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	r, err := ring(c)
	if err != nil {
		return err
	}
	opts := tokenOptions(c)
	tokens, err := token.New(db, r, &opts)
	if err != nil {
		return err
	}
	get := tokens.Replace
	if !c.Bool("reset") {
		// Token would replace a token that this key, or this format, did not make. A
		// server may be taking it, so that is for -reset to say.
		if err := sameKey(ctx, c, db, r, u); err != nil {
			return err
		}
		get = tokens.GetOrCreate
	}
	text, err := get(ctx, u.ID, u.Epoch)
	if errors.Is(err, storage.ErrStale) {
		return fmt.Errorf("user %s is disabled, or changed just now", u.Name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "Generated token %s for user %s\n", text, u.Name)
	return nil
}

// sameKey refuses where the account has a live token that cannot be shown again
// with this key and this format.
func sameKey(ctx context.Context, c *cli.Command, db *gormstore.Store, r *keys.Ring, u storage.User) error {
	have, err := db.StaticTokenOf(ctx, u.ID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && have.Epoch != u.Epoch {
		return nil
	}
	if err != nil {
		return err
	}
	if !r.Has(have.KeyID) {
		return fmt.Errorf("user %s has a token of another master key; -reset ends it and makes another", u.Name)
	}
	// Asked through a store that cannot write, Token shows the token or fails.
	opts := tokenOptions(c)
	tokens, err := token.New(readOnly{db}, r, &opts)
	if err != nil {
		return err
	}
	if _, err := tokens.GetOrCreate(ctx, u.ID, u.Epoch); errors.Is(err, errReadOnly) {
		return fmt.Errorf("user %s has a token of another format; -reset ends it and makes another", u.Name)
	} else if err != nil {
		return err
	}
	return nil
}

var errReadOnly = errors.New("read-only")

// readOnly is a store whose tokens stay as they are.
type readOnly struct{ *gormstore.Store }

func (readOnly) PutStaticToken(context.Context, storage.StaticToken, storage.Digest) error {
	return errReadOnly
}

func tokenOptions(c *cli.Command) token.Options {
	if c.Bool("hex40") {
		return token.Options{Format: token.Hex40}
	}
	return token.Options{}
}

func revokeToken(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	err = db.DeleteStaticTokenOf(ctx, u.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("user %s has no token", u.Name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "revoked the token of user %s\n", u.Name)
	return nil
}

func listTokens(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	r, err := ring(c)
	if err != nil { // the list is useful without the key; the column says less then
		r = nil
		fmt.Fprintln(c.Root().ErrWriter, "no master key given: USABLE does not say whether a token's key is in use:", err)
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tCREATED\tKEY\tUSABLE")
	for after := ""; ; {
		list, err := db.ListStaticTokens(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, x := range list {
			after = x.Subject
			name, usable := x.Subject, false
			u, err := db.UserByID(ctx, x.Subject)
			switch {
			case err == nil:
				name, usable = u.Name, u.Active && u.Epoch == x.Epoch && (r == nil || r.Has(x.KeyID))
			case !errors.Is(err, storage.ErrNotFound):
				return err
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%t\n", printable(name), x.Created.UTC().Format(time.RFC3339), x.KeyID, usable)
		}
		if len(list) < pageSize {
			return t.Flush()
		}
	}
}
