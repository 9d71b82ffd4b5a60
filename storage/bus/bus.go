// Package bus defines how the changes of a store reach the caches of other processes: a courier
// delivers them. Use this package to write your own courier for package cached. Two couriers exist:
// postgres.NewNotify (PostgreSQL's LISTEN and NOTIFY) and gormstore.NewOutbox (a table that is
// polled, for any pooler).
//
// # The guarantee
//
// After a call that revokes a credential has returned, every other process with a cache and a
// courier rejects the credential within [Bound]. A process that is not sure that it has received
// every change does not use its cache. To be sure, it needs a lease:
//
//   - The courier sends a query to the database. The answer proves that the courier has received
//     every change that was acknowledged before the query.
//   - The cache reads its own monotonic clock before the query. From that moment on, the cache can
//     be used for the duration [Lease]. So the clocks of two machines are never compared, and no
//     failure has to be detected.
package bus

import (
	"context"
	"time"
)

const (
	// Bound is the longest time for which a process can still accept a credential that another
	// process has revoked.
	Bound = 250 * time.Millisecond
	// Lease is how long a cache can be used after a question that proved the cache to be up to
	// date. The difference between Lease and Bound is a margin for lookups that have begun.
	Lease = 200 * time.Millisecond
	// Beat is the time between two questions, if the courier has no reason to ask earlier.
	Beat = 75 * time.Millisecond
	// AnnounceEvery is the time between two calls of Announcer.Announce.
	AnnounceEvery = 10 * time.Second
)

// Announcer is a [Courier] that announces this process to the other processes. Package cached calls
// Announce when it begins to follow the courier and then every [AnnounceEvery], even while the
// courier cannot connect. An error is ignored.
type Announcer interface {
	Announce(ctx context.Context) error
}

// Courier delivers the changes of one store that other processes made. It is used by one cache.
//
// The messages must be written in the transaction of the change, by every program that changes the
// store's data. Otherwise a change can be committed without its message, and no cache learns about it.
type Courier interface {
	// Delivers reports whether the courier delivers all changes of store, whichever process makes
	// them. Package cached keeps data of other stores for at most 30 seconds.
	Delivers(store any) bool
	// Follow connects and delivers changes to f until ctx ends or the connection fails. It returns
	// the cause, never nil. Follow must not call f after Follow has returned. The caller waits and
	// then calls Follow again; each call begins with an empty cache.
	Follow(ctx context.Context, f Follower) error
}

// Follower is a cache that follows a courier. Package cached implements it. Its methods must not be
// called concurrently.
type Follower interface {
	// Apply removes the changed records from the cache. After Apply has returned, the cache no
	// longer uses older answers about these records.
	Apply(changes ...Change)
	// FlushAll removes everything. Call it if messages may be missing, for example because of a gap
	// in their numbers or a message that cannot be read.
	FlushAll()
	// Prove calls question. If question returns nil, the cache can be used for the duration
	// [Lease], counted from the moment at which question was called. question must ask the database
	// and return nil only if
	//
	//   - the answer proves that every change that was committed before the question has been
	//     received. Such an answer comes after the messages on the same connection, or contains the
	//     number of the last message of each sequence; and
	//   - every change received has been passed to Apply, or FlushAll was called.
	//
	// If question returns an error, Prove returns it and grants no lease. An earlier lease stays
	// valid until it expires.
	Prove(question func() error) error
	// AccountsTold reports whether the courier also delivers all changes of the account table.
	// Until it is called with true, answers with account data are kept for at most 30 seconds,
	// because other programs can write to the table without a message. Each call of Follow begins
	// with false.
	AccountsTold(told bool)
}
