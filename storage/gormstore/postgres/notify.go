package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// NotifyOptions configure [NewNotify]. A nil *NotifyOptions means all defaults.
type NotifyOptions struct {
	// ListenURL is the URL of the PostgreSQL server itself. Set it if the store's connections go
	// through a pooler, because messages do not pass a pooler. It must lead to the same database.
	// "" means the URL of the store.
	ListenURL string
	// Replica describes this process to the others.
	Replica gormstore.ReplicaOptions
}

// Notify is the courier "notify": it receives messages with PostgreSQL's LISTEN and NOTIFY, on a
// connection of its own. Use it with up to about 10 processes and 200 revocations per second; beyond
// that, or if no direct connection is possible, use gormstore.NewOutbox. It implements [bus.Courier].
type Notify struct {
	*gormstore.Presence
	s    *gormstore.Store
	pool *sql.DB
	url  string
}

var (
	_ bus.Courier   = (*Notify)(nil)
	_ bus.Announcer = (*Notify)(nil)
)

// NewNotify returns the courier of a store on PostgreSQL, for cached.Options.Courier. It sets the
// database to this courier if it has none. It does not connect to ListenURL yet. Run of the cache
// connects, and reconnects after failures.
//
// It returns gormstore.ErrCourier if the database has another courier, if a trigger is missing, or
// with SQLite. The store must have been opened by this package, or with pgx's database/sql driver, or
// ListenURL must be set.
func NewNotify(ctx context.Context, s *gormstore.Store, opts *NotifyOptions) (*Notify, error) {
	if s == nil {
		return nil, errors.New("postgres: NewNotify: store is required")
	}
	var o NotifyOptions
	if opts != nil {
		o = *opts
	}
	if err := s.UseCourier(ctx, gormstore.CourierNotify); err != nil {
		return nil, err
	}
	pool, err := s.DB(ctx).DB()
	if err != nil {
		return nil, fmt.Errorf("postgres: NewNotify: %w", err)
	}
	n := &Notify{Presence: s.Presence(gormstore.CourierNotify, o.Replica), s: s, pool: pool, url: o.ListenURL}
	if _, err := n.config(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// Delivers implements [bus.Courier].
func (n *Notify) Delivers(store any) bool { return n.s.IsBehind(store) }

// config returns the configuration of the connection for messages.
func (n *Notify) config(ctx context.Context) (*pgconn.Config, error) {
	if n.url != "" {
		cfg, err := pgx.ParseConfig(n.url) // knows more parameters than pgconn
		if err != nil {
			return nil, fmt.Errorf("postgres: ListenURL: %w", err)
		}
		toPrimary(n.url, &cfg.Config)
		return &cfg.Config, nil
	}
	conn, err := n.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var cfg *pgconn.Config
	err = conn.Raw(func(c any) error {
		own, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("postgres: NewNotify: the store uses the driver %T, not pgx (set ListenURL)", c)
		}
		cfg = &own.Conn().Config().Config
		return nil
	})
	return cfg, err
}

const (
	// answerWithin limits each statement on the connection for messages. A later answer would prove
	// nothing any more.
	answerWithin = 2 * time.Second
	// proofWithin limits the time until the message that proves the connection has arrived.
	proofWithin = 5 * time.Second
	channel     = "vestibule_bus"
	proofs      = "vestibule_proof"
	// The answer names the server process, and reports a standby or another courier. The name of the
	// table follows.
	beat = "SELECT pg_backend_pid(), pg_is_in_recovery(), courier FROM "
	// ListenURL may have another search path than the store.
	busTable = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_catalog.pg_class c" +
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('vestibule_bus')"
	// server is the cluster, the database in it, and the timeline of its history.
	server = "(SELECT CAST(c.system_identifier AS TEXT) FROM pg_control_system() c), (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())," +
		" CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
	identity = "SELECT concat_ws(' ', " + server + ")"
)

// Follow implements [bus.Courier].
func (n *Notify) Follow(ctx context.Context, f bus.Follower) error {
	check := n.s.CourierCheck(gormstore.CourierNotify, f)
	if err := check(ctx); err != nil {
		return err
	}
	l, err := n.listen(ctx, f)
	if err != nil {
		return err
	}
	defer l.close()
	for {
		if err := check(ctx); err != nil {
			return err
		}
		if servers := n.s.ServerChanges(); !l.proved || servers != l.servers {
			if err := l.prove(ctx); err != nil {
				return err
			}
			l.proved, l.servers = true, servers
		}
		var took time.Duration
		err := f.Prove(func() error {
			began := time.Now()
			err := l.beat(ctx)
			took = time.Since(began)
			return err
		})
		if err != nil {
			return err
		}
		n.Lagged(took)
		if err := l.receive(ctx, bus.Beat); err != nil {
			return err
		}
	}
}

// listener is the connection for messages.
type listener struct {
	n       *Notify
	conn    *pgconn.PgConn
	table   string // vestibule_bus with its schema
	proof   string // the payload that arrived last on the channel of proofs
	proved  bool
	servers uint64 // Store.ServerChanges before the last proof
}

// listen connects and listens. Messages are applied as they are read, so also while an answer is
// awaited: those that come before an answer on the wire are applied before it is returned.
func (n *Notify) listen(ctx context.Context, f bus.Follower) (*listener, error) {
	ctx, cancel := context.WithTimeout(ctx, proofWithin)
	defer cancel()
	cfg, err := n.config(ctx)
	if err != nil {
		return nil, err
	}
	l := &listener{n: n}
	if err := n.pool.QueryRowContext(ctx, busTable).Scan(&l.table); err != nil {
		return nil, err
	}
	cfg.OnNotification = func(_ *pgconn.PgConn, m *pgconn.Notification) {
		if m.Channel == proofs {
			l.proof = m.Payload
		} else {
			n.Received(1)
			f.Apply(bus.Read(m.Payload))
		}
	}
	if l.conn, err = pgconn.ConnectConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("postgres: connection for messages: %w", err)
	}
	if err = l.beat(ctx); err == nil {
		_, err = l.query(ctx, "LISTEN "+channel+"; LISTEN "+proofs)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx)
}

// query returns the last row of the last statement.
func (l *listener) query(ctx context.Context, text string) (row []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	results, err := l.conn.Exec(ctx, text).ReadAll() // reads up to ReadyForQuery
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		for _, values := range r.Rows {
			row = nil
			for _, v := range values {
				row = append(row, string(v))
			}
		}
	}
	return row, nil
}

// beat asks the question that proves that all messages have arrived.
func (l *listener) beat(ctx context.Context) error {
	row, err := l.query(ctx, beat+l.table)
	switch {
	case err != nil:
		return err
	case len(row) != 3:
		return fmt.Errorf("%w: vestibule_bus has no row", gormstore.ErrCourier)
	case row[0] != strconv.FormatUint(uint64(l.conn.PID()), 10): // a pooler reports a process of its own
		return errors.New("postgres: the connection for messages leads to a pooler, which passes no messages on (set ListenURL to the URL of the PostgreSQL server itself, or use gormstore.NewOutbox)")
	case row[1] != "f":
		return errors.New("postgres: the connection for messages leads to a standby server (set ListenURL to the primary)")
	case row[2] != gormstore.CourierNotify:
		return fmt.Errorf("%w: the database was set to %q", gormstore.ErrCourier, row[2])
	}
	return nil
}

// prove sends a message through the pool, whose connections write the messages of revocations, and
// waits until it arrives: a server of another database, or an earlier primary, would answer each beat
// and deliver nothing.
func (l *listener) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proofWithin)
	defer cancel()
	own, err := l.query(ctx, identity)
	if err != nil {
		return err
	}
	nonce := rand.Text()
	var there string
	if err := l.n.pool.QueryRowContext(ctx, identity).Scan(&there); err != nil {
		return fmt.Errorf("postgres: identity of the store's database: %w", err)
	}
	if len(own) != 1 || own[0] != there {
		return errors.New("postgres: the connection for messages leads to another database than the store's (check ListenURL)")
	}
	if _, err := l.n.pool.ExecContext(ctx, "SELECT pg_notify('"+proofs+"', '"+nonce+"')"); err != nil {
		return fmt.Errorf("postgres: message through the store's pool: %w", err)
	}
	for l.proof != nonce {
		if err := l.conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("postgres: a message of the store's database does not arrive (check ListenURL): %w", err)
		}
	}
	return nil
}

// receive applies messages for a while.
func (l *listener) receive(ctx context.Context, d time.Duration) error {
	until, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		err := l.conn.WaitForNotification(until)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case l.conn.IsClosed():
			return err
		case until.Err() != nil:
			return nil
		default:
			return err
		}
	}
}
