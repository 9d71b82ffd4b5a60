// Package gormstore implements every interface of package storage in SQLite or PostgreSQL, through
// gorm. Open a store with package gormstore/sqlite or gormstore/postgres, which include gorm's
// drivers. Or pass your own *gorm.DB to [New], for example with a pure-Go SQLite driver for
// CGO_ENABLED=0. Call [Store.Migrate] before first use.
//
// The tables of the library are named vestibule_…. They hold times as microseconds since 1970, UTC.
// The accounts can be in a table of the application; see [UserTable].
//
// The package is larger than others of this module because a transaction spans all records of a
// subject. A new password, disabling an account, or deleting it revokes records of every kind in
// one transaction.
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

	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options configure a [Store]. A nil *Options means all defaults.
type Options struct {
	// Timeout limits each call, so that a request fails with an error if the database hangs. A
	// transaction can take twice this time. 0 means 2 seconds.
	Timeout time.Duration
	// Users maps the accounts to a table of the application. Nil means the table vestibule_users.
	Users *UserTable
	// Space is the name space of the account table, if the database has several account tables: 1
	// to 32 characters of a-z, 0-9 and _. "" means that there is only one. Every subject of a store
	// with a space has the form SPACE:ID, and subjects of other spaces are rejected; see
	// storage.Spaced. Migrate records which table has which name, and a name is never given to
	// another table. To name a table that had no name, use [Store.NameSpace].
	Space string
	// Canonical returns the normal form of a login name, such as username.Canonical. Set the same
	// function as password.Options.Canonical. CheckSchema then also reads the whole table and
	// reports names with which nobody can log in. If Canonical is nil, CheckSchema checks only that
	// names are unique.
	Canonical func(string) (string, error)
	// Logger receives errors in the application's rows, at Error, with IDs but without names. Nil
	// means slog.Default().
	Logger *slog.Logger
	// Ended is called in the transaction of each change that revokes every credential of a subject,
	// so that you can delete rows of your own tables. Use DB(ctx) for your statements. Nil means no
	// hook.
	Ended storage.EndedFunc
	// Tables are your own tables in the same database, such as the tables of your own scheme.
	// CheckSchema reports missing tables and columns.
	Tables []Table
	// UnusedClients is the age at which Prune removes OAuth 2.0 clients that registered themselves
	// and have no code, grant, consent, token or request. 0 means 30 days; storage.NoExpiry keeps
	// all clients. See storage.UnusedClientAge for the exceptions. Set NoExpiry if grants are in
	// another store.
	UnusedClients time.Duration
	// Sink receives each statement, the messages of couriers, pruned rows and the number of replicas,
	// for metrics and traces. Nil means none.
	Sink *observe.Sink
	// Clock returns the current time, for epochs, claims and pruning. Nil means the clock of the
	// PostgreSQL server, or time.Now with SQLite.
	Clock func() time.Time
	// Free returns the free bytes on the database's file system. If there are fewer than [Reserve],
	// records that anonymous callers cause are rejected with [ErrReserve], so that logout and
	// revocation still have space. These are device grants, pushed requests, registered clients and
	// anonymous sessions. Nil disables the check; sqlite.Open sets it on Linux and macOS.
	Free func() (bytes int64, err error)
	// ServerChanges returns how often a new connection has led to a different PostgreSQL server
	// than the previous connection. Couriers then check again that they follow the right server.
	// postgres.Open sets it. Nil means that this is unknown; a courier then assumes a change every
	// five seconds.
	ServerChanges func() uint64
}

// Store implements every interface of package storage. It is safe for concurrent use. Call Close
// when you no longer need it.
type Store struct {
	db         *gorm.DB
	sql        *sql.DB
	dialect    dialect
	timeout    time.Duration
	now        func() time.Time // nil means the database's clock
	users      *userSQL
	q          queries
	owns       bool // Close closes the database
	canon      func(string) (string, error)
	logger     *slog.Logger
	opened     time.Time
	recorded   atomic.Bool   // the record of the space was found
	advisory   atomic.Int32  // what hasAdvisory found
	noAdvisory bool          // for tests: the database has no advisory locks
	migrating  func(string)  // for tests: called before each statement of a migration; nil
	replicas   atomic.Int64  // processes at the last announcement; 0: not known
	lastFault  atomic.Int64  // time since opened of the last logged data error
	prunes     atomic.Uint32 // calls of Prune
	short      shortLives
	free       func() (int64, error)
	ended      storage.EndedFunc
	tables     []Table
	unused     time.Duration // Options.UnusedClients
	servers    func() uint64 // Options.ServerChanges
	sink       *observe.Sink // nil: none
	writer     chan struct{} // serializes SQLite writers; waiting here is fair, unlike in SQLite

	tokenByDigest, credentialByDigest, sessionByDigest, accessByDigest, signedAccess, standing, userStanding, userByID, clientByID, linkOf hot
}

var (
	_ storage.Complete = (*Store)(nil)
	_ storage.Spaced   = (*Store)(nil)
)

// New returns a store over an open database of the dialect "sqlite" or "postgres". It does not
// change the database. Call Migrate, or run the files of [Migrations] with your own tool. Closing
// the store does not close db; use [Own] for that.
//
// With SQLite, New opens a connection and checks its settings. It requires journal_mode WAL, a
// busy_timeout above 0, and any value of synchronous except OFF. The error contains a valid DSN. An
// in-memory database requires SetMaxOpenConns(1).
func New(db *gorm.DB, opts *Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("gormstore: New: db is required")
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
		return nil, errors.New("gormstore: New: db is a running transaction (pass the database)")
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("gormstore: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("gormstore: New: Timeout %v is negative (at least 0)", o.Timeout)
	}
	if o.UnusedClients < 0 && o.UnusedClients != storage.NoExpiry {
		return nil, fmt.Errorf("gormstore: New: UnusedClients %v out of range (at least 0, or storage.NoExpiry)", o.UnusedClients)
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
		// gorm's own logger prints parameters, which may be secrets.
		db: unprepared(db, pool).Session(&gorm.Session{NewDB: true, Logger: logger.Discard}), sql: pool,
		dialect: d, timeout: o.Timeout, now: o.Clock, users: users, q: newQueries(d, users), free: o.Free,
		ended: o.Ended, tables: slices.Clone(o.Tables), unused: o.UnusedClients,
		canon: o.Canonical, logger: o.Logger, opened: time.Now(), servers: o.ServerChanges, sink: o.Sink,
	}
	s.short.name()
	s.q.block = newBlock(d, o.Clock != nil)
	for h, query := range map[*hot]string{
		&s.tokenByDigest: s.q.tokenByDigest, &s.credentialByDigest: s.q.credentialByDigest, &s.sessionByDigest: s.q.sessionByDigest,
		&s.accessByDigest: s.q.accessByDigest, &s.signedAccess: s.q.signedAccess, &s.standing: s.q.standing, &s.userStanding: s.q.userStanding, &s.userByID: s.q.userByID,
		&s.clientByID: d.bind(clientByID), &s.linkOf: s.q.linkOf,
	} {
		h.query = d.ofPrimary(query)
	}
	if d == sqlite {
		s.writer = make(chan struct{}, 1)
		if err := s.checkSQLite(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Own is [New] for a db that was opened for the store: closing the store closes db, too.
func Own(db *gorm.DB, opts *Options) (*Store, error) {
	s, err := New(db, opts)
	if err == nil {
		s.owns = true
	}
	return s, err
}

// Config returns the gorm configuration for a Store: without logging, because gorm's log shows
// parameters, and without a transaction around each statement.
func Config() *gorm.Config {
	return &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true}
}

// Close closes prepared statements, and the database if the store owns it ([Own], sqlite.Open,
// postgres.Open).
func (s *Store) Close() error {
	err := errors.Join(s.tokenByDigest.close(), s.credentialByDigest.close(), s.sessionByDigest.close(), s.accessByDigest.close(), s.signedAccess.close(), s.standing.close(), s.userStanding.close(), s.userByID.close(), s.clientByID.close(), s.linkOf.close())
	if s.owns {
		err = errors.Join(err, s.sql.Close())
	}
	return err
}

// Ping runs a query to check that the database is available.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var one int
	return explain(s.pool(ctx).QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// dialect is the SQL dialect.
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
	return 0, fmt.Errorf("gormstore: unknown dialect %q (sqlite or postgres)", name)
}

// bind replaces the placeholders ? in a query with those of the dialect.
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
