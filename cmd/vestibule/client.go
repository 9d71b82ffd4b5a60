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

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func clientCommand() *cli.Command {
	return &cli.Command{
		Name:   "client",
		Usage:  "register applications that act by OAuth 2.0",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "register a client and print its ID and, once, its secret",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "id", Usage: "the client_id; a random one where it is not given"},
					&cli.StringFlag{Name: "name", Usage: "what users are shown; needed", Required: true},
					&cli.BoolFlag{Name: "public", Usage: "it can keep no secret: a page or an app"},
					&cli.BoolFlag{Name: "native", Usage: "an app on the user's machine: any port of a loopback address, private schemes"},
					&cli.StringFlag{Name: "method", Usage: oauth2.SecretBasic + ", " + oauth2.SecretPost + " or " + oauth2.PrivateKeyJWT, Value: oauth2.SecretBasic},
					&cli.StringFlag{Name: "keys", Usage: "a file with the JWK Set of the client's public keys, for " + oauth2.PrivateKeyJWT},
					&cli.StringSliceFlag{Name: "redirect", Usage: "a redirect URI, exactly; repeatable"},
					&cli.StringSliceFlag{Name: "logout-redirect", Usage: "where a logout may send the browser, exactly; repeatable"},
					&cli.StringSliceFlag{Name: "grant", Usage: "a grant type; repeatable (default: authorization_code and refresh_token)"},
					&cli.StringSliceFlag{Name: "scope", Usage: "a scope that it may ask for, one that the server has; repeatable"},
					&cli.StringSliceFlag{Name: "default-scope", Usage: "one that it gets where it asks for none, else it gets none; repeatable"},
					&cli.StringSliceFlag{Name: "resource", Aliases: []string{"audience"}, Usage: "a resource that it may request tokens for; repeatable"},
					&cli.StringSliceFlag{Name: "resource-server", Usage: "a resource that it serves: it may introspect all its tokens; repeatable"},
					&cli.BoolFlag{Name: "trusted", Usage: "the application's own: users are not asked"},
				},
				Action: withDB(createClient),
			},
			{Name: "list", Usage: "list the clients; never a secret", Action: withDB(listClients)},
			{Name: "rotate-secret", Usage: "replace the secret, print it once; tokens stay (see disable)", ArgsUsage: "ID", Action: withDB(rotateSecret)},
			{Name: "disable", Usage: "disable a client; revoke its tokens and grants for good", ArgsUsage: "ID", Action: withDB(setClient(true))},
			{Name: "enable", Usage: "enable a client again, without its earlier tokens", ArgsUsage: "ID", Action: withDB(setClient(false))},
			{Name: "delete", Usage: "remove the client with all its grants and tokens", ArgsUsage: "ID", Action: withDB(deleteClient)},
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
	if err := db.CreateClient(ctx, client); errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("there is a client %s already", client.ID)
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
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%t\n", printable(x.ID), printable(x.Name), x.Method, strings.Join(x.Grants, " "), strings.Join(x.Scopes, " "),
				strings.Join(x.RedirectURIs, " "), strings.Join(x.Serves, " "), when(x.Created), !x.Disabled)
		}
		if len(list) < pageSize {
			return t.Flush()
		}
	}
}

// theClient finds the client that the command's first argument names.
func theClient(ctx context.Context, c *cli.Command, db *gormstore.Store) (storage.Client, error) {
	id, err := oneArgument(c, "a client ID")
	if err != nil {
		return storage.Client{}, err
	}
	client, err := db.ClientByID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("there is no client %q", id)
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
	err = storage.ChangeClient(ctx, db, client.ID, func(c *storage.Client) error {
		switch {
		case c.Public():
			return fmt.Errorf("client %s is public: it has no secret", c.ID)
		case c.Method == oauth2.PrivateKeyJWT:
			return fmt.Errorf("client %s has keys: it has no secret", c.ID)
		}
		c.Secret, c.Password = digest, ""
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "client_secret %s\n", secret)
	fmt.Fprintf(c.Root().ErrWriter, "The former secret is revoked; tokens issued with it stay valid until they expire. If it leaked, revoke them: disable client %[1]s and enable it again.\n", printable(client.ID))
	return nil
}

func setClient(disabled bool) func(context.Context, *cli.Command, *gormstore.Store) error {
	return func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
		client, err := theClient(ctx, c, db)
		if err != nil {
			return err
		}
		if err := db.SetClientDisabled(ctx, client.ID, disabled); err != nil {
			return err
		}
		text := "enabled client %s; users must grant it access again\n"
		if disabled {
			text = "disabled client %s; its tokens, grants and consents are revoked for good\n"
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
	if err := db.DeleteClient(ctx, client.ID); err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "deleted client %s\n", client.ID)
	return nil
}
