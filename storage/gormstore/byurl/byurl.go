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

// Open opens "sqlite:PATH", "sqlite::memory:" or "postgres://…". The error never
// quotes the text, which may hold a password.
func Open(url string, opts *gormstore.Options) (*gormstore.Store, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if path == "" {
			return nil, errors.New("byurl: sqlite: no path")
		}
		return sqlite.Open(path, opts)
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return postgres.Open(url, opts)
	}
	kind, _, found := strings.Cut(url, ":")
	if !found || len(kind) > 20 {
		kind = "…"
	}
	return nil, fmt.Errorf("byurl: want sqlite:PATH, sqlite::memory: or postgres://…, not %s:…", kind)
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
