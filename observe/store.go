package observe

import (
	"context"
	"time"
)

// StoreCall is one statement of a database, one transaction, or one command of Redis.
type StoreCall struct {
	// System is "postgresql", "sqlite" or "redis".
	System string
	// Operation is SELECT, INSERT, UPDATE, DELETE, TRANSACTION (from BEGIN to COMMIT, with the
	// statements in it), the name of a method of package redisstore, or OTHER.
	Operation string
	// Table is the table, such as "vestibule_sessions". It is "accounts" for a table of accounts that
	// the application has, and "" if there is none.
	Table   string
	Outcome StoreOutcome
	// Status is the SQLSTATE of an error of PostgreSQL, and "" otherwise.
	Status string
	// Duration is how long the call took, including the wait for a connection. The report comes
	// right after its end.
	Duration time.Duration
}

// StoreOutcome is the outcome of a [StoreCall].
type StoreOutcome uint8

// The outcomes of a call.
const (
	OK     StoreOutcome = iota
	Answer              // a definite answer that is an error, such as no row; or the caller has disconnected
	Fault               // the store failed
)

// String returns "ok", "answer" or "fault".
func (o StoreOutcome) String() string { return nameOf(o, "ok", "answer", "fault") }

// storedKey finds the decision that a call belongs to. Package authn does not need to be imported: an
// unnamed type is identical everywhere.
type storedKey = struct{ VestibuleStored struct{} }

// MarkStored records that the decision that ctx belongs to waited for a store; see [Decision.Stored].
// Stores call it together with [Sink.StoreCall].
func MarkStored(ctx context.Context) {
	if mark, ok := ctx.Value(storedKey{}).(interface{ MarkStored() }); ok {
		mark.MarkStored()
	}
}
