package authn

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// BearerChallenge builds the WWW-Authenticate value of a scheme whose tokens use the keyword
// "Bearer" (RFC 6750, section 3) or "DPoP" (RFC 9449, section 7.1). Use it in the Challenge method
// of your own scheme. The schemes of this module use it too.
type BearerChallenge struct {
	// Keyword is the authentication scheme. "" means "Bearer".
	Keyword string
	// Realm is the realm parameter. It is not sent if it is "".
	Realm string
	// ResourceMetadata is the absolute URL of the protected resource metadata (RFC 9728, section
	// 5.1), or "" for none. Set it from configuration. You MUST NOT derive it from the request's
	// Host, because a forged Host would send clients to an attacker's authorization server.
	ResourceMetadata string
	// Invalid is the Error.Code with which the scheme rejects a token. It is sent as
	// error="invalid_token".
	Invalid string
	// StepUp is set for tokens of an authorization server with which the user can log in again. The
	// challenge then tells the client how (RFC 9470, section 3). Otherwise a user who must log in again
	// gets a 403 without a challenge.
	StepUp bool
}

// Check returns an error if ResourceMetadata is not usable by clients: an absolute https URL without
// user and fragment, in printable ASCII without quotes and backslashes. http is accepted for a
// loopback address. "" is accepted. Call it in the constructor of your own scheme.
func (c BearerChallenge) Check() error {
	text := c.ResourceMetadata
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(text, "#") ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) ||
		u.Scheme != "https" && !(u.Scheme == "http" && IsLoopbackHost(u.Host)) {
		return fmt.Errorf("invalid ResourceMetadata %q (https://host/path without user and fragment; http for loopback addresses)", text)
	}
	return nil
}

// For returns the challenge for a request that was rejected with err:
//   - error="invalid_token" if err has the code Invalid
//   - error="insufficient_scope" if the identity lacks a scope
//   - error="insufficient_user_authentication" with acr_values and max_age, if StepUp is set and the
//     user must log in again
//   - no error parameter if the request has no credentials
//
// It includes the scopes that the route requires, if they are known (see [ScopesOf]).
func (c BearerChallenge) For(err error) string {
	var refused *Error
	code, step := "", []param(nil)
	if errors.As(err, &refused) && refused != nil {
		switch refused.Code {
		case CodeInsufficientScope:
			code = CodeInsufficientScope
		case CodeInsufficientAuthentication:
			if c.StepUp {
				code, step = CodeInsufficientAuthentication, refused.StepUp.params()
			}
		case c.Invalid:
			code = "invalid_token"
		}
	}
	list := []param{{"realm", c.Realm}, {"error", code}, {"resource_metadata", c.ResourceMetadata}, {"scope", strings.Join(ScopesOf(err), " ")}}
	if code == CodeInsufficientScope {
		list[2], list[3] = list[3], list[2]
	}
	list = slices.Insert(list, 2, step...)
	keyword := c.Keyword
	if keyword == "" {
		keyword = "Bearer"
	}
	return challenge{keyword, "", slices.DeleteFunc(list, func(p param) bool { return p.value == "" })}.String()
}

// CodeInsufficientScope is the Error.Code of a 403 for an identity that lacks a scope (RFC 6750,
// section 3.1). Error.Scopes holds every scope that the route requires.
const CodeInsufficientScope = "insufficient_scope"

// ScopesOf returns the scopes that the route of the rejected request requires, in the order of its
// permissions, or nil. Call it in your Challenge method (see [Challenger]) with the error that the
// method receives.
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

// missing is ErrNoCredentials for a route that requires scopes.
type missing struct{ scopes []string }

func (*missing) Error() string { return ErrNoCredentials.Error() }
func (*missing) Unwrap() error { return ErrNoCredentials }

// withScopes returns err with the scopes that the route requires, for a Challenger.
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

// scopes returns the scopes that the guards after the middleware require for r, without duplicates.
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

// scopesNeeded finds the guards after a middleware.
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

// challenges returns the values of WWW-Authenticate for a rejection. If a scheme rejected or
// accepted the credentials (by), only its challenge is sent, and only this scheme receives the
// reason. If no scheme did, the challenges of all schemes are sent.
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
		return nil // authenticated, so other credentials would not help
	}
	without := withScopes(ErrNoCredentials, ScopesOf(err))
	all := make([]string, len(leaves))
	for i := range leaves {
		all[i] = m.challenge(r, &leaves[i], without)
	}
	return arrange(all, true, noBasic)
}

// challenge returns the challenge of one scheme, or "" if it has none or panics.
func (m *Middleware) challenge(r *http.Request, l *leaf, err error) (c string) {
	if l.challenger == nil {
		return ""
	}
	defer func() {
		if v := recover(); v != nil {
			m.logger().LogAttrs(r.Context(), slog.LevelError, "panic in challenge", slog.String("scheme", l.name), slog.Any("error", newPanic(v)))
			c = ""
		}
	}()
	return l.challenger.Challenge(r, err)
}

// arrange returns the challenges, one per line, without duplicates, in this order:
//  1. One Bearer challenge with the parameters of all Bearer challenges. MCP clients read only the
//     first line and stop at a Bearer challenge without parameters.
//  2. Every other challenge.
//  3. Every text that is not a list of challenges (RFC 9110, section 11.6.1).
//
// A merged challenge has no error parameter, because no scheme rejected anything.
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
// metadata. A merged challenge has room for only one URL, and a client would follow either.
func metadataConflict(leaves []leaf) error {
	by, url := "", ""
	for i := range leaves {
		l := &leaves[i]
		for _, c := range l.statically() {
			for _, p := range c.params {
				switch {
				case !strings.EqualFold(c.scheme, "Bearer") || !strings.EqualFold(p.name, "resource_metadata"):
				case by != "" && url != p.value:
					return fmt.Errorf("authn: chain: schemes %q and %q name different resource_metadata (%q, %q); a chain serves one resource", by, l.name, url, p.value)
				default:
					by, url = l.name, p.value
				}
			}
		}
	}
	return nil
}

// statically returns the challenges of a scheme for a request without credentials. It returns none
// if the scheme panics because it needs more than an empty request.
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
