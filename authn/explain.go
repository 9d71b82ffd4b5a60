package authn

import "net/http"

// Explain asks the chain about r as Handler would, and returns what each scheme said, in the
// order of asking. It answers, renews, logs and observes nothing: it is for pages and tools
// that show how a decision came about. Steps hold no secret, but the Why of a Fault is the
// error itself, which is for those who run the server.
//
// The error is that of the decision: nil also for an anonymous request, *Error for a refused
// one, any other where nobody could tell.
func (m *Middleware) Explain(r *http.Request) (Identity, []Step, error) {
	t := new(tracer)
	var f found
	if _, err := m.plan.authenticate(m.visible(r), t, &f); err != nil && err != ErrNoCredentials {
		return Identity{}, t.steps, err
	}
	return f.handOut(), t.steps, nil
}
