// Package observe reports what the packages of this module do, for metrics and traces. Use it to
// connect a monitoring system. For Prometheus and OpenTelemetry there are ready modules,
// contrib/prometheus and contrib/otel, which return a [Sink].
//
// Set the same Sink in the options of everything that you create:
//
//	sink := &observe.Sink{Decision: func(ctx context.Context, d observe.Decision) {
//		decisions.WithLabelValues(d.Scheme, d.Outcome.String(), d.Code).Inc()
//	}}
//	m := authn.New(chain, &authn.Options{Sink: sink})
//	db, err := sqlite.Open(path, &gormstore.Options{Sink: sink})
//	store, err := cached.New(db, &cached.Options{Sink: sink})
//
// No value contains a subject, a client, an address, a path, a credential or the text of an error.
// The texts come from small fixed sets, unless a field says otherwise, so they are safe as labels.
//
// The functions are called on the goroutine of the request, concurrently, and must not block. A
// panic in such a function is not recovered here, so the request panics.
package observe

import (
	"context"
	"time"
)

// Sink has one function for each kind of report. Set the functions that you need; a nil function,
// and a nil *Sink, cost one comparison. Do not change a Sink after you passed it on. To pass
// reports to several sinks use [Join].
type Sink struct {
	// Decision is called for each request that a middleware of package authn decides.
	Decision func(ctx context.Context, d Decision)
	// Lookup is called for each lookup in a cache of package cached, and in the identities that the
	// middleware keeps.
	Lookup func(ctx context.Context, l Lookup)
	// StoreCall is called after each statement of a database and each command of Redis.
	StoreCall func(ctx context.Context, c StoreCall)
	// Limit is called for each decision of a rate limit of package throttle.
	Limit func(ctx context.Context, l Limit)
	// Fallback is called with true when a store of rate limits begins to fail: limits are then
	// counted in memory. It is called with false when the store works again.
	Fallback func(on bool)
	// PasswordWait is called when a login has waited for a slot of the password hasher, and
	// PasswordHash after each computed hash.
	PasswordWait func(ctx context.Context, w PasswordWait)
	PasswordHash func(ctx context.Context, h PasswordHash)
	// Bus is called for each event of the messages that keep caches up to date.
	Bus func(b Bus)
	// Audit is called for each audit event, with its kind, such as "token.revoked". It is called once
	// more, with dropped, if the event was not delivered because the queue was full. Kinds of your own
	// schemes are passed on as they are.
	Audit func(kind string, dropped bool)
	// Pruned is called with the number of expired rows that were deleted from a table.
	Pruned func(table string, rows int)
	// Replicas is called about every ten seconds with the number of processes that follow the courier
	// of the database. mismatch reports that one of them has different settings or master keys.
	Replicas func(live int, mismatch bool)
}

// Decision is the decision of a middleware about a request.
type Decision struct {
	// Scheme is the name of the scheme that decided, and "" for an anonymous request.
	Scheme  string
	Outcome Outcome
	// Code is the code of a rejection, such as "invalid_token", and "" otherwise. It is the
	// authn.Error.Code of the scheme: a scheme of your own must use constants.
	Code string
	// Duration is how long the decision took. The report comes right after the decision.
	Duration time.Duration
	// Stored reports that the decision waited for a store that has a sink. It is false for answers
	// of a cache, and for schemes that need no store.
	Stored bool
	// Kept reports that the middleware used an identity that it kept from an earlier request.
	Kept bool
}

// Outcome is the outcome of a [Decision].
type Outcome uint8

// The outcomes of a decision.
const (
	None     Outcome = iota // no credentials
	Accepted                // valid credentials
	Rejected                // invalid credentials
	Error                   // could not be decided, for example because the store failed
)

// String returns "none", "accepted", "rejected" or "error".
func (o Outcome) String() string { return nameOf(o, "none", "accepted", "rejected", "error") }

// nameOf returns the name of a number.
func nameOf[N ~uint8](n N, names ...string) string {
	if int(n) < len(names) {
		return names[n]
	}
	return "other"
}
