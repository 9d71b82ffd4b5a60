package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func keysCommand() *cli.Command {
	issuer := &cli.StringFlag{Name: "issuer", Usage: "the JWT issuer whose keys they are", Required: true}
	alg := &cli.StringFlag{Name: "alg", Usage: "EdDSA, ES256, ES384, ES512, RS256 …", Value: string(jose.EdDSA)}
	return &cli.Command{
		Name:   "keys",
		Usage:  "generate, rotate and list the keys that sign JWTs",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{Name: "generate", Usage: "make the first key of an issuer; it signs at once", Flags: []cli.Flag{issuer, alg}, Action: withDB(generateKey)},
			{
				Name: "rotate", Usage: "make a new key beside the old one, which verifies for a while and then expires",
				Flags: []cli.Flag{
					issuer, alg,
					&cli.DurationFlag{Name: "publish", Usage: "how long the new key is known before it signs", Value: 10 * time.Minute},
					&cli.DurationFlag{Name: "overlap", Usage: "how long the old key verifies after that", Value: 24 * time.Hour},
				},
				Action: withDB(rotateKey),
			},
			{
				Name: "expire", Usage: "end a key that leaked, now; rotate first where it is the one that signs",
				Flags:  []cli.Flag{issuer, &cli.StringFlag{Name: "id", Usage: "the key that list shows", Required: true}},
				Action: withDB(expireKey),
			},
			{Name: "list", Usage: "list an issuer's keys, the newest first; never what is secret", Flags: []cli.Flag{issuer}, Action: withDB(listKeys)},
		},
	}
}

func storedKeys(c *cli.Command, db *gormstore.Store) (*jwt.StoredKeys, error) {
	r, err := ring(c)
	if err != nil {
		return nil, err
	}
	return jwt.NewStoredKeys(db, r, c.String("issuer"), &jwt.KeyOptions{
		Algorithm: jose.Algorithm(c.String("alg")), Publish: c.Duration("publish"), Overlap: c.Duration("overlap"),
	})
}

func generateKey(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	list, err := k.List(ctx)
	if err != nil {
		return err
	}
	for _, row := range list {
		if row.Expires.IsZero() || time.Now().Before(row.Expires) {
			return fmt.Errorf("issuer %s has key %s already; rotate makes another", c.String("issuer"), row.ID)
		}
	}
	if err := k.Ensure(ctx); err != nil {
		return err
	}
	if list, err = k.List(ctx); err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s signs from now on\n", list[0].ID)
	return nil
}

func rotateKey(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Duration("publish") <= 0 || c.Duration("overlap") <= 0 {
		return errors.New("-publish and -overlap are above 0; to end a key at once: keys expire")
	}
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	row, err := k.Rotate(ctx)
	if errors.Is(err, storage.ErrConflict) {
		return errors.New("somebody else rotates just now; nothing was changed here")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s signs from %s on\n", row.ID, row.SignsFrom.Format(time.RFC3339))
	return nil
}

func expireKey(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	id := c.String("id")
	if err := k.Expire(ctx, id); errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("issuer %s has no key %s", c.String("issuer"), id)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s has expired; servers know within a minute\n", id)
	return nil
}

func listKeys(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	list, err := k.List(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tALGORITHM\tSIGNS FROM\tEXPIRES\tMASTER KEY")
	for _, row := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", printable(row.ID), row.Algorithm, when(row.SignsFrom), when(row.Expires), row.MasterID)
	}
	return t.Flush()
}

// when writes a time, or that there is none.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
