package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func keysCommand() *cli.Command {
	issuer := &cli.StringFlag{Name: "issuer", Usage: "the JWT issuer whose keys they are"}
	alg := &cli.StringFlag{Name: "alg", Usage: "EdDSA, ES256, ES384, ES512, RS256 … (default: EdDSA, which some other libraries cannot verify, then that of the newest)"}
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
			{Name: "list", Usage: "list the keys of an issuer, or of all, the newest first; never what is secret", Flags: []cli.Flag{issuer}, Action: withDB(listKeys)},
		},
	}
}

func storedKeys(c *cli.Command, db *gormstore.Store) (*jwt.StoredKeys, error) {
	issuer := c.String("issuer")
	if issuer == "" {
		return nil, errors.New("which issuer? Give -issuer; keys list shows those that have keys")
	}
	return keysOf(c, db, issuer)
}

func keysOf(c *cli.Command, db *gormstore.Store, issuer string) (*jwt.StoredKeys, error) {
	r, err := ring(c)
	if err != nil {
		return nil, err
	}
	return jwt.NewStoredKeys(db, r, issuer, &jwt.KeyOptions{
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
	now := time.Now()
	for _, row := range list {
		if row.Expires.IsZero() || now.Before(row.Expires) {
			return fmt.Errorf("issuer %s has key %s already; rotate makes another", c.String("issuer"), row.ID)
		}
	}
	if err := otherMaster(ctx, c, db); err != nil {
		return err
	}
	if err := k.Ensure(ctx); err != nil {
		return err
	}
	if list, err = k.List(ctx); err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s (%s) signs from now on\n", list[0].ID, list[0].Algorithm)
	return nil
}

// otherMaster refuses to make the first key of an issuer under a master key that opens
// none of the keys that the database has.
func otherMaster(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	live, opens, err := countKeys(ctx, c, db)
	if err != nil || live == 0 || opens > 0 {
		return err
	}
	return errors.New("the signing keys in this database are sealed under another master key: is this the server's?")
}

// minOverlap is what access tokens live unless a server says otherwise.
const minOverlap = 5 * time.Minute

func rotateKey(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Duration("publish") <= 0 || c.Duration("overlap") < minOverlap {
		return errors.New("want -publish above 0 and -overlap of at least 5m, as long as tokens live; to end a key at once: keys expire")
	}
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	row, err := k.Rotate(ctx)
	issuer := c.String("issuer")
	switch {
	case errors.Is(err, storage.ErrConflict):
		return errors.New("somebody else rotates just now; nothing was changed here")
	case errors.Is(err, jwt.ErrNoKey):
		return fmt.Errorf("issuer %s has no key: keys list shows the issuers, keys generate makes a first key", issuer)
	case errors.Is(err, jwt.ErrMasterKey):
		return fmt.Errorf("%w: is this the server's master key? If the newest key was made with a wrong one, end it: keys expire", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s (%s) signs from %s on\n", row.ID, row.Algorithm, row.SignsFrom.Format(time.RFC3339))
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
	issuers, err := jwt.Issuers(ctx, db)
	if err != nil {
		return err
	}
	if one := c.String("issuer"); one != "" {
		if !slices.Contains(issuers, one) {
			return fmt.Errorf("issuer %s has no key; keys list without -issuer shows all", one)
		}
		issuers = []string{one}
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ISSUER\tKEY\tALGORITHM\tSTATE\tSIGNS FROM\tEXPIRES\tUSABLE")
	for _, issuer := range issuers {
		k, err := keysOf(c, db, issuer)
		if err != nil {
			return err
		}
		list, err := k.List(ctx)
		if err != nil {
			return err
		}
		states := keyStates(list, time.Now(), func(row storage.SigningKey) bool { return k.Opens(row) == nil })
		for i, row := range list {
			usable := "yes"
			if k.Opens(row) != nil {
				usable = "no: other master key"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(issuer), printable(row.ID), row.Algorithm, states[i], when(row.SignsFrom), when(row.Expires), usable)
		}
	}
	return t.Flush()
}

// keyStates says what each key of an issuer does: "signs", "next", "verifies" or
// "expired". The keys come with the last to sign first, as servers choose them.
func keyStates(list []storage.SigningKey, now time.Time, opens func(storage.SigningKey) bool) []string {
	states := make([]string, len(list))
	signer, next := -1, -1
	for i, row := range list {
		switch {
		case !row.Expires.IsZero() && !now.Before(row.Expires):
			states[i] = "expired"
		case row.SignsFrom.After(now):
			states[i] = "next"
			if opens(row) {
				next = i // the last of these is the first to sign
			}
		default:
			states[i] = "verifies"
			if signer < 0 && opens(row) {
				signer = i
			}
		}
	}
	if signer < 0 { // the one that signed was withdrawn: servers do not wait
		signer = next
	}
	if signer >= 0 {
		states[signer] = "signs"
	}
	return states
}

// countKeys counts the signing keys that have not expired, and those of them that the
// master key opens.
func countKeys(ctx context.Context, c *cli.Command, db *gormstore.Store) (live, opens int, err error) {
	issuers, err := jwt.Issuers(ctx, db)
	if err != nil {
		return 0, 0, err
	}
	now := time.Now()
	for _, issuer := range issuers {
		k, err := keysOf(c, db, issuer)
		if err != nil {
			return 0, 0, err
		}
		list, err := k.List(ctx)
		if err != nil {
			return 0, 0, err
		}
		for _, row := range list {
			if !row.Expires.IsZero() && !now.Before(row.Expires) {
				continue
			}
			live++
			if k.Opens(row) == nil {
				opens++
			}
		}
	}
	return live, opens, nil
}

// when writes a time, or that there is none.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
