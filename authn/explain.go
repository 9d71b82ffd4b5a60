package authn

import (
	"context"
	"net/http"
)

type explainedKey struct{}

// Explained reports whether ctx belongs to a request of [Middleware.Explain]. A scheme MUST NOT
// change anything for such a request: it must not exchange or use up a one-time credential, record
// a use or create an account. For such a request a scheme may only read. Package audit records no
// events for it.
func Explained(ctx context.Context) bool { return ctx.Value(explainedKey{}) != nil }

// Explain passes r to the chain as [Middleware.Handler] would, and returns the result of each
// scheme, in the order of the calls. Use it in pages and tools that show how a decision is made.
//
// Explain sends no response. It changes, renews, logs and observes nothing, because the schemes
// check [Explained]. So a DPoP proof, or a cookie that is exchanged on use, stays valid for the
// real request. The one exception is a password: the login limits count it, so that Explain cannot
// be used to bypass them. Steps contain no secret. If the outcome is [Fault], Step.Why is the text
// of the error, so show it only to operators.
//
// The error is nil if the request is authenticated or anonymous, and an [*Error] if it is rejected.
// Any other error means that the request could not be decided.
func (m *Middleware) Explain(r *http.Request) (Identity, []Step, error) {
	t := new(tracer)
	var f found
	r = r.WithContext(context.WithValue(r.Context(), explainedKey{}, true))
	if _, err := m.plan.authenticate(m.visible(r), t, &f); err != nil && err != ErrNoCredentials {
		return Identity{}, t.steps, err
	}
	return f.handOut(), t.steps, nil
}
