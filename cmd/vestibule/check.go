package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "report unsafe settings and schema drift (exit 1 if any)",
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			findings, warnings, err := check(ctx, c)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintln(c.Root().ErrWriter, "warning:", w)
			}
			for _, f := range findings {
				fmt.Fprintln(c.Root().Writer, "error:", f)
			}
			if n := len(findings); n > 0 {
				return fmt.Errorf("%d problems found", n)
			}
			fmt.Fprintln(c.Root().Writer, "no problems found")
			return nil
		},
	}
}

// check returns the problems found, and what is a problem only for some deployments. An error means that
// the check itself failed.
func check(ctx context.Context, c *cli.Command) (findings, warnings []string, err error) {
	db, err := openExisting(c)
	if err != nil {
		return nil, nil, err
	}
	defer db.Close()
	if err := db.Ping(ctx); err != nil {
		return nil, nil, err
	}
	sound := true
	if err := db.CheckSchema(ctx); err != nil {
		sound = false
		findings = append(findings, lines(elsewhere(err))...)
	}
	findings = append(findings, checkTransport(c.String("db"))...)
	findings = append(findings, checkFile(c.String("db"))...)
	if path := keyFile(c); path != "" {
		if err := keys.CheckFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // ring reports a missing file
			findings = append(findings, err.Error())
		}
	}
	r, err := ring(c)
	if err != nil {
		findings = append(findings, err.Error())
	} else if sound { // the tables exist
		more, err := checkKeys(ctx, db, r)
		if err != nil {
			return nil, nil, err
		}
		findings = append(findings, more...)
		live, opens, err := countKeys(ctx, c, db)
		if err != nil {
			return nil, nil, err
		}
		if live > opens {
			findings = append(findings, fmt.Sprintf("%d of %d signing keys are encrypted with master keys that are not in the key ring (see keys list; check that -key is the server's master key)", live-opens, live))
		}
	}
	if sound {
		if running, err := db.Replicas(ctx); err != nil {
			return nil, nil, err
		} else if err := db.CheckConnections(ctx, running); err != nil { // with the default pool; a pooler has limits of its own
			warnings = append(warnings, err.Error())
		}
	}
	return findings, warnings, nil
}

// lines splits joined errors.
func lines(err error) []string { return strings.Split(err.Error(), "\n") }

// checkTransport reports a PostgreSQL connection over a network without TLS.
func checkTransport(db string) []string {
	u, err := url.Parse(db)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil
	}
	q := u.Query()
	host := u.Hostname()
	if h := q.Get("host"); h != "" {
		host = h
	}
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback() {
		return nil
	}
	if mode := q.Get("sslmode"); !slices.Contains([]string{"require", "verify-ca", "verify-full"}, mode) {
		return []string{fmt.Sprintf("connection to %s may not use TLS (add sslmode=verify-full to -db)", host)}
	}
	return nil
}

// checkFile reports a SQLite file that other users can read.
func checkFile(db string) []string {
	path, ok := byurl.SQLitePath(db)
	if !ok {
		return nil
	}
	if err := keys.CheckFile(path); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// checkKeys reports tokens whose master key is not in the key ring. Such tokens are rejected.
func checkKeys(ctx context.Context, db *gormstore.Store, r *keys.Ring) ([]string, error) {
	ids := r.IDs()
	unknown := 0
	for after := ""; ; {
		list, err := db.ListStaticTokens(ctx, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			after = t.Subject
			if !slices.Contains(ids, t.KeyID) {
				unknown++
			}
		}
		if len(list) < pageSize {
			break
		}
	}
	if unknown == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("%d static tokens were derived from master keys that are not in the key ring, so they are rejected (check that -key is the server's master key)", unknown)}, nil
}
