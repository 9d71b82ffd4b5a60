package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// ChallengePolicy says what a 401 carries in WWW-Authenticate.
type ChallengePolicy uint8

const (
	// EveryChallenge: a refusal carries the refusing scheme's own challenge, a
	// missing credential every distinct challenge of the chain: the Bearer challenges merged
	// into one line, first, then the others in the order of the chain. If no scheme has one, the
	// status is 403, since a 401 carries a challenge (RFC 9110, section 15.5.2).
	//
	// A request with a Sec-Fetch-* or X-Requested-With header gets no Basic challenge, and
	// neither does a refused login: browsers open a password dialogue for it.
	EveryChallenge ChallengePolicy = iota
	// FirstChallenge is the rule of Django REST Framework: the challenge of the
	// chain's first scheme alone; where that has none the status is 403.
	FirstChallenge
)

// Respond answers an error of authn or authz as the middleware would: the one
// that the request went through, with its challenges, its writer and its logger,
// or one with default options. Use it for your handlers' own errors too.
//
//   - ErrNoCredentials: 401 not_authenticated, with challenges
//   - *Error: what it says; a 401 without a Challenge of its own with the chain's, a 403 with
//     Scopes with that of the accepting scheme
//   - an error of a dependency: 503 and Retry-After, logged; see [Undecided] for which these are
//   - any other error, nil included: 500, logged
func Respond(w http.ResponseWriter, r *http.Request, err error) {
	m := fallback
	if s := stateFrom(r.Context()); s != nil && s.m != nil {
		m = s.m
	}
	m.Respond(w, r, err)
}

var fallback = New(Chain{}, nil)

// Respond answers err as this middleware would; see the function Respond.
func (m *Middleware) Respond(w http.ResponseWriter, r *http.Request, err error) {
	if e := refusal(err); e != nil && e.cause != nil {
		m.logger().LogAttrs(r.Context(), slog.LevelInfo, "request refused",
			slog.String("code", e.Code), reason(err), slog.String("route", r.Pattern))
	} else if e == nil && !errors.Is(err, ErrNoCredentials) {
		attrs := []slog.Attr{slog.Any("error", err), slog.String("route", r.Pattern)}
		var s interface{ Stack() string }
		if errors.As(err, &s) {
			attrs = append(attrs, slog.String("stack", s.Stack()))
		}
		m.logger().LogAttrs(r.Context(), faultLevel(err), "request could not be decided", attrs...)
	}
	if e := refusal(err); m.refusals != nil && e != nil && e.Code != codeInvalidLogin && e.Code != codeNotAuthenticated && readsOwn(r) {
		err = m.refusals.Refused(r, err) // of an endpoint that reads its credential itself
	}
	by := nobody
	if e := refusal(err); e != nil && e.Status == http.StatusForbidden {
		by = m.accepting
	}
	m.respond(w, r, m.own(err), by)
}

// readsOwn reports whether an endpoint's 401 may be about a credential that it read itself.
func readsOwn(r *http.Request) bool {
	s := stateFrom(r.Context())
	return len(r.Header["Authorization"]) > 0 || s != nil && s.own
}

// own is an error of a handler: without a known dependency in it, it is the program's own.
func (m *Middleware) own(err error) error {
	if refusal(err) != nil || errors.Is(err, ErrNoCredentials) || isDependency(err) || err != nil && m.unavailable != nil && m.known(err) {
		return err
	}
	return bug{}
}

// known calls Options.Unavailable, whose panic is no answer.
func (m *Middleware) known(err error) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return m.unavailable(err)
}

// faultLevel is Info for a client that went away, Warn for what is only busy, and
// Error for what is broken.
func faultLevel(err error) slog.Level {
	var u *Unavailable
	switch {
	case errors.Is(err, context.Canceled):
		return slog.LevelInfo
	case errors.As(err, &u):
		return slog.LevelWarn
	}
	return slog.LevelError
}

// respond writes the answer to a decision that leaf by made.
func (m *Middleware) respond(w http.ResponseWriter, r *http.Request, err error, by int) {
	e := m.public(err)
	p := pageFrom(r.Context())
	if p.redirects(r, err, e) {
		seeOther(w, p.toLogin(r))
		return
	}
	h := w.Header()
	noBasic := FromBrowser(r) || e.Code == codeInvalidLogin && by == nobody
	if e.Status == http.StatusUnauthorized || e.Challenge != "" || by != nobody && len(e.Scopes) > 0 {
		var challenges []string
		switch {
		case e.Challenge != "" && !noBasic:
			challenges = []string{e.Challenge}
		case e.Challenge != "":
			challenges = arrange([]string{e.Challenge}, false, true)
		case refusal(err) == nil:
			challenges = m.challenges(r, e, by, noBasic)
		default:
			challenges = m.challenges(r, err, by, noBasic)
		}
		if len(challenges) == 0 && e.Status == http.StatusUnauthorized {
			c := *e
			c.Status = http.StatusForbidden
			e = &c
		} else if len(challenges) > 0 {
			h["Www-Authenticate"] = challenges
		}
	}
	if n := seconds(e.RetryAfter); n > 0 {
		h.Set("Retry-After", itoa(n))
	}
	for name, values := range e.Header {
		if name == "Www-Authenticate" {
			values = arrange(values, false, noBasic)
		}
		h[name] = values
	}
	for _, c := range e.Cookies {
		http.SetCookie(w, c)
	}
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	if p != nil && forPeople(r) {
		m.custom(w, r, e, "authn.Options.WritePage", m.writePage, WritePage)
		return
	}
	m.custom(w, r, e, "authn.Options.WriteError", m.write, WriteDetail)
}

// custom writes an error answer by the application's writer, or by the default one if that is
// nil. If the application's panics, nothing of its answer is sent.
func (m *Middleware) custom(w http.ResponseWriter, r *http.Request, e *Error, name string, write, usual ErrorWriter) {
	if write == nil {
		usual(w, r, e)
		return
	}
	if err := Render(w, name, func(w http.ResponseWriter) { write(w, r, e) }); err != nil {
		m.logger().LogAttrs(r.Context(), slog.LevelError, "error writer panicked", slog.Any("error", err), slog.String("route", r.Pattern), slog.String("stack", err.(*hookPanic).Stack()))
		w.Header().Del("Www-Authenticate")
		usual(w, r, m.fault(err))
	}
}

func (m *Middleware) fault(err error) *Error {
	status := faultStatus(err)
	if status != http.StatusServiceUnavailable {
		return &Error{Status: status, Code: "error", Detail: "A server error occurred."}
	}
	wait := m.retryAfter
	var u *Unavailable
	if errors.As(err, &u) && u.RetryAfter > 0 {
		wait = u.RetryAfter
	}
	return &Error{Status: status, Code: "unavailable", Detail: "Service temporarily unavailable, try again later.", RetryAfter: max(wait, time.Second)}
}

// FromBrowser reports whether a browser, or a script in one, sent the request, by the headers
// Sec-Fetch-* and X-Requested-With. Do not answer such a request with a Basic challenge: the
// browser would open its password dialog over the page. Respond omits it by itself.
func FromBrowser(r *http.Request) bool {
	if len(r.Header["X-Requested-With"]) > 0 {
		return true
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}
