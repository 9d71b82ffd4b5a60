// Package sqlite opens a SQLite file for package gormstore, with gorm's driver.
// That driver is cgo: it needs gcc. For CGO_ENABLED=0 give gormstore.New a
// *gorm.DB of a driver in pure Go.
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

// Open opens the file at path, and makes an empty one with mode 0600 where there
// is none. ":memory:" is a database in memory that ends with Close.
//
// The file is in WAL mode; each commit is on the disk before it is acknowledged
// (synchronous=FULL); foreign keys are on; a writer waits for another process's
// lock for somewhat less than the store's timeout. While less than 64 MiB are free on the file
// system, records that anonymous callers cause are refused (gormstore.Options.Free). Journal and
// index files lie beside it, so it does not belong on a network file system. A file that this
// user may only read is opened read-only: what is there is read, every change is an error.
func Open(path string, opts *gormstore.Options) (*gormstore.Store, error) {
	if path == "" {
		return nil, errors.New("sqlite: no path")
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
		path = "/" + trimmed // after "file:", two slashes begin the name of a host
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

// connections is how many readers work at once; each has a cache of its own.
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
		"_cache_size":   {"-65536"}, // KiB for each connection, as they are needed
	}
}
