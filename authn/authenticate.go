package authn

import (
	"context"
	"errors"
	"net/http"
)

// Authenticate authenticates a request that net/http does not serve, such as a call of gRPC or
// a message of a queue. It returns the context in which the request continues: FromContext,
// UserFrom and the guards of package authz read the identity from it, and stores the client's
// address. A request without credentials is no error: its context is anonymous, as in Handler.
//
// The schemes, the kept identities, the limit of refused credentials (Options.Refusals), the
// observer, the log and the trace are those of Handler. The error is always an *Error, with what
// the middleware would answer: 401 or 403 for a rejected credential, 429 for a limit, 503 and
// RetryAfter if a dependency failed. Its cause is private: send the client Status, Code and
// Detail only. With an error the context is anonymous.
//
// Build r for the call: Method (an unsafe one, unless the call changes nothing), URL, Host and
// RemoteAddr, the credentials in Header, and the call's context. Accept Authorization only: a
// cookie, or a header that a proxy vouches for, does not belong in a transport that no browser
// uses. A scheme may read the body and has no answer to write to, so a session's cookie is not
// renewed.
//
//	r := (&http.Request{
//		Method: "POST", URL: &url.URL{Path: "/notes.Notes/Add"}, RemoteAddr: peer,
//		Header: http.Header{"Authorization": metadata["authorization"]}, Body: http.NoBody,
//	}).WithContext(ctx)
//	ctx, err := auth.Authenticate(r)
func (m *Middleware) Authenticate(r *http.Request) (context.Context, error) {
	var f found
	s := newState(r, m)
	seen := m.visible(&s.r)
	var err error
	if m.refusals != nil {
		if err = m.refusals.Admit(seen, m.presented); err != nil {
			s.decided = true
			return s, m.public(err)
		}
	}
	by, trace, err := m.decide(r, seen, &f)
	if err != nil && by != anonymousRequest {
		if m.refusals != nil {
			err = m.refusals.Refused(seen, err)
		}
		s.decided = true
		return s, m.public(err)
	}
	if by >= 0 {
		if m.refusals != nil {
			m.refusals.Accepted(seen, m.presented, f.names())
		}
		s.m = m.behind[by]
	}
	s.decide(&f)
	if trace != nil {
		return context.WithValue(s, traceKey{}, trace.steps), nil
	}
	return s, nil
}

// public is what the client of a request is told that failed with err.
func (m *Middleware) public(err error) *Error {
	e := refusal(err)
	switch {
	case e != nil && (e.Status < 400 || e.Status > 599): // a mistake in a scheme or a handler
		return &Error{Status: http.StatusInternalServerError, Code: "error", Detail: "A server error occurred."}
	case e != nil:
		return e
	case errors.Is(err, ErrUnrecognized):
		return refusal(refusalOf(err))
	case errors.Is(err, ErrNoCredentials):
		return NotAuthenticated()
	}
	return m.fault(err).WithCause(err)
}
