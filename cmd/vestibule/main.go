// Command vestibule administers a Vestibule database: schema, users, tokens, signing keys, OAuth clients, and
// a check of the settings before a server starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(os.Stdin, os.Stdout, os.Stderr).Run(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "vestibule:", err)
		stop()
		os.Exit(1)
	}
}

// command is the whole program.
func command(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "vestibule",
		Usage: "administer a Vestibule database",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "db", Usage: "sqlite:PATH or postgres://…", Sources: cli.EnvVars("VESTIBULE_DB")},
			&cli.StringFlag{Name: "key", Usage: "file with the master key; $VESTIBULE_KEY holds the key itself (default <sqlite path>.key)"},
		},
		Commands:       []*cli.Command{migrateCommand(), userCommand(), tokenCommand(), knoxCommand(), credentialCommand(), keysCommand(), clientCommand(), pruneCommand(), checkCommand()},
		Version:        version(),
		Action:         unknownCommand,
		Reader:         stdin,
		Writer:         stdout,
		ErrWriter:      stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main prints it
	}
}

// version is that of the module, as the go command recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// unknownCommand is run where no command of c has the name that was given.
func unknownCommand(_ context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	return fmt.Errorf("there is no command %q; see: %s --help", c.Args().First(), c.FullName())
}

// open opens the database that -db names.
func open(c *cli.Command) (*gormstore.Store, error) {
	url := c.String("db")
	if url == "" {
		return nil, errors.New("which database? Give -db sqlite:PATH or -db postgres://…, or set VESTIBULE_DB")
	}
	if url == "sqlite::memory:" {
		return nil, errors.New("-db sqlite::memory: would be empty and gone again")
	}
	return byurl.Open(url, &gormstore.Options{UnusedClients: c.Duration(unusedClients)})
}

// openExisting is open for every command but migrate: a misspelled path must not
// make an empty database.
func openExisting(c *cli.Command) (*gormstore.Store, error) {
	if path, ok := byurl.SQLitePath(c.String("db")); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("no database: %w; vestibule migrate makes one", err)
		}
	}
	return open(c)
}

// withDB runs f with the database, whose schema must be the one of this program.
func withDB(f func(context.Context, *cli.Command, *gormstore.Store) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		db, err := openExisting(c)
		if err != nil {
			return err
		}
		defer db.Close()
		have, want, err := db.Schema(ctx)
		if err != nil {
			return err
		}
		if have != want {
			return fmt.Errorf("the database has schema version %d, this program wants %d; run: vestibule migrate", have, want)
		}
		return f(ctx, c, db)
	}
}

// withAccounts is withDB for commands about accounts. They know the table vestibule_users alone,
// and record it where no other one is recorded.
func withAccounts(f func(context.Context, *cli.Command, *gormstore.Store) error) cli.ActionFunc {
	return withDB(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
		if err := db.RecordSpace(ctx); err != nil {
			return err
		}
		return f(ctx, c, db)
	})
}

// keyFile is the file with the master key, "" where the key comes otherwise.
func keyFile(c *cli.Command) string {
	if path := c.String("key"); path != "" {
		return path
	}
	if path, ok := byurl.SQLitePath(c.String("db")); ok && os.Getenv("VESTIBULE_KEY") == "" {
		return path + ".key"
	}
	return ""
}

// ring loads the master key.
func ring(c *cli.Command) (*keys.Ring, error) {
	if path := keyFile(c); path != "" {
		return keys.Load(path)
	}
	if text := os.Getenv("VESTIBULE_KEY"); text != "" {
		return keys.ParseHex(text)
	}
	return nil, errors.New("a master key is needed: -key FILE or VESTIBULE_KEY")
}

func checker(db *gormstore.Store) (*password.Checker, error) {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &password.Options{Canonical: username.Canonical})
}

// account finds the account that the command's first argument names.
func account(ctx context.Context, c *cli.Command, db storage.Users) (storage.User, error) {
	name, err := oneArgument(c, "a user name")
	if err != nil {
		return storage.User{}, err
	}
	return accountOf(ctx, name, db)
}

// accountOf finds the account of that name.
func accountOf(ctx context.Context, name string, db storage.Users) (storage.User, error) {
	canonical, err := username.Canonical(name)
	if err != nil {
		return storage.User{}, err
	}
	u, err := db.UserByName(ctx, canonical)
	if errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("user %q does not exist", canonical)
	}
	return u, err
}

func oneArgument(c *cli.Command, what string) (string, error) {
	if c.Args().Len() != 1 {
		return "", fmt.Errorf("want %s, once; flags stand before it", what)
	}
	return c.Args().First(), nil
}

func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	return nil
}

func migrateCommand() *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "bring the database to the schema of this program",
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			db, err := open(c)
			if err != nil {
				return err
			}
			defer db.Close()
			// The account table is recorded by the server, or by the first command about accounts.
			if err := db.MigrateSchema(ctx); err != nil {
				return err
			}
			have, _, err := db.Schema(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.Root().Writer, "schema version %d\n", have)
			return nil
		},
	}
}
