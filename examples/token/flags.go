package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// flags is the command line.
type flags struct {
	addr, db, keyFile, loginRate string
	users                        []user
	published                    bool          // everybody knows the passwords of users
	demo                         bool          // add them to a database that was used before, too
	failureFloor                 time.Duration // password.Options.FailureFloor; tests need not wait
	bad                          error         // a -user that cannot be read
}

type user struct {
	name, password string
	roles          []string
}

func (f *flags) register(fs *flag.FlagSet) {
	f.users, f.published = []user{{name: "alice", password: "wonderland-42"}, {name: "bob", password: "bob-the-builder-42"}}, true
	fs.StringVar(&f.addr, "addr", "127.0.0.1:8080", "address to listen on, or unix:PATH; port 0 picks one")
	fs.StringVar(&f.db, "db", "", "sqlite:PATH, sqlite::memory: or postgres://… (default a temporary SQLite file)")
	fs.StringVar(&f.keyFile, "key", "", "file with the master key: 32 raw bytes or 64 hex digits (default PATH.key beside SQLite, created if absent; $VESTIBULE_KEY holds the hex digits)")
	fs.StringVar(&f.loginRate, "login-rate", "10/m", "tries of a stranger at one address at one account, as N/m; off: no limits, for tests")
	fs.BoolVar(&f.demo, "demo", false, "add the demo users, whose passwords are published, to an existing database too")
	fs.Func("user", "name:password[:role,…], added at start if absent; repeatable", func(s string) error {
		if f.published {
			f.users, f.published = nil, false
		}
		u, err := parseUser(s)
		f.users, f.bad = append(f.users, u), errors.Join(f.bad, err)
		return nil // package flag would print the password with an error
	})
}

func parseUser(s string) (user, error) {
	name, rest, ok := strings.Cut(s, ":")
	password, roles, _ := strings.Cut(rest, ":")
	if !ok || name == "" || password == "" {
		return user{}, errors.New("-user: must be name:password[:role,…]")
	}
	u := user{name: name, password: password}
	for role := range strings.SplitSeq(roles, ",") {
		if role != "" {
			u.roles = append(u.roles, role)
		}
	}
	return u, nil
}

// check returns what is wrong with the flags, without opening anything.
func (f *flags) check() error {
	_, err := f.rate()
	if f.db != "" {
		err = errors.Join(err, byurl.Check(f.db))
	}
	if path, unix := strings.CutPrefix(f.addr, "unix:"); unix && path == "" {
		err = errors.Join(err, errors.New("-addr: must be unix:PATH"))
	} else if !unix {
		_, port, bad := net.SplitHostPort(f.addr)
		if bad == nil {
			_, bad = net.LookupPort("tcp", port)
		}
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("-addr %q: must be host:port, such as 127.0.0.1:8080", f.addr))
		}
	}
	return errors.Join(f.bad, err)
}

func (f *flags) rate() (throttle.Rate, error) {
	rate, err := throttle.ParseRate(f.loginRate)
	if err == nil && !rate.IsOff() && rate.Window != time.Minute {
		err = fmt.Errorf("%q is not a number for each minute, such as 10/m, or off", f.loginRate)
	}
	if err != nil {
		return rate, fmt.Errorf("-login-rate: %w", err)
	}
	return rate, nil
}

// onLoopback reports whether cookies work over plain http.
func (f *flags) onLoopback() bool {
	host, _, err := net.SplitHostPort(f.addr)
	ip, bad := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || bad == nil && ip.IsLoopback())
}

// ring loads the master key. It creates one beside a SQLite file only: that is for a demo, and the
// log says so.
func (f *flags) ring() (*keys.Ring, error) {
	if f.keyFile != "" {
		if err := keys.CheckFile(f.keyFile); err != nil {
			slog.Warn("unsafe master key", "error", err)
		}
		return keys.Load(f.keyFile)
	}
	if env := os.Getenv("VESTIBULE_KEY"); env != "" {
		return keys.ParseHex(env)
	}
	if f.db == "sqlite::memory:" {
		slog.Warn("master key for this process created")
		return keys.NewRing(keys.Generate())
	}
	path, ok := byurl.SQLitePath(f.db)
	if !ok {
		return nil, errors.New("no master key (-key FILE or VESTIBULE_KEY; create one with: (umask 077; openssl rand -hex 32 > FILE))")
	}
	ring, created, err := keys.Create(path + ".key")
	if created {
		slog.Warn("master key created", "file", path+".key")
	}
	return ring, err
}

// addUsers registers the users that do not exist. Users with published passwords are added to a new
// database only, or with -demo: in another one, somebody may have deleted them.
func addUsers(ctx context.Context, db *gormstore.Store, passwords *password.Checker, f flags, isNew bool) error {
	for _, u := range f.users {
		name, err := username.Canonical(u.name)
		if err != nil {
			return fmt.Errorf("-user %q: %w", u.name, err)
		}
		switch _, err := db.UserByName(ctx, name); {
		case err == nil:
			continue
		case !errors.Is(err, storage.ErrNotFound):
			return err
		case f.published && !isNew && !f.demo:
			slog.Warn("demo user not added: existing database", "user", name, "flags", "-demo, -user")
			continue
		}
		_, err = passwords.Register(ctx, password.NewUser{Name: name, Email: name + "@example.com", Password: u.password, Roles: u.roles})
		if err != nil {
			if _, found := db.UserByName(ctx, name); found != nil { // else another server added it first
				return fmt.Errorf("-user %q: %w", u.name, err)
			}
		}
	}
	return nil
}
