// Command vestibule administers a Vestibule database: schema, users, tokens, signing keys and OAuth
// clients. It also checks the settings before a server starts.
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

// command returns the root command.
func command(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "vestibule",
		Usage: "administer a Vestibule database",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "db", Usage: "sqlite:PATH or postgres://…", Sources: cli.EnvVars("VESTIBULE_DB")},
			&cli.StringFlag{Name: "key", Usage: "file with the master key, or set VESTIBULE_KEY to the key (default: <sqlite path>.key)"},
		},
		Commands:       []*cli.Command{migrateCommand(), userCommand(), tokenCommand(), knoxCommand(), credentialCommand(), keysCommand(), clientCommand(), courierCommand(), pruneCommand(), checkCommand()},
		Version:        version(),
		Action:         unknownCommand,
		Reader:         stdin,
		Writer:         stdout,
		ErrWriter:      stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main prints it
	}
}

// version returns the module's version as recorded by the go command.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// unknownCommand runs if no subcommand of c has the given name.
func unknownCommand(_ context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	return fmt.Errorf("unknown command %q (see %s --help)", c.Args().First(), c.FullName())
}

// open opens the database given by -db.
func open(c *cli.Command) (*gormstore.Store, error) {
	url := c.String("db")
	if url == "" {
		return nil, errors.New("no database given (-db sqlite:PATH or -db postgres://…, or VESTIBULE_DB)")
	}
	if url == "sqlite::memory:" {
		return nil, errors.New("-db sqlite::memory: is not supported (it would be lost when the command exits)")
	}
	return byurl.Open(url, &gormstore.Options{UnusedClients: c.Duration(unusedClients)})
}

// openExisting is open for all commands except migrate. It does not create a database, so that a
// mistyped path is an error.
func openExisting(c *cli.Command) (*gormstore.Store, error) {
	if path, ok := byurl.SQLitePath(c.String("db")); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("no database: %w (create one with \"vestibule migrate\")", err)
		}
	}
	return open(c)
}

// withDB runs f with the database. The schema must be that of this program.
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
			return fmt.Errorf("database has schema version %d, this program requires %d (run \"vestibule migrate\")", have, want)
		}
		return f(ctx, c, db)
	}
}

// withAccounts is withDB for commands about accounts. They support only the table vestibule_users,
// and record it if no other account table is recorded.
func withAccounts(f func(context.Context, *cli.Command, *gormstore.Store) error) cli.ActionFunc {
	return withDB(func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
		if err := db.RecordSpace(ctx); err != nil {
			return err
		}
		return f(ctx, c, db)
	})
}

// keyFile returns the path of the master key file, or "" if the key does not come from a file.
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
	return nil, errors.New("no master key given (-key FILE or VESTIBULE_KEY)")
}

func checker(db *gormstore.Store) (*password.Checker, error) {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &password.Options{Canonical: username.Canonical})
}

// account returns the account that the command's argument names.
func account(ctx context.Context, c *cli.Command, db storage.Users) (storage.User, error) {
	name, err := oneArgument(c, "NAME")
	if err != nil {
		return storage.User{}, err
	}
	return accountOf(ctx, name, db)
}

// accountOf returns the account with that name.
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
		return "", fmt.Errorf("expected one argument, %s (put flags before it)", what)
	}
	return c.Args().First(), nil
}

func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	return nil
}
