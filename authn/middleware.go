package authn

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/observe"
)

// Options configure the middleware. The zero value and a nil *Options are safe defaults.
type Options struct {
	// WriteError writes the body of an error response. nil means [WriteDetail], the format of
	// Django REST Framework. [WriteProblem] writes the format of RFC 9457. The response is sent
	// after WriteError returns. If it panics, a 500 in the default format is sent.
	WriteError ErrorWriter
	// WritePage writes the body of an error response of a [Page] if the client is a browser. nil
	// means the function [WritePage]. Other clients get WriteError.
	WritePage ErrorWriter
	// Challenges selects the challenges of a 401.
	Challenges ChallengePolicy
	// Observe is called with each decision, on the goroutine of the request.
	Observe func(*http.Request, Event)
	// Sink receives each decision, and each lookup in the identities that the middleware keeps, for
	// metrics and traces. nil means none.
	Sink *observe.Sink
	// Logger receives rejections with their private reason (Info), errors (Error) and traces
	// (Debug). nil means slog.Default().
	Logger *slog.Logger
	// IgnoreKeywords are keywords of Authorization that are not credentials for this chain. For
	// example, set "Basic" if a staging proxy has a password of its own. A request with one of
	// these keywords is handled as if it had no Authorization header.
	IgnoreKeywords []string
	// Unavailable reports whether an error that a handler passes to [Respond] is the failure of a
	// dependency (503) and not a bug in the program (500). Use it for the errors of your database
	// driver that Respond does not recognize; see [Undecided]. It must be safe for concurrent use.
	// nil means none.
	Unavailable func(error) bool
	// RetryAfter is the Retry-After of a 503, unless the error has its own. 0 means 5 seconds.
	RetryAfter time.Duration
	// Refusals limits requests with rejected credentials. Package throttle implements it. nil means
	// no limit.
	Refusals RefusalLimiter
	// Proxies are the reverse proxies in front of the server, if there are any. With it, the
	// middleware finds the client address and passes it to stores (see storage.ClientAddr), which
	// limit the work that one network can cause. The zero value means that the client address is
	// the address of the connection.
	Proxies TrustedProxies
	// KeepEntries is the largest number of identities that the middleware keeps for later requests
	// with the same credentials (see [Keeper]). KeepBytes is the approximate limit of their memory.
	// 0 means 4,096 and 8 MiB. With [NoKeep], each request is authenticated again.
	KeepEntries, KeepBytes int
	// Table, if it is not nil, holds the kept identities, so that several middlewares with the same
	// schemes can share them. KeepEntries and KeepBytes must then be 0, because the table has its
	// own limits.
	Table *Table
	// Trace stores the steps of each decision in the context of the request, for [TraceFrom]. It
	// costs allocations. Use it in tests.
	Trace bool
	// Clock returns the time for measuring durations, and for the time since a login (see [LoginAge]).
	// nil means the monotonic clock of the process for durations, and time.Now for logins.
	Clock func() time.Time
	// Edited is for tests. Requests with the same credentials share values. If Edited is set, the
	// middleware checks after each handler that these values have not changed. It calls Edited with
	// "User" or "Credential" if a handler modified the value to which this field of its Identity
	// points. The change may have been made by an earlier request. The comparison is slow.
	Edited func(r *http.Request, field string)
}

// Middleware authenticates requests. It is safe for concurrent use.
type Middleware struct {
	plan       *plan
	write      ErrorWriter // nil: the default
	writePage  ErrorWriter
	policy     ChallengePolicy
	observe    func(*http.Request, Event)
	sink       *observe.Sink // nil: none
	log        *slog.Logger
	ignore     []string
	retryAfter time.Duration
	proxies    TrustedProxies
	trace      bool
	edited     func(*http.Request, string)
	vary       []string         // the headers that an answer depends on
	now        func() time.Time // nil: the monotonic clock
	refusals   RefusalLimiter   // nil: no limit
	presented  *Presented       // where refusals finds credentials

	unavailable func(error) bool
	accepting   int           // the leaf that accepted the credentials, or nobody
	behind      []*Middleware // a copy for each leaf, with accepting set
}

// New creates middleware from an authenticator, usually a [Chain]. opts can be nil.
//
// It panics for the mistakes that [Check] reports, because these must be found before the first
// request. Examples are a nil member, a member that occurs twice, and two members that accept the
// same credentials. It also panics if Table, KeepEntries or KeepBytes is invalid. With an empty
// chain, no request is authenticated.
func New(a Authenticator, opts *Options) *Middleware {
	var o Options
	if opts != nil {
		o = *opts
	}
	leaves, err := flatten(nil, a)
	if err == nil {
		err = metadataConflict(leaves)
	}
	if err != nil {
		panic(err)
	}
	m := &Middleware{
		plan: newPlan(leaves), write: o.WriteError, writePage: o.WritePage, policy: o.Challenges, observe: o.Observe, log: o.Logger,
		ignore: slices.Clone(o.IgnoreKeywords), retryAfter: o.RetryAfter, trace: o.Trace, proxies: o.Proxies, now: o.Clock, edited: o.Edited,
		refusals: o.Refusals, presented: presentedTo(leaves...), unavailable: o.Unavailable, accepting: nobody,
	}
	m.plan.proxies, m.plan.sink, m.sink = o.Proxies, o.Sink, o.Sink
	if m.plan.table, err = tableOf(&o, m.plan.leaves); err != nil {
		panic(err)
	}
	m.vary = varyOf(leaves)
	if m.retryAfter <= 0 {
		m.retryAfter = 5 * time.Second
	}
	for i := range leaves {
		b := *m
		b.accepting, b.behind = i, nil
		m.behind = append(m.behind, &b)
	}
	return m
}

// tableOf returns the table of a middleware, or nil if no identities are kept.
func tableOf(o *Options, leaves []leaf) (*Table, error) {
	switch {
	case o.Table != nil && (o.KeepEntries != 0 || o.KeepBytes != 0):
		return nil, errors.New("authn: New: Options.Table has its own limits (KeepEntries and KeepBytes must be 0)")
	case o.Table != nil:
		return o.Table, nil
	case o.KeepEntries < NoKeep || o.KeepBytes < NoKeep:
		return nil, errors.New("authn: New: KeepEntries or KeepBytes is negative (0 or more, or NoKeep)")
	case o.KeepEntries == NoKeep || o.KeepBytes == NoKeep || !slices.ContainsFunc(leaves, func(l leaf) bool { return l.keeper != nil }):
		return nil, nil
	}
	return NewTable(&TableOptions{Entries: o.KeepEntries, Bytes: o.KeepBytes, Clock: o.Clock})
}

// logger returns the logger. It reads slog.Default at each use, because a program can set it after
// it created the middleware.
func (m *Middleware) logger() *slog.Logger {
	if m.log != nil {
		return m.log
	}
	return slog.Default()
}

// Handler returns a handler that authenticates the request and calls next with the identity in the
// request's context. If the chain rejects the request or returns another error, next is not called.
//
// An anonymous request also reaches next. To require authentication, use package authz. The result
// replaces the identity that an outer middleware found, even if the result is anonymous.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	h := m.handler(next, false)
	h.needs = scopesNeeded(next)
	return h
}

// Public returns next without authentication. [Respond] in next uses this middleware. Use it for
// login endpoints, which read their own credentials, and for health checks. Requests with several
// Authorization headers are still rejected.
func (m *Middleware) Public(next http.Handler) http.Handler { return m.handler(next, true) }

func (m *Middleware) handler(next http.Handler, bare bool) *handler {
	h := &handler{m: m, next: next, bare: bare}
	h.page, h.preempt = declared(next)
	return h
}

// Schemes returns the names of the chain's schemes in order.
func (m *Middleware) Schemes() []string {
	names := make([]string, len(m.plan.leaves))
	for i := range m.plan.leaves {
		names[i] = m.plan.leaves[i].name
	}
	return names
}

// varyOf returns the headers for Vary: all headers that the schemes read. Only responses to
// requests with Authorization are safe from shared caches without Vary (RFC 9111, section 3.5). A
// scheme that does not declare its headers may read any header, so the result is then "*", and no
// cache may reuse the response.
func varyOf(leaves []leaf) []string {
	if slices.ContainsFunc(leaves, func(l leaf) bool { return l.reads == nil }) {
		return []string{"*"}
	}
	var names []string
	for _, l := range leaves {
		for _, name := range l.reads {
			if !varies(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return usual(a) - usual(b) })
	return slices.Clip(names)
}

// usual returns the position of a header in Vary. The usual headers come first.
func usual(name string) int {
	if i := slices.Index([]string{"Cookie", "Authorization"}, name); i >= 0 {
		return i
	}
	return 2
}

// varies adds to Vary the headers on which the response depends, even if the request has no
// credentials: a cache must not send the page of an anonymous visitor to others (RFC 9110, section
// 12.5.5).
func (m *Middleware) varies(h http.Header) {
	list := h["Vary"]
	if len(list) == 0 {
		h["Vary"] = m.vary // has no spare capacity, so append makes a copy
		return
	}
	for _, name := range m.vary {
		if !varies(list, name) {
			h.Add("Vary", name)
		}
	}
}

// varies reports whether a Vary header contains the name or "*".
func varies(list []string, name string) bool {
	for _, v := range list {
		for one := range strings.SplitSeq(v, ",") {
			if one = strings.Trim(one, " \t"); one == "*" || strings.EqualFold(one, name) {
				return true
			}
		}
	}
	return false
}

// anonymousRequest, as the index of the deciding leaf, means that the error is ErrNoCredentials: no
// scheme found credentials.
const anonymousRequest = -2

// decide calls the chain with the request seen, sets f and reports the decision.
func (m *Middleware) decide(r, seen *http.Request, f *found) (by int, t *tracer, err error) {
	if m.trace || m.logger().Enabled(r.Context(), slog.LevelDebug) {
		t = new(tracer)
	}
	watch := m.watch()
	by, err = m.plan.authenticate(seen, t, f)
	var took time.Duration
	if watch.runs {
		took = m.took(watch, f)
		m.decided(seen.Context(), by, err, took, f)
	}
	if err == ErrNoCredentials {
		if m.observe != nil || t != nil {
			m.report(r, nobody, err, took, t)
		}
		return anonymousRequest, t, err
	}
	if err != nil || m.observe != nil || t != nil {
		m.report(r, by, err, took, t)
	}
	return by, t, err
}

// visible returns r without an Authorization header whose keyword is ignored.
func (m *Middleware) visible(r *http.Request) *http.Request {
	if len(m.ignore) == 0 || len(r.Header["Authorization"]) > 1 { // several are always rejected
		return r
	}
	kw := Keyword(r)
	if kw == "" || !slices.ContainsFunc(m.ignore, func(k string) bool { return strings.EqualFold(k, kw) }) {
		return r
	}
	c := *r
	c.Header = r.Header.Clone()
	delete(c.Header, "Authorization")
	return &c
}

// renew calls the Renewer. It returns false if the request was rejected and answered.
func (m *Middleware) renew(rn Renewer, w http.ResponseWriter, r *http.Request, f *found) bool {
	err := f.renew(rn, w, r)
	if err == nil {
		return true
	}
	if refusal(err) != nil {
		m.Respond(w, r, err)
		return false
	}
	m.logger().LogAttrs(r.Context(), slog.LevelError, "renewal failed", slog.String("scheme", f.scheme()), slog.Any("error", err))
	return true
}
