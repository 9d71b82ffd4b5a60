// Package byurl opens a database by one text, as servers and tools take it from a
// flag. It brings both drivers; a program that knows its database imports
// gormstore/sqlite or gormstore/postgres instead.
package byurl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Open opens "sqlite:PATH", "sqlite::memory:" or "postgres://…". Errors are those
// of Check and of the driver.
func Open(url string, opts *gormstore.Options) (*gormstore.Store, error) {
	if err := Check(url); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return sqlite.Open(path, opts)
	}
	return postgres.Open(url, opts)
}

// Check reports a text that Open cannot understand, and touches nothing. The error
// never quotes the text, which may hold a password.
func Check(url string) error {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		switch {
		case path == "":
			return errors.New("byurl: sqlite: no path")
		case strings.HasPrefix(path, "//"):
			return errors.New("byurl: want sqlite:PATH, with no slashes before the path")
		}
		return nil
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return nil
	}
	kind, _, found := strings.Cut(url, ":")
	if !found || len(kind) > 20 {
		kind = "…"
	}
	return fmt.Errorf("byurl: want sqlite:PATH, sqlite::memory: or postgres://…, not %s:…", kind)
}

// SQLitePath returns the path of "sqlite:PATH", and false for anything else,
// sqlite::memory: included.
func SQLitePath(url string) (string, bool) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" || path == ":memory:" {
		return "", false
	}
	return path, true
}
