package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// ChallengePolicy selects the challenges (WWW-Authenticate) of a 401.
type ChallengePolicy uint8

const (
	// EveryChallenge sends the challenge of the scheme that rejected the credentials. If there were
	// no credentials, it sends every distinct challenge of the chain: first one line with the
	// merged Bearer challenges, then the others in the order of the chain. If no scheme has a
	// challenge, the status is 403, because a 401 requires one (RFC 9110, section 15.5.2).
	//
	// A request with a Sec-Fetch-* or X-Requested-With header, and a rejected login, get no Basic
	// challenge, because browsers would open a password dialog for it.
	EveryChallenge ChallengePolicy = iota
	// FirstChallenge is the rule of Django REST Framework: only the challenge of the chain's first
	// scheme is sent. If that scheme has none, the status is 403.
	FirstChallenge
)

// Respond answers an error of packages authn and authz as the middleware would. It uses the
// middleware of the request with its challenges, error writer and logger, or a middleware with
// default options if there is none. Use it for the errors of your handlers too.
//
//   - [ErrNoCredentials]: 401 not_authenticated, with challenges
//   - [*Error]: its status and texts. A 401 without a Challenge gets the challenges of the chain. A
//     403 with Scopes gets the challenge of the scheme that accepted the credentials. For StepUp, see
//     [InsufficientAuthentication]
//   - an error of a dependency (see [Undecided]): 503 and Retry-After, logged
//   - any other error, including nil: 500, logged
func Respond(w http.ResponseWriter, r *http.Request, err error) {
	m := fallback
	if s := stateFrom(r.Context()); s != nil && s.m != nil {
		m = s.m
	}
	m.Respond(w, r, err)
}

var fallback = New(Chain{}, nil)

// Respond answers err as this middleware would. See the function [Respond].
func (m *Middleware) Respond(w http.ResponseWriter, r *http.Request, err error) {
	if e := refusal(err); e != nil && e.cause != nil {
		m.logger().LogAttrs(r.Context(), slog.LevelInfo, "request rejected",
			slog.String("code", e.Code), reason(err), slog.String("route", r.Pattern))
	} else if e == nil && !errors.Is(err, ErrNoCredentials) {
		attrs := []slog.Attr{slog.Any("error", err), slog.String("route", r.Pattern)}
		var s interface{ Stack() string }
		if errors.As(err, &s) {
			attrs = append(attrs, slog.String("stack", s.Stack()))
		}
		m.logger().LogAttrs(r.Context(), faultLevel(err), "request error", attrs...)
	}
	if e := refusal(err); m.refusals != nil && e != nil && e.Code != codeInvalidLogin && e.Code != codeNotAuthenticated && readsOwn(r) {
		err = m.refusals.Refused(r, err) // from an endpoint that reads its own credentials
	}
	by := nobody
	if e := refusal(err); e != nil && e.Status == http.StatusForbidden {
		by = m.accepting
	}
	m.respond(w, r, m.own(err), by)
}

// readsOwn reports whether a 401 of an endpoint can be about credentials that it read itself.
func readsOwn(r *http.Request) bool {
	s := stateFrom(r.Context())
	return len(r.Header["Authorization"]) > 0 || s != nil && s.own
}

// own returns the error of a handler. If it is not known to come from a dependency, it is a bug.
func (m *Middleware) own(err error) error {
	if refusal(err) != nil || errors.Is(err, ErrNoCredentials) || isDependency(err) || err != nil && m.unavailable != nil && m.known(err) {
		return err
	}
	return bug{}
}

// known calls Options.Unavailable. A panic counts as false.
func (m *Middleware) known(err error) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return m.unavailable(err)
}

// faultLevel returns Info if the client disconnected, Warn if a dependency is busy, and Error for
// anything else.
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

// respond writes the response to a decision of the leaf by.
func (m *Middleware) respond(w http.ResponseWriter, r *http.Request, err error, by int) {
	e := m.public(err)
	p := pageFrom(r.Context())
	if p.redirects(r, err, e) {
		seeOther(w, p.toLogin(r))
		return
	}
	if m.redirectsAgain(p, r, e, by) {
		seeOther(w, p.toLoginAgain(r, e.StepUp))
		return
	}
	h := w.Header()
	noBasic := FromBrowser(r) || e.Code == codeInvalidLogin && by == nobody
	if e.Status == http.StatusUnauthorized || e.Challenge != "" || by != nobody && (len(e.Scopes) > 0 || e.StepUp != nil) {
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
		if e.StepUp != nil && e.Challenge == "" {
			if challenges = stepUpChallenges(challenges); len(challenges) > 0 {
				c := *e
				c.Status = http.StatusUnauthorized
				e = &c
			}
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

// custom writes an error response with the application's writer, or with the default writer if that
// is nil. If the application's writer panics, nothing of its response is sent.
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

// FromBrowser reports whether a browser, or a script in one, sent the request. It checks for the
// headers Sec-Fetch-* and X-Requested-With. Do not answer such a request with a Basic challenge,
// because the browser would open its password dialog over the page. [Respond] omits it
// automatically.
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
