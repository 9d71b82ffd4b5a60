package authn

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// BearerChallenge builds the WWW-Authenticate value of a scheme whose tokens come under
// "Bearer" (RFC 6750, section 3) or "DPoP" (RFC 9449, section 7.1). Use it in the Challenge
// method of a scheme of your own; the shipped schemes do.
type BearerChallenge struct {
	// Keyword is the authentication scheme; "" is "Bearer".
	Keyword string
	// Realm is sent if it is not "".
	Realm string
	// ResourceMetadata is the absolute URL of the protected resource metadata (RFC 9728,
	// section 5.1); "" for none. Take it from configuration, never from the request's Host: a
	// forged one would send clients to an attacker's authorization server.
	ResourceMetadata string
	// Invalid is the Code of the scheme's own refusals that mean error="invalid_token".
	Invalid string
}

// For returns the challenge for a request that err refused: error="invalid_token" for the
// scheme's own refusals, error="insufficient_scope" for an identity whose scopes do not
// suffice, and no error for a request without credentials. The scopes that the route needs
// are in it if they are known (see [ScopesOf]).
func (c BearerChallenge) For(err error) string {
	var refused *Error
	code := ""
	if errors.As(err, &refused) && refused != nil {
		switch refused.Code {
		case CodeInsufficientScope:
			code = CodeInsufficientScope
		case c.Invalid:
			code = "invalid_token"
		}
	}
	list := []param{{"realm", c.Realm}, {"error", code}, {"resource_metadata", c.ResourceMetadata}, {"scope", strings.Join(ScopesOf(err), " ")}}
	if code == CodeInsufficientScope {
		list[2], list[3] = list[3], list[2]
	}
	keyword := c.Keyword
	if keyword == "" {
		keyword = "Bearer"
	}
	return challenge{keyword, "", slices.DeleteFunc(list, func(p param) bool { return p.value == "" })}.String()
}

// CodeInsufficientScope is the Code of a 403 for an identity that lacks a scope (RFC 6750,
// section 3.1). Error.Scopes holds every scope that the route needs.
const CodeInsufficientScope = "insufficient_scope"

// ScopesOf returns the scopes that the route of the refused request needs, in the order of its
// permissions, or nil. A Challenger uses it with the error that it is given.
func ScopesOf(err error) []string {
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e.Scopes
	}
	var m *missing
	if errors.As(err, &m) {
		return m.scopes
	}
	return nil
}

// missing is ErrNoCredentials at a route that needs scopes.
type missing struct{ scopes []string }

func (*missing) Error() string { return ErrNoCredentials.Error() }
func (*missing) Unwrap() error { return ErrNoCredentials }

// withScopes returns err with the scopes that the route needs, for a Challenger.
func withScopes(err error, scopes []string) error {
	if len(scopes) == 0 {
		return err
	}
	var e *Error
	if errors.As(err, &e) && e != nil {
		if e.Scopes != nil {
			return err
		}
		c := *e
		c.Scopes = scopes
		return &c
	}
	if errors.Is(err, ErrNoCredentials) {
		return &missing{scopes}
	}
	return err
}

// scopes returns the scopes that the guards behind the middleware need for r, each once.
func (h *handler) scopes(r *http.Request) (all []string) {
	for _, needs := range h.needs {
		for _, s := range needs(r) {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// scopesNeeded finds the guards behind a middleware.
func scopesNeeded(h http.Handler) (all []func(*http.Request) []string) {
	for h != nil {
		if g, ok := h.(interface {
			ScopesNeeded(*http.Request) []string
		}); ok {
			all = append(all, g.ScopesNeeded)
		}
		u, ok := h.(interface{ Unwrap() http.Handler })
		if !ok {
			break
		}
		h = u.Unwrap()
	}
	return all
}

// challenges returns the values of WWW-Authenticate for a refusal. The scheme that refused or
// accepted, by, answers for itself: only it is told why. If nothing refused, every scheme of the
// chain is asked what it would like to see.
func (m *Middleware) challenges(r *http.Request, err error, by int, noBasic bool) []string {
	leaves := m.plan.leaves
	if m.policy == FirstChallenge && len(leaves) > 0 {
		leaves = leaves[:1]
	}
	if by >= 0 && by < len(leaves) {
		if own := arrange([]string{m.challenge(r, &leaves[by], err)}, false, noBasic); len(own) > 0 {
			return own
		}
	}
	if e := refusal(err); e != nil && e.Status != http.StatusUnauthorized {
		return nil // authenticated: what other schemes would like to see is no answer
	}
	without := withScopes(ErrNoCredentials, ScopesOf(err))
	all := make([]string, len(leaves))
	for i := range leaves {
		all[i] = m.challenge(r, &leaves[i], without)
	}
	return arrange(all, true, noBasic)
}

// challenge asks one scheme.
func (m *Middleware) challenge(r *http.Request, l *leaf, err error) (c string) {
	if l.challenger == nil {
		return ""
	}
	defer func() {
		if v := recover(); v != nil {
			m.logger().LogAttrs(r.Context(), slog.LevelError, "panic in a challenge", slog.String("scheme", l.name), slog.Any("error", newPanic(v)))
			c = ""
		}
	}()
	return l.challenger.Challenge(r, err)
}

// arrange puts challenges in the order in which clients find theirs: one Bearer challenge that
// holds the parameters of all, first, since MCP clients read the first line alone and give up at a bare
// Bearer; then each distinct other one on a line of its own; last what is no list of challenges
// of RFC 9110, section 11.6.1. An error of a challenge that is merged is dropped: nobody
// refused anything.
func arrange(texts []string, merge, noBasic bool) []string {
	var bearer *challenge
	var lines, odd []string
	add := func(to *[]string, line string) {
		if !slices.Contains(*to, line) {
			*to = append(*to, line)
		}
	}
	for _, text := range texts {
		if text == "" {
			continue
		}
		list, ok := parseChallenges(text)
		if !ok {
			if !noBasic || !strings.Contains(strings.ToLower(text), "basic") {
				add(&odd, text)
			}
			continue
		}
		for _, c := range list {
			switch {
			case noBasic && strings.EqualFold(c.scheme, "Basic"):
			case !strings.EqualFold(c.scheme, "Bearer") || c.token != "":
				add(&lines, c.text(text, len(list)))
			case !merge:
				lines = slices.Insert(lines, 0, c.text(text, len(list)))
			default:
				if bearer == nil {
					bearer = &challenge{scheme: "Bearer"}
				}
				bearer.merge(c)
			}
		}
	}
	if bearer != nil {
		lines = slices.Insert(lines, 0, bearer.String())
	}
	return append(lines, odd...)
}

// metadataConflict returns an error if two schemes of one chain name different protected resource
// metadata: a merged challenge has room for one, and a client would follow either.
func metadataConflict(leaves []leaf) error {
	by, url := "", ""
	for i := range leaves {
		l := &leaves[i]
		for _, c := range l.statically() {
			for _, p := range c.params {
				switch {
				case !strings.EqualFold(c.scheme, "Bearer") || !strings.EqualFold(p.name, "resource_metadata"):
				case by != "" && url != p.value:
					return fmt.Errorf("authn: schemes %q and %q name different resource_metadata (%q, %q): one chain serves one resource", by, l.name, url, p.value)
				default:
					by, url = l.name, p.value
				}
			}
		}
	}
	return nil
}

// statically returns the challenges that a scheme has for a request without credentials. A scheme
// that needs more than an empty request shows none.
func (l *leaf) statically() (list []challenge) {
	if l.challenger == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			list = nil
		}
	}()
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		return nil
	}
	list, _ = parseChallenges(l.challenger.Challenge(r, ErrNoCredentials))
	return list
}
