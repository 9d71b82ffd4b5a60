package authn

import (
	"context"
	"net/http"
)

type explainedKey struct{}

// Explained reports whether ctx is that of a request that Middleware.Explain asks about. A scheme
// MUST NOT change anything then: not exchange or use up a one-time credential, not note a use, and
// not create an account. It decides by what it reads. Package audit records no events then.
func Explained(ctx context.Context) bool { return ctx.Value(explainedKey{}) != nil }

// Explain asks the chain about r as Handler would, and returns what each scheme said, in the
// order of asking. It answers, renews, logs, observes and changes nothing, because the schemes ask
// Explained: a proof or a cookie that is exchanged at its use stays valid for the real request. Only
// the limits count a password, so that Explain is no way around them. It is for pages and tools
// that show how a decision came about. Steps hold no secret, but the Why of a Fault is the
// error itself, which is for those who run the server.
//
// The error is that of the decision: nil also for an anonymous request, *Error for a refused
// one, any other where nobody could tell.
func (m *Middleware) Explain(r *http.Request) (Identity, []Step, error) {
	t := new(tracer)
	var f found
	r = r.WithContext(context.WithValue(r.Context(), explainedKey{}, true))
	if _, err := m.plan.authenticate(m.visible(r), t, &f); err != nil && err != ErrNoCredentials {
		return Identity{}, t.steps, err
	}
	return f.handOut(), t.steps, nil
}
