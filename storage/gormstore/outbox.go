package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage/bus"
)

// OutboxOptions configure [NewOutbox]. A nil *OutboxOptions means all defaults.
type OutboxOptions struct {
	// Poll is the time between two polls: 25 to 100 milliseconds; 0 means bus.Beat (75 ms). On
	// average, a change reaches this process after half of this time.
	Poll time.Duration
	// Replica describes this process to the other processes.
	Replica ReplicaOptions
}

// The range of OutboxOptions.Poll. Longer would leave no time for a poll that is late.
const (
	minPoll = 25 * time.Millisecond
	maxPoll = 100 * time.Millisecond
)

// Outbox is the courier "outbox": revoking transactions write a row, and each process polls. Use it
// with more than about 10 processes or 200 revocations per second, or through any pooler. Otherwise
// postgres.NewNotify is faster. It implements [bus.Courier].
type Outbox struct {
	*Presence
	s    *Store
	poll time.Duration
}

var (
	_ bus.Courier   = (*Outbox)(nil)
	_ bus.Announcer = (*Outbox)(nil)
)

// NewOutbox returns the courier of a store on PostgreSQL, for cached.Options.Courier. It sets the
// database to this courier if it has none.
//
// It returns ErrCourier if the database has another courier, if a trigger is missing, or with SQLite.
func NewOutbox(ctx context.Context, s *Store, opts *OutboxOptions) (*Outbox, error) {
	if s == nil {
		return nil, errors.New("gormstore: NewOutbox: store is required")
	}
	var o OutboxOptions
	if opts != nil {
		o = *opts
	}
	if o.Poll == 0 {
		o.Poll = bus.Beat
	}
	if o.Poll < minPoll || o.Poll > maxPoll {
		return nil, fmt.Errorf("gormstore: NewOutbox: Poll %v out of range (%v to %v)", o.Poll, minPoll, maxPoll)
	}
	if n := s.sql.Stats().MaxOpenConnections; n == 1 {
		return nil, errors.New("gormstore: NewOutbox: the store has one connection (at least 2: polls use one)")
	}
	if err := s.UseCourier(ctx, CourierOutbox); err != nil {
		return nil, err
	}
	return &Outbox{s.Presence(CourierOutbox, o.Replica), s, o.Poll}, nil
}

// Delivers implements [bus.Courier].
func (o *Outbox) Delivers(store any) bool { return o.s.IsBehind(store) }

// Follow implements [bus.Courier].
func (o *Outbox) Follow(ctx context.Context, f bus.Follower) error {
	check := o.s.CourierCheck(CourierOutbox, f)
	if err := check(ctx); err != nil {
		return err
	}
	// A connection of its own: a poll does not wait while requests use all others.
	conn, err := o.s.sql.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := outboxReader{s: o.s, conn: conn, f: f, lagged: o.Lagged}
	tick := time.NewTicker(o.poll)
	defer tick.Stop()
	servers := o.s.ServerChanges()
	for n := 1; ; n++ {
		if o.s.servers != nil && o.s.servers() != servers {
			return errors.New("gormstore: the connections lead to another server than before")
		}
		if err := check(ctx); err != nil {
			return err
		}
		if err := f.Prove(func() error { return r.read(ctx) }); err != nil {
			return err
		}
		if n%cleanEvery == 0 {
			r.clean(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// place is the last message of a shard that a reader knows.
type place struct {
	seq int64
	tag string
}

// outboxReader reads the messages that come after those that it knows.
type outboxReader struct {
	s       *Store
	conn    *sql.Conn
	f       bus.Follower
	lagged  func(time.Duration)
	known   map[int]place // nil before the first poll
	cleaned int           // number of calls of clean
}

const shards = 16

// The statement that proves runs on the primary at READ COMMITTED, and proves that it did.
const readShards = "SELECT s.shard, s.seq, CAST(s.tag AS TEXT), pg_is_in_recovery(), b.courier" +
	" FROM vestibule_bus b LEFT JOIN vestibule_bus_shards s ON TRUE ORDER BY s.shard"

// read applies all messages that were committed before the call, or flushes if it cannot know them.
func (r *outboxReader) read(ctx context.Context) error {
	now := make(map[int]place, shards)
	primary := false
	err := r.rows(ctx, readShards, nil, func(rows *sql.Rows) error {
		var shard, seq sql.NullInt64
		var tag sql.NullString
		var standby bool
		var courier string
		if err := rows.Scan(&shard, &seq, &tag, &standby, &courier); err != nil {
			return err
		}
		switch {
		case standby:
			return errStandby
		case courier != CourierOutbox:
			return otherCourier(courier, CourierOutbox)
		}
		primary = true
		if shard.Valid {
			now[int(shard.Int64)] = place{seq.Int64, tag.String}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !primary {
		return fmt.Errorf("%w: vestibule_bus has no row", ErrCourier)
	}
	known := r.known
	r.known = now
	if known == nil { // a new connection; the follower flushes
		return nil
	}
	for shard, was := range known {
		if is, ok := now[shard]; !ok || is.seq < was.seq || is.seq == was.seq && is.tag != was.tag {
			r.f.FlushAll() // another history, such as that of a restored backup
			return nil
		}
	}
	behind := make(map[int]place)
	for shard, is := range now {
		was := known[shard] // the first message has the number 1 and follows on nothing
		if is.seq-was.seq > maxMessages {
			r.f.FlushAll()
			return nil
		}
		if is != was {
			behind[shard] = was
		}
	}
	whole, err := r.apply(ctx, behind)
	if err != nil {
		r.known = known
		return err
	}
	if !whole {
		r.f.FlushAll()
	}
	return nil
}

// maxMessages is the number of messages of a shard above which a reader flushes instead.
const maxMessages = 1000

// Texts, because not every driver has arrays.
const readMessages = "SELECT o.shard, o.seq, CAST(o.prev AS TEXT), CAST(o.tag AS TEXT), o.change, " + serverNow + " - o.us" +
	" FROM unnest(CAST(string_to_array($1, ',') AS SMALLINT[]), CAST(string_to_array($2, ',') AS BIGINT[]), CAST(string_to_array($3, ',') AS BIGINT[])) k (shard, seq, up_to)" +
	" JOIN vestibule_outbox o ON o.shard = k.shard AND o.seq > k.seq AND o.seq <= k.up_to ORDER BY o.shard, o.seq"

// apply applies the messages of shards after the places that are known. It returns false if messages
// do not follow on each other: some were deleted, or belong to another history.
func (r *outboxReader) apply(ctx context.Context, known map[int]place) (whole bool, err error) {
	if len(known) == 0 {
		return true, nil
	}
	var ofShards, after, upTo []string
	for shard, at := range known {
		ofShards, after = append(ofShards, strconv.Itoa(shard)), append(after, strconv.FormatInt(at.seq, 10))
		upTo = append(upTo, strconv.FormatInt(r.known[shard].seq, 10))
	}
	whole = true
	var changes []bus.Change
	err = r.rows(ctx, readMessages, []any{strings.Join(ofShards, ","), strings.Join(after, ","), strings.Join(upTo, ",")}, func(rows *sql.Rows) error {
		var shard int
		var next place
		var prev, change string
		var age int64
		if err := rows.Scan(&shard, &next.seq, &prev, &next.tag, &change, &age); err != nil {
			return err
		}
		r.lagged(time.Duration(age) * time.Microsecond)
		last := known[shard]
		whole = whole && next.seq == last.seq+1 && (prev == last.tag || last == place{})
		known[shard] = next
		changes = append(changes, bus.Read(change))
		return nil
	})
	if err != nil {
		return false, err
	}
	for shard, last := range known {
		whole = whole && last == r.known[shard]
	}
	if whole {
		r.f.Apply(changes...)
	}
	return whole, nil
}

const (
	// cleanEvery is the number of polls between two calls of clean, which removes old messages of one
	// shard: all shards are cleaned about every five seconds.
	cleanEvery = 4
	cleanMost  = 500
	// outboxAge is how long messages are kept. A process that could not poll for longer flushes.
	outboxAge = 10 * time.Minute
)

// clean deletes old messages of one shard. It does not wait for another process that deletes them, and
// a failure is ignored, because it is called again.
func (r *outboxReader) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.s.timeout)
	defer cancel()
	r.cleaned++
	_, _ = r.conn.ExecContext(ctx, "DELETE FROM vestibule_outbox WHERE (shard, seq) IN (SELECT shard, seq FROM vestibule_outbox WHERE shard = $1 AND us < "+serverNow+" - $2"+
		" ORDER BY seq LIMIT $3 FOR UPDATE SKIP LOCKED)", r.cleaned%shards, outboxAge.Microseconds(), cleanMost)
}

// rows is Store.rows on the reader's connection.
func (r *outboxReader) rows(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, r.s.timeout)
	defer cancel()
	rows, err := r.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return explain(rows.Err())
}
