package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func keysCommand() *cli.Command {
	issuer := &cli.StringFlag{Name: "issuer", Usage: "JWT issuer of the keys"}
	alg := &cli.StringFlag{Name: "alg", Usage: "EdDSA, ES256, ES384, ES512, RS256 … (default: that of the newest key, else EdDSA, which some libraries cannot verify)"}
	return &cli.Command{
		Name:   "keys",
		Usage:  "generate, rotate and list the keys that sign JWTs",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{Name: "generate", Usage: "create an issuer's first key (signs immediately)", Flags: []cli.Flag{issuer, alg}, Action: withDB(generateKey)},
			{
				Name: "rotate", Usage: "create a new key; the old one expires after -overlap",
				Flags: []cli.Flag{
					issuer, alg,
					&cli.DurationFlag{Name: "publish", Usage: "time until the new key signs", Value: 10 * time.Minute},
					&cli.DurationFlag{Name: "overlap", Usage: "time until the old key expires after that", Value: 24 * time.Hour},
				},
				Action: withDB(rotateKey),
			},
			{
				Name: "expire", Usage: "revoke a signing key now (rotate first if it is active)",
				Flags: []cli.Flag{
					issuer, &cli.StringFlag{Name: "id", Usage: "key ID, as shown by list"},
					&cli.BoolFlag{Name: "all", Usage: "all keys of all issuers, such as after a restore"},
				},
				Action: withDB(expireKeys),
			},
			{Name: "list", Usage: "list public data of signing keys, newest first", Flags: []cli.Flag{issuer}, Action: withDB(listKeys)},
		},
	}
}

func storedKeys(c *cli.Command, db *gormstore.Store) (*jwt.StoredKeys, error) {
	issuer := c.String("issuer")
	if issuer == "" {
		return nil, errors.New("no -issuer given (\"keys list\" shows the issuers)")
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
			return fmt.Errorf("issuer %s already has key %s (use \"keys rotate\" for another)", c.String("issuer"), row.ID)
		}
	}
	if err := otherMaster(ctx, c, db); err != nil {
		return err
	}
	r, err := newRecorder(db)
	if err != nil {
		return err
	}
	err = r.change(ctx, func(ctx context.Context) error {
		if err := k.Ensure(ctx); err != nil {
			return err
		}
		if list, err = k.List(ctx); err == nil {
			r.note(ctx, audit.Event{Kind: audit.KeyRotated, Credential: list[0].ID}, "first key")
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s (%s) signs from now on\n", list[0].ID, list[0].Algorithm)
	return nil
}

// otherMaster rejects the creation of an issuer's first key if the master key cannot decrypt any of
// the signing keys in the database.
func otherMaster(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	live, opens, err := countKeys(ctx, c, db)
	if err != nil || live == 0 || opens > 0 {
		return err
	}
	return errors.New("signing keys in this database are encrypted with another master key (check that -key is the server's master key)")
}

// minOverlap is the default lifetime of access tokens.
const minOverlap = 5 * time.Minute

func rotateKey(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Duration("publish") <= 0 || c.Duration("overlap") < minOverlap {
		return errors.New("-publish or -overlap out of range (-publish above 0, -overlap at least 5m, the lifetime of tokens; to revoke a key now, use \"keys expire\")")
	}
	k, err := storedKeys(c, db)
	if err != nil {
		return err
	}
	r, err := newRecorder(db)
	if err != nil {
		return err
	}
	var row storage.SigningKey
	err = r.change(ctx, func(ctx context.Context) (err error) {
		if row, err = k.Rotate(ctx); err == nil {
			r.note(ctx, audit.Event{Kind: audit.KeyRotated, Credential: row.ID}, "")
		}
		return err
	})
	issuer := c.String("issuer")
	switch {
	case errors.Is(err, storage.ErrConflict):
		return errors.New("another rotation is running; nothing was changed")
	case errors.Is(err, jwt.ErrNoKey):
		return fmt.Errorf("issuer %s has no key (\"keys list\" shows the issuers, \"keys generate\" creates the first key)", issuer)
	case errors.Is(err, jwt.ErrMasterKey):
		return fmt.Errorf("%w (check that -key is the server's master key; if the newest key was created with a wrong one, revoke it with \"keys expire\")", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(c.Root().Writer, "key %s (%s) signs from %s on\n", row.ID, row.Algorithm, row.SignsFrom.Format(time.RFC3339))
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
			return fmt.Errorf("issuer %s has no key (\"keys list\" without -issuer shows all)", one)
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

// keyStates returns the state of each key of an issuer: "signs", "next", "verifies" or "expired".
// The list begins with the last key to sign, which is the order in which servers choose.
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
				next = i // the last one in the list signs first
			}
		default:
			states[i] = "verifies"
			if signer < 0 && opens(row) {
				signer = i
			}
		}
	}
	if signer < 0 { // the signing key was revoked, so servers use the next one immediately
		signer = next
	}
	if signer >= 0 {
		states[signer] = "signs"
	}
	return states
}

// countKeys returns the number of signing keys that have not expired, and how many of them the
// master key decrypts.
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

// when formats a time; "never" for the zero time.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
