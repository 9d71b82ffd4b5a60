package authn

import (
	"context"
	"net/http"
)

// handler is the result of Handler and Public. Package authz inspects it.
type handler struct {
	m       *Middleware
	next    http.Handler
	bare    bool
	page    *page                          // nil if the handler is not a Page
	preempt Preempter                      // nil if the handler is no Preempter
	needs   []func(*http.Request) []string // the scopes that the guards after it require
}

// Unwrap returns the handler after the middleware.
func (h *handler) Unwrap() http.Handler { return h.next }

// Schemes returns the names of the schemes that authenticate requests to the handler.
func (h *handler) Schemes() []string {
	if h.bare {
		return nil
	}
	return h.m.Schemes()
}

// Public reports whether the handler deliberately has no authentication (see [Middleware.Public]).
func (h *handler) Public() bool { return h.bare }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := h.m
	if h.page != nil {
		r = r.WithContext(context.WithValue(r.Context(), pageKey{}, h.page))
	}
	if h.preempt != nil && len(r.Header["Authorization"]) <= 1 { // several are always rejected
		var done bool
		if r, done = h.preempt.Preempt(w, r); done {
			return
		}
	}
	if h.bare {
		if len(r.Header["Authorization"]) > 1 {
			m.Respond(w, r, errSeveralHeaders)
			return
		}
		s := newState(r, m)
		s.decided = true
		h.next.ServeHTTP(w, &s.r)
		return
	}
	if len(m.vary) > 0 {
		m.varies(w.Header())
	}
	var f found
	s := newState(r, m)
	seen := m.visible(&s.r)
	if m.refusals != nil {
		if err := m.refusals.Admit(seen, m.presented); err != nil {
			m.respond(w, r, err, nobody)
			return
		}
	}
	by, trace, err := m.decide(r, seen, &f)
	if seen != &s.r { // a scheme may have read and replaced the body
		header := s.r.Header
		s.r = *seen
		s.r.Header = header
	}
	if err != nil && by != anonymousRequest {
		answer := err
		if m.refusals != nil {
			answer = m.refusals.Refused(seen, err)
		}
		if e := refusal(answer); e == nil || e.Status != http.StatusTooManyRequests {
			answer = withScopes(answer, h.scopes(r))
		}
		if !m.goesOn(w, r, err, answer, by) {
			return
		}
		by = anonymousRequest
	}
	if by >= 0 {
		if m.refusals != nil {
			m.refusals.Accepted(seen, m.presented, f.names())
		}
		m = m.behind[by]
	}
	s.decide(&f)
	s.m = m
	to := &s.r
	if trace != nil {
		to = to.WithContext(context.WithValue(to.Context(), traceKey{}, trace.steps))
	}
	if by >= 0 {
		if rn := m.plan.leaves[by].renewer; rn != nil && !m.renew(rn, w, to, &f) {
			return
		}
	}
	h.next.ServeHTTP(w, to)
	if m.edited != nil && f.shared != nil {
		if field := f.shared.edited(); field != "" {
			m.edited(r, field)
		}
	}
}
