// Package byurl opens a database by a URL, as servers and tools receive it in a flag. It imports
// both drivers. If your program uses only one database, import gormstore/sqlite or
// gormstore/postgres instead.
package byurl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Open opens "sqlite:PATH", "sqlite::memory:" or "postgres://…". It returns the errors of [Check]
// and of the driver.
func Open(url string, opts *gormstore.Options) (*gormstore.Store, error) {
	if err := Check(url); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return sqlite.Open(path, opts)
	}
	return postgres.Open(url, opts)
}

// Check returns an error if Open does not accept url. It opens nothing. The error never quotes url,
// which may contain a password.
func Check(url string) error {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		switch {
		case path == "":
			return errors.New("byurl: sqlite: empty path (sqlite:PATH)")
		case strings.HasPrefix(path, "//"):
			return errors.New("byurl: sqlite: path begins with // (sqlite:PATH)")
		}
		return nil
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return nil
	}
	kind, _, found := strings.Cut(url, ":")
	if !found {
		return errors.New("byurl: the URL does not begin with a scheme (sqlite:PATH, sqlite::memory: or postgres://…)")
	}
	if len(kind) > 20 {
		kind = "…"
	}
	return fmt.Errorf("byurl: unknown URL %s:… (sqlite:PATH, sqlite::memory: or postgres://…)", kind)
}

// SQLitePath returns the path of "sqlite:PATH", and false for any other URL, including
// sqlite::memory:.
func SQLitePath(url string) (string, bool) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" || path == ":memory:" {
		return "", false
	}
	return path, true
}
