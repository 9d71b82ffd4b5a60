// Package health has the handlers of /healthz and /readyz, for load balancers and orchestrators.
//
// [Live] reports whether the database answers, and [Ready] whether the process should get requests:
//
//	mux.Public("GET /healthz", health.Live(checks))
//	mux.Public("GET /readyz", health.Ready(checks))
//
// All requests of a handler share one result, which is at most a second old. So even a flood of
// requests causes at most one query per second.
//
// The answers have fixed words and numbers only. They contain no error text, no name of a host and no
// address, because anyone who reaches the port can read them.
package health

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"time"
)

// Checks are the functions that the handlers call. A nil function is not checked, and the answer
// does not have its member.
type Checks struct {
	// Store reports whether the database answers, such as Ping of a store.
	Store func(context.Context) error
	// Schema returns the version of the database's schema and the version that the program
	// requires, such as gormstore.Store.Schema. Ready answers 503 if the database has an older
	// version. During an upgrade it has a newer version, and servers of the previous version
	// continue: that is "degraded".
	Schema func(context.Context) (have, want int, err error)
	// Cache reports whether the cache answers: false means that it is blind, so that each lookup
	// queries the database. Use the Lease of cached.Store.Freshness. A blind process is slower, but
	// ready. Otherwise the service would be down while all processes are blind.
	Cache func() bool
	// Limits reports whether rate limits are counted in their store. False means that they are
	// counted in the memory of this process, because their store fails. Use the opposite of
	// throttle.Shared.Degraded.
	Limits func() bool
	// Pool returns the state of the connection pool, such as sql.DB.Stats.
	Pool func() sql.DBStats
	// Audit returns the numbers of waiting and of dropped events, such as Waiting and Dropped of an
	// audit.Queue.
	Audit func() (waiting int, dropped uint64)
	// Timeout limits Store and Schema together; 0 means 2 seconds.
	Timeout time.Duration
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// report is the body of an answer.
type report struct {
	Status  string `json:"status"` // "ok", "degraded" or "unavailable"
	Store   string `json:"store,omitempty"`
	Schema  string `json:"schema,omitempty"`
	Cache   string `json:"cache,omitempty"`
	Limits  string `json:"limits,omitempty"`
	Pool    *pool  `json:"pool,omitempty"`
	Audit   *audit `json:"audit,omitempty"`
	healthy bool
	ready   bool
}

type pool struct {
	Open  int   `json:"open"`
	InUse int   `json:"in_use"`
	Idle  int   `json:"idle"`
	Max   int   `json:"max"`
	Waits int64 `json:"waits"`
}

type audit struct {
	Waiting int    `json:"waiting"`
	Dropped uint64 `json:"dropped"`
}

// Live returns the handler of /healthz: 200 if the database answers, else 503. Do not restart a
// process because its database is down. Use Live for an alert, or for a probe that tolerates
// failures for longer than your database takes to fail over.
//
// The body has the status, and names each part that is bypassed or counted in memory.
func Live(c Checks) http.Handler {
	c.Schema, c.Pool, c.Audit = nil, nil, nil
	return handler(c, func(r *report) bool {
		if r.healthy {
			r.Status, r.Store = "ok", ""
		}
		for _, word := range []*string{&r.Cache, &r.Limits} {
			if *word == "ok" {
				*word = ""
			}
		}
		return r.healthy
	})
}

// Ready returns the handler of /readyz. It answers 200 if the process can serve requests, and 503
// if the database does not answer or its schema is too old for the program. A newer schema, a blind
// cache, or rate limits that are counted in memory, make the status "degraded", with 200.
func Ready(c Checks) http.Handler {
	return handler(c, func(r *report) bool { return r.ready })
}

func handler(c Checks, good func(*report) bool) http.Handler {
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	checks := &shared{checks: c}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		out, code := checks.get(r.Context()), http.StatusOK
		if !good(&out) {
			out.Status, code = "unavailable", http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "5")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(out)
	})
}

// run makes the checks.
func (c *Checks) run(ctx context.Context) (out report) {
	out = report{Status: "ok", healthy: true, ready: true}
	word := func(good bool, yes, no string) string {
		if good {
			return yes
		}
		out.Status = "degraded"
		return no
	}
	if c.Store != nil {
		err := c.Store(ctx)
		out.Store = word(err == nil, "ok", "unavailable")
		out.healthy, out.ready = err == nil, err == nil
	}
	if c.Schema != nil && out.ready { // a database that does not answer has no version
		switch have, want, err := c.Schema(ctx); {
		case err != nil:
			out.Schema, out.ready = word(false, "", "unknown"), false
		case have < want:
			out.Schema, out.ready = word(false, "", "outdated"), false
		case have > want: // during an upgrade, servers of the version before go on
			out.Schema = word(false, "", "newer")
		default:
			out.Schema = "ok"
		}
	}
	if c.Cache != nil {
		out.Cache = word(c.Cache(), "ok", "bypassed")
	}
	if c.Limits != nil {
		out.Limits = word(c.Limits(), "ok", "in memory")
	}
	if c.Pool != nil {
		s := c.Pool()
		out.Pool = &pool{s.OpenConnections, s.InUse, s.Idle, s.MaxOpenConnections, s.WaitCount}
	}
	if c.Audit != nil {
		waiting, dropped := c.Audit()
		out.Audit = &audit{waiting, dropped}
	}
	return out
}
