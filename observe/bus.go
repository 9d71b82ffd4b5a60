package observe

import "time"

// Bus is an event of the messages of package bus. A lease is the proof that a cache is up to date;
// a cache uses its entries only with a lease.
type Bus struct {
	Event BusEvent
	// Courier is "notify", "outbox", or "other" for a courier of your own.
	Courier string
	// Reason is set for Blind and Flushed.
	Reason Reason
	// Blind is the time that has passed without a lease since the last report, for Blind.
	Blind time.Duration
	// Messages is the number of messages, for Received and Sent.
	Messages int
	// Lag is how long a message took, approximately, for Lagged. With the courier outbox, it is the
	// time between the writing of the row, by the server's clock, and the poll that read it.
	// Messages of the courier notify have no time. Lag is then the round trip of a query on their
	// connection, an upper bound for the messages before the query.
	Lag time.Duration
}

// BusEvent is the kind of a [Bus].
type BusEvent uint8

// The kinds of events.
const (
	LeaseGained BusEvent = iota // the cache answers
	LeaseLost                   // each lookup queries the store
	Blind                       // some time without a lease has passed
	StaleServed                 // entries were used without a lease (cached.Options.ServeStale); Messages is the number of uses
	Flushed                     // the whole cache was removed
	Received                    // messages arrived
	Sent                        // messages were passed to cached.Options.Tell
	Lagged                      // a message or a proof arrived after the time Lag
)

// String returns a name such as "lease_lost".
func (e BusEvent) String() string {
	return nameOf(e, "lease_gained", "lease_lost", "blind", "stale_served", "flushed", "received", "sent", "lagged")
}

// Reason is why a cache is not up to date.
type Reason uint8

// The reasons.
const (
	Start     Reason = iota // the courier has not proved anything yet
	Reconnect               // the connection was lost
	Gap                     // messages are missing, or may be
	Clock                   // the wall clock and the monotonic clock moved apart, for example because the machine was suspended
	Timeout                 // the answer came too late
	Reasons                 // the number of reasons; not a reason
)

// String returns "start", "reconnect", "gap", "clock" or "timeout".
func (r Reason) String() string {
	return nameOf(r, "start", "reconnect", "gap", "clock", "timeout")
}
