// Package pgtest gives tests a real PostgreSQL.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// Hint says how to get a server.
const Hint = `PostgreSQL: set VESTIBULE_TEST_POSTGRES, or run "make test", which starts one`

// URL returns the URL of a new, empty database on the server that
// VESTIBULE_TEST_POSTGRES names, by a role that may create databases. It is
// dropped when the test ends. Without a server the test fails where CI is set,
// and is skipped elsewhere.
func URL(t testing.TB) string {
	t.Helper()
	server := named(t)
	name, u, err := create(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(server, name); err != nil {
			t.Error(err)
		}
	})
	return u
}

// named returns the URL of the server.
func named(t testing.TB) string {
	t.Helper()
	server := os.Getenv("VESTIBULE_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("CI") != "" {
			t.Fatal(Hint)
		}
		t.Skip(Hint)
	}
	return server
}

// create makes a database and returns its name and URL.
func create(server string) (name, database string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", "", errors.New("VESTIBULE_TEST_POSTGRES is no URL")
	}
	name = "t" + strings.ToLower(rand.Text())
	u.Path = "/" + name
	return name, u.String(), admin(server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
}

func drop(server, name string) error { return admin(server, "DROP DATABASE "+name+" WITH (FORCE)") }

func admin(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", server)
	if err == nil {
		_, err = db.ExecContext(ctx, statement)
		db.Close()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", Hint, err)
	}
	return nil
}
