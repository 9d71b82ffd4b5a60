package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func userCommand() *cli.Command {
	return &cli.Command{
		Name:   "user",
		Usage:  "create, change, delete and list accounts",
		Action: unknownCommand,
		Commands: []*cli.Command{
			{
				Name: "create", Usage: "create an account (reads the password from stdin)", ArgsUsage: "NAME",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "email", Usage: "e-mail address"},
					&cli.StringSliceFlag{Name: "role", Usage: "role, such as admin (repeatable)"},
				},
				Action: withAccounts(createUser),
			},
			{Name: "passwd", Usage: "set a password (reads stdin) and revoke all credentials", ArgsUsage: "NAME", Action: withAccounts(setPassword)},
			{Name: "disable", Usage: "disable an account and revoke all its credentials", ArgsUsage: "NAME", Action: withAccounts(setActive(false))},
			{Name: "enable", Usage: "enable an account", ArgsUsage: "NAME", Action: withAccounts(setActive(true))},
			{
				Name: "logout-everywhere", Usage: "revoke all credentials of an account, or of all accounts", ArgsUsage: "NAME",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "all", Usage: "all accounts, instead of NAME"},
					&cli.StringFlag{Name: "before", Usage: "with -all: continue the run that began at this time (RFC 3339)"},
				},
				Action: withAccounts(logoutEverywhere),
			},
			{
				Name: "roles", Usage: "print or replace the roles of an account", ArgsUsage: "NAME [ROLE...]",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "clear", Usage: "remove all roles"}}, Action: withAccounts(userRoles),
			},
			{
				Name: "delete", Usage: "delete an account and everything that it has", ArgsUsage: "NAME",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "yes", Usage: "confirm the deletion (required)"}}, Action: withAccounts(deleteUser),
			},
			{Name: "list", Usage: "list accounts", Action: withAccounts(listUsers)},
		},
	}
}

func createUser(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	name, err := oneArgument(c, "NAME")
	if err != nil {
		return err
	}
	passwords, secret, err := newPassword(c, db)
	if err != nil {
		return err
	}
	u, err := passwords.Register(ctx, password.NewUser{
		Name: name, Email: c.String("email"), Password: secret, Roles: c.StringSlice("role"),
	}, func(ctx context.Context, u storage.User) error { // in the transaction that creates the account
		return recorded(ctx, db, audit.Event{Kind: audit.AccountCreated, Subject: u.ID}, "", func(context.Context) error { return nil })
	})
	if err != nil {
		return sentence(err)
	}
	fmt.Fprintf(c.Root().Writer, "created user %s\n", u.Name)
	return nil
}

// newPassword reads a password and returns it with the checker that stores it.
func newPassword(c *cli.Command, db *gormstore.Store) (*password.Checker, string, error) {
	passwords, err := checker(db)
	if err != nil {
		return nil, "", err
	}
	secret, err := readPassword(c)
	return passwords, secret, err
}

// ended describes what happens to an account's credentials.
func ended(ctx context.Context, db *gormstore.Store) string {
	return "its tokens and sessions are revoked (" + follow(ctx, db) + ")"
}

// follow describes when servers with a cache (package storage/cached) notice a change of this process.
func follow(ctx context.Context, db *gormstore.Store) string {
	if name, err := db.Courier(ctx); err == nil && name != gormstore.CourierNone {
		return "servers with a cache follow within " + bus.Bound.String()
	}
	return "servers with a cache follow within its TTL"
}

// logoutEverywhere revokes the credentials of every scheme, of one account or of all.
func logoutEverywhere(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if c.Bool("all") {
		return logoutAll(ctx, c, db)
	}
	if c.String("before") != "" {
		return errors.New("-before requires -all")
	}
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	record, err := newRecorder(db)
	if err != nil {
		return err
	}
	out, err := storage.LogoutEverywhere(ctx, recordedLogouts{db, record}, u.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "logged out user %s everywhere; %s\n", u.Name, ended(ctx, db))
	if out.Uncleaned != nil {
		fmt.Fprintf(c.Root().ErrWriter, "records of revoked credentials remain: %v\n", out.Uncleaned)
	}
	return nil
}

func setPassword(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	passwords, secret, err := newPassword(c, db)
	if err != nil {
		return err
	}
	hash, err := passwords.NewOwnerHash(ctx, u, secret)
	if err != nil {
		return sentence(err)
	}
	err = recorded(ctx, db, audit.Event{Kind: audit.PasswordChanged, Subject: u.ID}, "", func(ctx context.Context) error {
		return db.SetPassword(ctx, u.ID, hash)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "set the password of user %s; %s\n", u.Name, ended(ctx, db))
	return nil
}

func setActive(active bool) func(context.Context, *cli.Command, *gormstore.Store) error {
	return func(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
		u, err := account(ctx, c, db)
		if err != nil {
			return err
		}
		kind := audit.AccountDisabled
		if active {
			kind = audit.AccountEnabled
		}
		err = recorded(ctx, db, audit.Event{Kind: kind, Subject: u.ID}, "", func(ctx context.Context) error {
			return db.SetActive(ctx, u.ID, active)
		})
		if err != nil {
			return err
		}
		if active {
			fmt.Fprintf(c.Root().Writer, "enabled user %s\n", u.Name)
		} else {
			fmt.Fprintf(c.Root().Writer, "disabled user %s; %s\n", u.Name, ended(ctx, db))
		}
		return nil
	}
}

// userRoles prints the roles of the account, one per line, or replaces them.
func userRoles(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if !c.Args().Present() {
		return errors.New("expected NAME [ROLE...] (put flags before NAME)")
	}
	roles, remove := c.Args().Tail(), c.Bool("clear")
	if remove && len(roles) > 0 {
		return errors.New("both -clear and roles are given (at most one)")
	}
	u, err := accountOf(ctx, c.Args().First(), db)
	if err != nil {
		return err
	}
	if !remove && len(roles) == 0 {
		for _, role := range u.Roles {
			fmt.Fprintln(c.Root().Writer, printable(role))
		}
		return nil
	}
	err = recorded(ctx, db, audit.Event{Kind: audit.AccountChanged, Subject: u.ID}, "roles", func(ctx context.Context) error {
		return db.SetRoles(ctx, u.ID, roles...)
	})
	if err != nil {
		return err
	}
	if remove {
		fmt.Fprintf(c.Root().Writer, "removed the roles of user %s; %s\n", u.Name, follow(ctx, db))
	} else {
		fmt.Fprintf(c.Root().Writer, "set the roles of user %s to %s; %s\n", u.Name, printable(strings.Join(roles, ",")), follow(ctx, db))
	}
	return nil
}

func deleteUser(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	u, err := account(ctx, c, db)
	if err != nil {
		return err
	}
	if !c.Bool("yes") {
		return fmt.Errorf("deleting user %s is permanent (confirm with -yes before the name, or disable the account)", u.Name)
	}
	err = recorded(ctx, db, audit.Event{Kind: audit.AccountDeleted, Subject: u.ID}, "", func(ctx context.Context) error {
		return db.DeleteUser(ctx, u.ID)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "deleted user %s; %s\n", u.Name, ended(ctx, db))
	return nil
}

const pageSize = 500

func listUsers(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.Root().Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tACTIVE\tROLES\tEMAIL\tID")
	for after := ""; ; {
		users, err := db.ListUsers(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, u := range users {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", u.Name, yesNo(u.Active), printable(strings.Join(u.Roles, ",")), printable(u.Email), u.ID)
			after = u.Name
		}
		if len(users) < pageSize {
			return t.Flush()
		}
	}
}

// yesNo is how tables show what is true or false.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// printable replaces control characters, so that stored text cannot control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// readPassword reads one line, without echo if the input is a terminal.
func readPassword(c *cli.Command) (string, error) {
	if f, ok := c.Root().Reader.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.Root().ErrWriter, "Password: ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.Root().ErrWriter)
		return string(b), err
	}
	line, err := bufio.NewReader(io.LimitReader(c.Root().Reader, 64<<10)).ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		return "", errors.New("no password on standard input")
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// sentence returns the text of an error that is meant for a form.
func sentence(err error) error {
	var e *authn.Error
	if !errors.As(err, &e) {
		return err
	}
	var s []string
	if e.Detail != "" {
		s = append(s, e.Detail)
	}
	for _, m := range e.Members {
		if list, ok := m.Value.([]string); ok {
			s = append(s, m.Name+": "+strings.Join(list, " "))
		}
	}
	return errors.New(strings.Join(s, " "))
}
