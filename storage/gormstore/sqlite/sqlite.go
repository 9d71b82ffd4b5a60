// Package sqlite opens a SQLite file for package gormstore, with gorm's driver. Call [Open], then
// Migrate of the store. The driver uses cgo, so it requires a C compiler. For CGO_ENABLED=0 pass a
// *gorm.DB with a pure-Go driver to gormstore.New.
package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	driver "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Open opens the file at path. If it does not exist, Open creates it with mode 0600. The path
// ":memory:" means an in-memory database, which is deleted by Close.
//
// Settings:
//
//   - The file is in WAL mode, so SQLite creates two more files next to it. Do not put it on a
//     network file system.
//   - Each commit is written to disk before it is acknowledged (synchronous=FULL). Foreign keys are
//     on.
//   - A writer waits for the lock of another process for 90 % of the store's timeout.
//   - While less than 64 MiB are free on the file system, records that anonymous callers cause are
//     rejected (gormstore.Options.Free).
//
// A file that the user can only read is opened read-only; every change returns an error.
func Open(path string, opts *gormstore.Options) (*gormstore.Store, error) {
	if path == "" {
		return nil, errors.New("sqlite: Open: empty path")
	}
	db, err := open(path, busyTimeout(opts))
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	var o gormstore.Options
	if opts != nil {
		o = *opts
	}
	if o.Free == nil && path != ":memory:" {
		o.Free = freeOf(path)
	}
	s, err := gormstore.Own(db, &o)
	if err != nil {
		pool, _ := db.DB()
		return nil, errors.Join(err, pool.Close())
	}
	return s, nil
}

func open(path string, busy time.Duration) (*gorm.DB, error) {
	if path == ":memory:" {
		return openMemory(busy)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	readOnly := errors.Is(err, fs.ErrPermission)
	if readOnly {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if trimmed := strings.TrimLeft(path, "/"); len(path)-len(trimmed) > 1 {
		path = "/" + trimmed // two slashes after "file:" would begin a host name
	}
	settings := settings(busy)
	if settings.Set("_journal_mode", "WAL"); readOnly {
		settings.Del("_journal_mode")
		settings.Set("mode", "ro")
	}
	db, err := gorm.Open(driver.Open("file:"+(&url.URL{Path: path}).EscapedPath()+"?"+settings.Encode()), gormstore.Config())
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return db, nil
}

// connections is the maximum number of concurrent readers. Each has its own cache.
const connections = 4

func busyTimeout(opts *gormstore.Options) time.Duration {
	timeout := 2 * time.Second
	if opts != nil && opts.Timeout > 0 {
		timeout = opts.Timeout
	}
	return timeout * 9 / 10
}

func settings(busy time.Duration) url.Values {
	return url.Values{
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_foreign_keys": {"on"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
		"_cache_size":   {"-65536"}, // up to 64 MiB per connection, allocated when needed
	}
}
