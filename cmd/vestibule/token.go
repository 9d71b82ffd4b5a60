package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/authn/audit"
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
				Name: "create", Usage: "print an account's token; create one if needed", ArgsUsage: "NAME",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "reset", Aliases: []string{"r"}, Usage: "replace an existing token"},
					&cli.BoolFlag{Name: "hex40", Usage: "40-digit hex format, if the server uses it"},
				},
				Action: withAccounts(createToken),
			},
			{Name: "revoke", Usage: "delete an account's token", ArgsUsage: "NAME", Action: withAccounts(revokeToken)},
			{Name: "list", Usage: "list accounts with tokens", Action: withAccounts(listTokens)},
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
		// GetOrCreate would replace a token that this key or format cannot reproduce. A server may
		// still accept that token, so replacing it requires -reset.
		if err := sameKey(ctx, c, db, r, u); err != nil {
			return err
		}
		get = tokens.GetOrCreate
	}
	text, err := recordedToken(ctx, db, u, get)
	if errors.Is(err, storage.ErrStale) {
		return fmt.Errorf("user %s is disabled, or changed just now", u.Name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "Generated token %s for user %s\n", text, u.Name)
	return nil
}

// recordedToken calls get, and stores events if it replaces or creates the account's token.
func recordedToken(ctx context.Context, db *gormstore.Store, u storage.User, get func(ctx context.Context, subject string, epoch int64) (string, error)) (text string, err error) {
	r, err := newRecorder(db)
	if err != nil {
		return "", err
	}
	err = r.change(ctx, func(ctx context.Context) error {
		before, err := db.StaticTokenOf(ctx, u.ID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		had := err == nil
		if text, err = get(ctx, u.ID, u.Epoch); err != nil {
			return err
		}
		after, err := db.StaticTokenOf(ctx, u.ID)
		if err != nil || had && after.Digest == before.Digest {
			return err
		}
		about := func(kind audit.Kind, t storage.StaticToken) audit.Event {
			return audit.Event{Kind: kind, Subject: u.ID, Credential: string(t.Digest[:]), Epoch: t.Epoch}
		}
		if had {
			r.note(ctx, about(audit.TokenRevoked, before), "")
		}
		r.note(ctx, about(audit.TokenCreated, after), "")
		return nil
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

// sameKey returns an error if the account has a valid token that this key and format cannot
// reproduce.
func sameKey(ctx context.Context, c *cli.Command, db *gormstore.Store, r *keys.Ring, u storage.User) error {
	have, err := db.StaticTokenOf(ctx, u.ID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && have.Epoch != u.Epoch {
		return nil
	}
	if err != nil {
		return err
	}
	if !r.Has(have.KeyID) {
		return fmt.Errorf("user %s has a token of another master key (replace it with -reset)", u.Name)
	}
	// With a store that cannot write, GetOrCreate returns the existing token or fails.
	opts := tokenOptions(c)
	tokens, err := token.New(readOnly{db}, r, &opts)
	if err != nil {
		return err
	}
	if _, err := tokens.GetOrCreate(ctx, u.ID, u.Epoch); errors.Is(err, errReadOnly) {
		return fmt.Errorf("user %s has a token of another format (replace it with -reset)", u.Name)
	} else if err != nil {
		return err
	}
	return nil
}

var errReadOnly = errors.New("read-only")

// readOnly is a store that rejects changes of static tokens.
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
	err = recorded(ctx, db, audit.Event{Kind: audit.TokenRevoked, Subject: u.ID}, "", func(ctx context.Context) error {
		return db.DeleteStaticTokenOf(ctx, u.ID)
	})
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
	if err != nil { // without the key the list is still useful
		r = nil
		fmt.Fprintln(c.Root().ErrWriter, "USABLE ignores the keys of tokens:", err)
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
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", printable(name), x.Created.UTC().Format(time.RFC3339), x.KeyID, yesNo(usable))
		}
		if len(list) < pageSize {
			return t.Flush()
		}
	}
}
