// Package gormstore keeps everything in SQLite or PostgreSQL, through gorm.
//
// It imports gorm and no driver: packages gormstore/sqlite and gormstore/postgres
// open a database with gorm's drivers, and New takes any *gorm.DB of yours, so
// that a pure-Go SQLite serves CGO_ENABLED=0.
//
// The tables of the library are named vestibule_…; Migrate makes them. Times in
// them are microseconds since 1970, UTC. The accounts may be in a table of the
// application: see UserTable.
//
// The package is larger than others of this module, because one transaction spans every part: a new
// password, a disabled account or a deletion ends records of all of them at once.
package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/vestibule-auth/vestibule/storage"
)

// Options change a Store; nil is fine.
type Options struct {
	// Timeout bounds each call, so that a database which hangs gives an error and
	// not a hanging request; a transaction has twice as long. 0 is 2 seconds.
	Timeout time.Duration
	// Users maps the accounts onto a table of the application; nil is
	// vestibule_users.
	Users *UserTable
	// Space names the account table where a database has several: 1 to 32 of a-z, 0-9 and _.
	// "" is for a database with one table. Every subject of the store is SPACE:ID then, and
	// what belongs to another space is refused; see storage.Spaced. Migrate records which
	// table has which name, and a name is never given to another table. Use
	// [Store.NameSpace] to name a table that had none.
	Space string
	// Canonical is what brings a login name to its stored form, such as username.Canonical:
	// the same function as password.Options.Canonical. CheckSchema then also reads the whole
	// table and reports names that nobody can log in with. nil checks uniqueness only.
	Canonical func(string) (string, error)
	// Logger receives faults of the application's rows, at Error, with IDs and without
	// names. nil is slog.Default().
	Logger *slog.Logger
	// Ended, if not nil, is called in the transaction of each change that ends every credential
	// of a subject, so that rows of your own tables go with it: use DB(ctx) for your statements.
	Ended storage.EndedFunc
	// Tables are tables of your own in the same database, such as those of a scheme that is
	// not part of this library. CheckSchema reports those that lack a column.
	Tables []Table
	// UnusedClients is the age at which Prune removes OAuth 2.0 clients that registered themselves
	// and have no code, grant, consent, token or request; 0 is 30 days, storage.NoExpiry keeps them.
	// See storage.UnusedClientAge for which clients stay. Set NoExpiry if grants are in another store.
	UnusedClients time.Duration
	// Clock gives the microseconds of BumpEpoch and the times of claims. nil is the clock of the
	// PostgreSQL server, or time.Now with SQLite.
	Clock func() time.Time
	// Free returns how many bytes the database's file system has left. While they are fewer
	// than Reserve, records that anonymous callers cause (device grants, pushed requests,
	// registered clients, anonymous sessions) are refused with ErrReserve, so that logout and
	// revocation still fit. nil does not check; sqlite.Open sets it on Linux and macOS.
	Free func() (bytes int64, err error)
}

// Store implements the interfaces of package storage. It is safe for concurrent
// use.
type Store struct {
	db         *gorm.DB
	sql        *sql.DB
	dialect    dialect
	timeout    time.Duration
	now        func() time.Time // nil: the database's clock
	users      *userSQL
	q          queries
	owns       bool // Close closes the database
	canon      func(string) (string, error)
	logger     *slog.Logger
	opened     time.Time
	recorded   atomic.Bool  // the space's record was seen
	leastEpoch atomic.Int64 // what it says
	lastFault  atomic.Int64 // when a fault of data was logged, since opened
	short      shortLives
	free       func() (int64, error)
	ended      storage.EndedFunc
	tables     []Table
	unused     time.Duration // Options.UnusedClients
	writer     chan struct{} // SQLite has one writer: waiting here is fair, waiting there is not

	tokenByDigest, credentialByDigest, sessionByDigest, accessByDigest, signedAccess, standing, userStanding hot
}

var (
	_ storage.Complete = (*Store)(nil)
	_ storage.Spaced   = (*Store)(nil)
)

// New returns a store over an open database of the dialect "sqlite" or
// "postgres". It changes nothing in it; call Migrate, or run the files of
// Migrations with a tool of your own. Close of the store does not close db.
//
// With SQLite it opens a connection and returns an error, which names a DSN that is right, unless
// journal_mode is WAL, busy_timeout is above 0 and synchronous is not OFF. A database in memory
// needs SetMaxOpenConns(1).
func New(db *gorm.DB, opts *Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("gormstore: a nil database")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	d, err := dialectOf(db.Name())
	if err != nil {
		return nil, err
	}
	if _, running := db.Statement.ConnPool.(gorm.TxCommitter); running {
		return nil, errors.New("gormstore: want a database, not a running transaction")
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("gormstore: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("gormstore: timeout %v is below 0", o.Timeout)
	}
	if o.UnusedClients < 0 && o.UnusedClients != storage.NoExpiry {
		return nil, fmt.Errorf("gormstore: UnusedClients %v out of range (above 0, or storage.NoExpiry)", o.UnusedClients)
	}
	if o.Clock == nil && d == sqlite {
		o.Clock = time.Now
	}
	users, err := newUserSQL(d, o.Users, o.Space)
	if err != nil {
		return nil, err
	}
	if err := checkTables(o.Tables); err != nil {
		return nil, err
	}
	s := &Store{
		// gorm's own logger prints parameters; nothing here may be printed.
		db: unprepared(db, pool).Session(&gorm.Session{NewDB: true, Logger: logger.Discard}), sql: pool,
		dialect: d, timeout: o.Timeout, now: o.Clock, users: users, q: newQueries(d, users), free: o.Free,
		ended: o.Ended, tables: slices.Clone(o.Tables), unused: o.UnusedClients,
		canon: o.Canonical, logger: o.Logger, opened: time.Now(),
	}
	s.short.name()
	s.tokenByDigest.query, s.credentialByDigest.query, s.sessionByDigest.query = s.q.tokenByDigest, s.q.credentialByDigest, s.q.sessionByDigest
	s.accessByDigest.query = s.q.accessByDigest
	s.signedAccess.query = s.q.signedAccess
	s.standing.query, s.userStanding.query = s.q.standing, s.q.userStanding
	if d == sqlite {
		s.writer = make(chan struct{}, 1)
		if err := s.checkSQLite(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Own is New for who opened db for the store alone: Close closes db too.
func Own(db *gorm.DB, opts *Options) (*Store, error) {
	s, err := New(db, opts)
	if err == nil {
		s.owns = true
	}
	return s, err
}

// Config is how gorm should be opened for a Store: silent, since gorm's log shows
// parameters, and without a transaction around each statement.
func Config() *gorm.Config {
	return &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true}
}

// Close releases what the store prepared, and closes the database where the store
// owns it (Own, sqlite.Open, postgres.Open).
func (s *Store) Close() error {
	err := errors.Join(s.tokenByDigest.close(), s.credentialByDigest.close(), s.sessionByDigest.close(), s.accessByDigest.close(), s.signedAccess.close(), s.standing.close(), s.userStanding.close())
	if s.owns {
		err = errors.Join(err, s.sql.Close())
	}
	return err
}

// Ping asks the database whether it answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var one int
	return explain(s.pool(ctx).QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// dialect is which SQL is spoken.
type dialect uint8

const (
	sqlite dialect = iota
	postgres
)

func dialectOf(name string) (dialect, error) {
	switch name {
	case "sqlite":
		return sqlite, nil
	case "postgres":
		return postgres, nil
	}
	return 0, fmt.Errorf("gormstore: dialect %q: want sqlite or postgres", name)
}

// bind writes the placeholders of a query in the dialect's way.
func (d dialect) bind(query string) string {
	if d == sqlite {
		return query
	}
	var b strings.Builder
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		fmt.Fprintf(&b, "$%d", n)
	}
	return b.String()
}
