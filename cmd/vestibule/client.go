package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func clientCommand() *cli.Command {
	return &cli.Command{
		Name:   "client",
		Usage:  "manage OAuth 2.0 clients",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "register a client; print its ID and secret (once)",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "id", Usage: "client ID (default: random)"},
					&cli.StringFlag{Name: "name", Usage: "display name (required)", Required: true},
					&cli.BoolFlag{Name: "public", Usage: "public client, without a secret"},
					&cli.BoolFlag{Name: "native", Usage: "native app (any loopback port, private URI schemes)"},
					&cli.StringFlag{Name: "method", Usage: oauth2.SecretBasic + ", " + oauth2.SecretPost + " or " + oauth2.PrivateKeyJWT, Value: oauth2.SecretBasic},
					&cli.StringFlag{Name: "keys", Usage: "file with the client's public keys as a JWK Set, for " + oauth2.PrivateKeyJWT},
					&cli.StringFlag{Name: "keys-url", Usage: "URL of such a JWK Set (instead of -keys)"},
					&cli.BoolFlag{Name: "pinned", Usage: "allow an ID that is a URL; never read its document"},
					&cli.BoolFlag{Name: "require-pushed", Usage: "accept only pushed authorization requests"},
					&cli.DurationFlag{Name: "access-ttl", Usage: "lifetime of its access tokens (default: the server's)"},
					&cli.DurationFlag{Name: "refresh-ttl", Usage: "lifetime of its refresh tokens (default: the server's)"},
					&cli.DurationFlag{Name: "grant-ttl", Usage: "lifetime of its grants (default: the server's)"},
					&cli.StringSliceFlag{Name: "redirect", Usage: "exact redirect URI (repeatable)"},
					&cli.StringSliceFlag{Name: "logout-redirect", Usage: "exact redirect URI after logout (repeatable)"},
					&cli.StringSliceFlag{Name: "grant", Usage: "grant type (repeatable; default: authorization_code and refresh_token)"},
					&cli.StringSliceFlag{Name: "scope", Usage: "scope that the client may request (repeatable)"},
					&cli.StringSliceFlag{Name: "default-scope", Usage: "scope if the client requests none (repeatable; default: none)"},
					&cli.StringSliceFlag{Name: "resource", Aliases: []string{"audience"}, Usage: "resource that it may request tokens for (repeatable)"},
					&cli.StringSliceFlag{Name: "resource-server", Usage: "resource that it serves and may introspect (repeatable)"},
					&cli.BoolFlag{Name: "trusted", Usage: "first-party client; users are not asked for consent"},
				},
				Action: withDB(createClient),
			},
			{Name: "list", Usage: "list clients, without secrets", Action: withDB(listClients)},
			{Name: "rotate-secret", Usage: "replace the secret and print it (tokens stay valid)", ArgsUsage: "ID", Action: withDB(rotateSecret)},
			{Name: "disable", Usage: "disable a client and revoke its tokens and grants", ArgsUsage: "ID", Action: withDB(setClient(true))},
			{Name: "enable", Usage: "enable a client (its old tokens stay revoked)", ArgsUsage: "ID", Action: withDB(setClient(false))},
			{Name: "delete", Usage: "delete a client with all its grants and tokens", ArgsUsage: "ID", Action: withDB(deleteClient)},
		},
	}
}

func createClient(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	client := storage.Client{
		ID: c.String("id"), Name: c.String("name"), Method: c.String("method"), Native: c.Bool("native"), Trusted: c.Bool("trusted"),
		RedirectURIs: c.StringSlice("redirect"), Grants: c.StringSlice("grant"), Scopes: c.StringSlice("scope"), Default: c.StringSlice("default-scope"),
		Resources: c.StringSlice("resource"), Serves: c.StringSlice("resource-server"), LogoutURIs: c.StringSlice("logout-redirect"), Created: time.Now(),
		KeysURI: c.String("keys-url"), RequirePushed: c.Bool("require-pushed"), Document: storage.ClientDocument{Pinned: c.Bool("pinned")},
		AccessTTL: c.Duration("access-ttl"), RefreshTTL: c.Duration("refresh-ttl"), AbsoluteTTL: c.Duration("grant-ttl"),
	}
	if client.ID == "" {
		client.ID = strings.ToLower(rand.Text())
	}
	if c.Bool("public") {
		client.Method = oauth2.None
	}
	if len(client.Grants) == 0 && (len(client.Serves) == 0 || len(client.RedirectURIs) > 0) {
		client.Grants = []string{oauth2.AuthorizationCode, oauth2.RefreshToken}
	}
	if file := c.String("keys"); file != "" {
		var err error
		if client.Keys, err = os.ReadFile(file); err != nil {
			return err
		}
	}
	if err := oauth2.CheckClient(client); err != nil {
		return err
	}
	secret := ""
	if client.Method == oauth2.SecretBasic || client.Method == oauth2.SecretPost {
		var err error
		if secret, client.Secret, err = oauth2.NewSecret(); err != nil {
			return err
		}
	}
	err := recorded(ctx, db, audit.Event{Kind: audit.ClientCreated, Client: client.ID}, "", func(ctx context.Context) error {
		return db.CreateClient(ctx, client)
	})
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("client %s already exists", client.ID)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "client_id %s\n", client.ID)
	if secret != "" {
		fmt.Fprintf(c.Root().Writer, "client_secret %s\n", secret)
	}
	return nil
}

func listClients(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tMETHOD\tGRANTS\tSCOPES\tREDIRECT URIS\tSERVES\tCREATED\tUSABLE")
	for after := ""; ; {
		list, err := db.ListClients(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, x := range list {
			after = x.ID
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(x.ID), printable(x.Name), x.Method, strings.Join(x.Grants, " "), strings.Join(x.Scopes, " "),
				strings.Join(x.RedirectURIs, " "), strings.Join(x.Serves, " "), when(x.Created), yesNo(!x.Disabled))
		}
		if len(list) < pageSize {
			return t.Flush()
		}
	}
}

// theClient returns the client that the command's argument names.
func theClient(ctx context.Context, c *cli.Command, db *gormstore.Store) (storage.Client, error) {
	id, err := oneArgument(c, "ID")
	if err != nil {
		return storage.Client{}, err
	}
	client, err := db.ClientByID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("client %q does not exist", id)
	}
	return client, err
}

func rotateSecret(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	client, err := theClient(ctx, c, db)
	if err != nil {
		return err
	}
	secret, digest, err := oauth2.NewSecret()
	if err != nil {
		return err
	}
	err = recorded(ctx, db, audit.Event{Kind: audit.ClientChanged, Client: client.ID}, "new secret", func(ctx context.Context) error {
		return storage.ChangeClient(ctx, db, client.ID, func(c *storage.Client) error {
			switch {
			case c.Public():
				return fmt.Errorf("client %s is public, so it has no secret", c.ID)
			case c.Method == oauth2.PrivateKeyJWT:
				return fmt.Errorf("client %s has keys, so it has no secret", c.ID)
			}
			c.Secret, c.Password = digest, ""
			return nil
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "client_secret %s\n", secret)
	fmt.Fprintf(c.Root().ErrWriter, "The old secret is revoked; tokens issued with it stay valid until they expire. If it leaked, revoke them: disable client %[1]s and enable it again.\n", printable(client.ID))
	return nil
}

func setClient(disabled bool) func(context.Context, *cli.Command, *gormstore.Store) error {
	return func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
		client, err := theClient(ctx, c, db)
		if err != nil {
			return err
		}
		e, detail := audit.Event{Kind: audit.ClientDisabled, Client: client.ID}, ""
		if !disabled {
			e.Kind, detail = audit.ClientChanged, "enabled"
		}
		err = recorded(ctx, db, e, detail, func(ctx context.Context) error { return db.SetClientDisabled(ctx, client.ID, disabled) })
		if err != nil {
			return err
		}
		text := "enabled client %s; users must grant it access again\n"
		if disabled {
			text = "disabled client %s; its tokens, grants and consents are revoked permanently\n"
		}
		fmt.Fprintf(c.Root().Writer, text, client.ID)
		return nil
	}
}

func deleteClient(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	client, err := theClient(ctx, c, db)
	if err != nil {
		return err
	}
	err = recorded(ctx, db, audit.Event{Kind: audit.ClientDisabled, Client: client.ID}, "deleted", func(ctx context.Context) error {
		return db.DeleteClient(ctx, client.ID)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "deleted client %s\n", client.ID)
	return nil
}
