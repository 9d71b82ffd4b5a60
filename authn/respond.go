package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ChallengePolicy says what a 401 carries in WWW-Authenticate.
type ChallengePolicy uint8

const (
	// EveryChallenge: a refusal carries the refusing scheme's own challenge, a
	// missing credential every distinct challenge of the chain, in order. Where no
	// scheme has one the status is 403, since a 401 carries a challenge (RFC 9110
	// section 15.5.2).
	EveryChallenge ChallengePolicy = iota
	// FirstChallenge is the rule of Django REST Framework: the challenge of the
	// chain's first scheme alone; where that has none the status is 403.
	FirstChallenge
)

// Respond answers an error of authn or authz as the middleware would: the one
// that the request went through, with its challenges, its writer and its logger,
// or one with default options. Handlers and endpoints use it for their own errors
// too.
//
//   - ErrNoCredentials: 401 not_authenticated, with challenges
//   - *Error: what it says; a 401 that has no Challenge of its own with the chain's
//   - any other error, nil included: 503 and Retry-After, logged
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
		m.logger().LogAttrs(r.Context(), faultLevel(err), "request could not be decided", slog.Any("error", err), slog.String("route", r.Pattern))
	}
	m.respond(w, r, err, nobody)
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
	e := refusal(err)
	switch {
	case e != nil && (e.Status < 400 || e.Status > 599): // a mistake of whoever made it
		e = &Error{Status: http.StatusInternalServerError, Code: "error", Detail: "A server error occurred."}
	case e != nil:
	case errors.Is(err, ErrUnrecognized):
		e = refusal(refusalOf(err))
	case errors.Is(err, ErrNoCredentials):
		e = NotAuthenticated()
	default:
		e = m.fault(err)
	}
	h := w.Header()
	if e.Status == http.StatusUnauthorized || e.Challenge != "" {
		challenges := []string{e.Challenge}
		if e.Challenge == "" {
			challenges = m.challenges(r, err, by)
		}
		if len(challenges) == 0 {
			c := *e
			c.Status = http.StatusForbidden
			e = &c
		} else {
			h["Www-Authenticate"] = challenges
		}
	}
	if n := seconds(e.RetryAfter); n > 0 {
		h.Set("Retry-After", itoa(n))
	}
	for name, values := range e.Header {
		h[name] = values
	}
	for _, c := range e.Cookies {
		http.SetCookie(w, c)
	}
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	m.write(w, r, e)
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

// challenges returns the values of WWW-Authenticate for a 401. Only the leaf that
// refused, by, is told why; the others are asked what they would like to see.
func (m *Middleware) challenges(r *http.Request, err error, by int) []string {
	leaves := m.plan.leaves
	if m.policy == FirstChallenge && len(leaves) > 0 {
		leaves = leaves[:1]
	}
	noBasic := m.plan.cookies && fromBrowser(r)
	ask := func(i int, err error) (c string) {
		if leaves[i].challenger == nil {
			return ""
		}
		defer func() {
			if v := recover(); v != nil {
				m.logger().LogAttrs(r.Context(), slog.LevelError, "panic in a challenge", slog.String("scheme", leaves[i].name), slog.Any("error", newPanic(v)))
				c = ""
			}
		}()
		c = leaves[i].challenger.Challenge(r, err)
		if noBasic && isBasic(c) {
			return ""
		}
		return c
	}
	if by >= 0 && by < len(leaves) {
		if c := ask(by, err); c != "" {
			return []string{c}
		}
	}
	var all []string
	for i := range leaves {
		if c := ask(i, ErrNoCredentials); c != "" && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// isBasic and fromBrowser serve RULES B4: where a page logs in by session, a
// browser must not open its password dialogue.
func isBasic(challenge string) bool {
	return len(challenge) >= 5 && strings.EqualFold(challenge[:5], "Basic") && (len(challenge) == 5 || challenge[5] == ' ')
}

func fromBrowser(r *http.Request) bool {
	for _, h := range [...]string{"Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User"} {
		if len(r.Header[h]) > 0 {
			return true
		}
	}
	return false
}
