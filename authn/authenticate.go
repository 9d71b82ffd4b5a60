package authn

import (
	"context"
	"errors"
	"net/http"
)

// Authenticate authenticates a request that net/http does not serve, such as a gRPC call or a
// message from a queue. It returns the context for the rest of the request. [FromContext],
// [UserFrom] and the guards of package authz read the identity from it, and stores read the client
// address.
//
// A request without credentials is not an error: its context is anonymous, as in
// [Middleware.Handler]. Authenticate uses the same schemes, kept identities, limit of rejected
// credentials (Options.Refusals), observer, log and trace as Handler.
//
// The error is always an [*Error] with the response that the middleware would send:
//   - 401 or 403 for rejected credentials
//   - 429 if a limit was reached
//   - 503 and RetryAfter if a dependency failed
//
// Send only Status, Code and Detail to the client. The cause is private. If Authenticate returns an
// error, the context is anonymous.
//
// Build r for the call: set Method (an unsafe method if the call changes something), URL, Host,
// RemoteAddr, the credentials in Header, and the context of the call. Pass on only Authorization: a
// cookie, or a header that a proxy adds, does not belong in a transport that no browser uses. A
// scheme can read the body but has no response to write to, so a session cookie is not renewed.
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

// public returns the response for a request that failed with err.
func (m *Middleware) public(err error) *Error {
	e := refusal(err)
	switch {
	case e != nil && (e.Status < 400 || e.Status > 599): // a bug in a scheme or a handler
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
