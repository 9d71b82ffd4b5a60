package authn

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Options change what the middleware does beyond its chain. The zero value, and
// a nil *Options, are safe.
type Options struct {
	// WriteError writes the body of an error answer; nil is WriteDetail, the form
	// of Django REST Framework. WriteProblem is the form of RFC 9457. The answer is sent when
	// it returns; if it panics, a 500 of the default form.
	WriteError ErrorWriter
	// WritePage writes the body of an error answer of a page for people (see Page) if the
	// client is a browser; nil is WritePage. Other clients get WriteError there too.
	WritePage ErrorWriter
	// Challenges says what a 401 carries.
	Challenges ChallengePolicy
	// Observe is told each decision, on the request's own goroutine.
	Observe func(*http.Request, Event)
	// Logger gets refusals with their private reason (Info), faults (Error) and
	// traces (Debug). nil is slog.Default().
	Logger *slog.Logger
	// IgnoreKeywords names keywords of Authorization that are no credentials for
	// this chain, such as "Basic" behind a staging proxy with a password of its
	// own. A request with one of them is treated as one without the
	// header.
	IgnoreKeywords []string
	// Unavailable reports whether an error that a handler gives to Respond is the fault of a
	// dependency (503) and not a mistake of the program (500). Use it for the errors of your database
	// driver that Respond does not recognize; see Undecided. nil: no others. It is called
	// concurrently.
	Unavailable func(error) bool
	// RetryAfter is what a 503 tells the client to wait, unless the fault knows
	// better; 0 is 5 seconds.
	RetryAfter time.Duration
	// Refusals limits requests with refused credentials; package throttle has an
	// implementation. nil does not.
	Refusals RefusalLimiter
	// Proxies names the reverse proxies in front of the server, if there are any. Stores get
	// the address of the client from it (see storage.ClientAddr), so that they can limit
	// what one network costs. Without it the address is that of the connection.
	Proxies TrustedProxies
	// KeepEntries is how many identities the middleware keeps for later requests with the same
	// credentials (see Keeper), and KeepBytes about how much memory they may take. 0 is 4,096 and
	// 8 MiB; with NoKeep each request is authenticated anew.
	KeepEntries, KeepBytes int
	// Table, if it is not nil, is where identities are kept instead, so that several middlewares
	// over the same schemes keep them once. KeepEntries and KeepBytes must be 0 then: the table
	// has its own.
	Table *Table
	// Trace leaves the steps of each decision on the request, for TraceFrom. It
	// costs allocations; tests want it.
	Trace bool
	// Clock is time.Now where nil; durations alone are taken from it.
	Clock func() time.Time
	// Edited is for tests. If it is set, the middleware compares what requests with the same
	// credential share with an unmodified copy after each handler, and calls Edited with
	// "User" or "Credential" if a handler modified what that field of its Identity points to.
	// The change may be that of an earlier request. The comparison is slow.
	Edited func(r *http.Request, field string)
}

// Middleware authenticates requests. It is safe for concurrent use.
type Middleware struct {
	plan       *plan
	write      ErrorWriter // nil: the default
	writePage  ErrorWriter
	policy     ChallengePolicy
	observe    func(*http.Request, Event)
	log        *slog.Logger
	ignore     []string
	retryAfter time.Duration
	proxies    TrustedProxies
	trace      bool
	edited     func(*http.Request, string)
	vary       []string // the headers that an answer depends on
	now        func() time.Time
	refusals   RefusalLimiter // nil: none
	presented  *Presented     // what it decides about

	unavailable func(error) bool
	accepting   int           // the leaf that accepted the request's credential, or nobody
	behind      []*Middleware // the same middleware for who is behind each leaf
}

// New makes middleware of an authenticator, most often a Chain. A nil opts is
// fine. It panics where Check would report a nil member, a member that occurs
// twice, or two members that accept the same credentials: mistakes of the program
// that must not wait for the first request. An empty chain lets nobody in.
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
	m.plan.proxies = o.Proxies
	if m.plan.table, err = tableOf(&o, m.plan.leaves); err != nil {
		panic(err)
	}
	m.vary = varyOf(leaves)
	if m.retryAfter <= 0 {
		m.retryAfter = 5 * time.Second
	}
	if m.now == nil {
		m.now = time.Now
	}
	for i := range leaves {
		b := *m
		b.accepting, b.behind = i, nil
		m.behind = append(m.behind, &b)
	}
	return m
}

// tableOf returns the table of a middleware, or nil if nothing is to be kept.
func tableOf(o *Options, leaves []leaf) (*Table, error) {
	switch {
	case o.Table != nil && (o.KeepEntries != 0 || o.KeepBytes != 0):
		return nil, errors.New("authn: New: Options.Table has bounds of its own: KeepEntries and KeepBytes must be 0")
	case o.Table != nil:
		return o.Table, nil
	case o.KeepEntries < NoKeep || o.KeepBytes < NoKeep:
		return nil, errors.New("authn: New: KeepEntries or KeepBytes is negative (accepted: NoKeep)")
	case o.KeepEntries == NoKeep || o.KeepBytes == NoKeep || !slices.ContainsFunc(leaves, func(l leaf) bool { return l.keeper != nil }):
		return nil, nil
	}
	return NewTable(&TableOptions{Entries: o.KeepEntries, Bytes: o.KeepBytes, Clock: o.Clock})
}

// logger is looked up at each use where it is the default one, which a program
// may set after it made its middleware.
func (m *Middleware) logger() *slog.Logger {
	if m.log != nil {
		return m.log
	}
	return slog.Default()
}

// Handler asks the chain and, unless it refused the request or could not tell,
// calls next with the identity in the request's context. An anonymous request
// goes on as such: whether it may is for package authz. An identity that an outer
// middleware left is replaced, also by the anonymous one.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	h := m.handler(next, false)
	h.needs = scopesNeeded(next)
	return h
}

// Public gives next the middleware's way to answer errors, without asking anybody:
// for login endpoints, which read their own credential, and for health checks.
// More than one Authorization header is refused all the same.
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

// varyOf returns the headers that leaves read: caches honor any name, and only answers to requests
// with Authorization are safe without one (RFC 9111, section 3.5). What a scheme reads that does not
// say it may be any header, so no cache may use the answer again.
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

// usual is the place of a header in Vary: the usual ones come first.
func usual(name string) int {
	if i := slices.Index([]string{"Cookie", "Authorization"}, name); i >= 0 {
		return i
	}
	return 2
}

// varies says that the answer depends on the credential, also where none came: a cache
// must not give an anonymous visitor's page to others (RFC 9110 section 12.5.5).
func (m *Middleware) varies(h http.Header) {
	list := h["Vary"]
	if len(list) == 0 {
		h["Vary"] = m.vary // no room behind it: who appends makes a copy
		return
	}
	for _, name := range m.vary {
		if !varies(list, name) {
			h.Add("Vary", name)
		}
	}
}

// varies reports whether a Vary has that name, or all of them.
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

// anonymousRequest, as the index of the deciding leaf, says that the error is no
// error: nobody found a credential.
const anonymousRequest = -2

// decide asks the chain about r as seen, sets f and reports the decision.
func (m *Middleware) decide(r, seen *http.Request, f *found) (by int, t *tracer, err error) {
	if m.trace || m.logger().Enabled(r.Context(), slog.LevelDebug) {
		t = new(tracer)
	}
	var start time.Time
	if m.observe != nil {
		start = m.now()
	}
	by, err = m.plan.authenticate(seen, t, f)
	var took time.Duration
	if m.observe != nil {
		took = m.now().Sub(start)
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

// visible hides an ignored Authorization header from the schemes.
func (m *Middleware) visible(r *http.Request) *http.Request {
	if len(m.ignore) == 0 || len(r.Header["Authorization"]) > 1 { // two are refused, whatever they are
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

// renew reports whether the request may go on.
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
