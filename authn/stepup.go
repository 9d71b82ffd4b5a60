package authn

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// CodeInsufficientAuthentication is the Error.Code of a rejection of a user who must log in again:
// more recently, or in another way (RFC 9470, section 3). See [StepUp].
const CodeInsufficientAuthentication = "insufficient_user_authentication"

// StepUp says how a user must log in for a request. Package authz sets it in the Error of Fresh, ACR
// and Factors.
type StepUp struct {
	// MaxAge is the longest accepted time since the login, in whole seconds. 0 means any time.
	MaxAge time.Duration
	// ACR are the accepted authentication context classes. Nil means any.
	ACR []string
}

// merge adds the requirements of t: the shorter time, and the classes of both.
func (s StepUp) merge(t StepUp) StepUp {
	if s.MaxAge == 0 || t.MaxAge > 0 && t.MaxAge < s.MaxAge {
		s.MaxAge = t.MaxAge
	}
	s.ACR = union(s.ACR, t.ACR)
	return s
}

// union returns the texts of both lists, each once.
func union(a, b []string) (all []string) {
	seen := make(map[string]bool, len(a)+len(b))
	for _, list := range [...][]string{a, b} {
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}

// InsufficientAuthentication returns the rejection of a user who must log in again, in a way that
// meets all of steps. [Respond] sends it as:
//
//   - a 401 with the challenge of RFC 9470, if the scheme that accepted the credentials has such a
//     challenge (see BearerChallenge.StepUp)
//   - a redirect to the login page (303), for a GET of a [Page] with credentials of a browser. The
//     parameters max_age (seconds) and acr_values (separated by spaces) are added to "next". The
//     login page must then show its form, even if the user has a session
//   - a 403 otherwise
//
// The body has the members code, and max_age and acr_values if they are required.
func InsufficientAuthentication(steps ...StepUp) *Error {
	var s StepUp
	for _, t := range steps {
		s = s.merge(t)
	}
	e := newError(http.StatusForbidden, CodeInsufficientAuthentication, "", "Log in again to do this.")
	e.StepUp = &s
	e.Members = []Member{{"code", e.Code}}
	if s.MaxAge > 0 {
		e.Members = append(e.Members, Member{"max_age", int64(s.MaxAge / time.Second)})
	}
	if len(s.ACR) > 0 {
		e.Members = append(e.Members, Member{"acr_values", strings.Join(s.ACR, " ")})
	}
	return e
}

// params returns the requirements as they are called in challenges and URLs.
func (s *StepUp) params() (list []param) {
	if s == nil {
		return nil
	}
	if len(s.ACR) > 0 {
		list = append(list, param{"acr_values", strings.Join(s.ACR, " ")})
	}
	if s.MaxAge > 0 {
		list = append(list, param{"max_age", strconv.FormatInt(int64(s.MaxAge/time.Second), 10)})
	}
	return list
}

// Prover is an [Authenticator] whose credentials are a proof of the user's identity at the moment of
// the request, such as a password that a program sends. Proves returns false for a request whose
// credentials a browser may have stored. Permissions such as authz.Fresh then use Identity.AuthTime.
type Prover interface {
	Proves(r *http.Request) bool
}

// LoginAge returns the time since the caller of r proved their identity, or false if it is not known.
// The age is 0 if the credentials are such a proof (see [Prover]). It is never negative: a login of up
// to a minute ahead of the clock has the age 0, and a later one is not known.
func LoginAge(r *http.Request) (age time.Duration, known bool) {
	s := stateFrom(r.Context())
	if s == nil || s.id == nil || s.id.Subject == "" {
		return 0, false
	}
	if m := s.m; m != nil && m.accepting >= 0 {
		if p, ok := AbilityOf[Prover](m.plan.leaves[m.accepting].Authenticator); ok && p.Proves(r) {
			return 0, true
		}
	}
	if s.id.AuthTime.IsZero() {
		return 0, false
	}
	now := time.Now()
	if s.m != nil && s.m.now != nil {
		now = s.m.now()
	}
	age = now.Sub(s.id.AuthTime)
	return max(age, 0), age >= -maxAhead
}

// maxAhead is how far ahead the clock of whoever recorded a login may be.
const maxAhead = time.Minute

// redirectsAgain reports whether the response is a redirect to the login page, so that the user logs
// in again.
func (m *Middleware) redirectsAgain(p *page, r *http.Request, e *Error, by int) bool {
	return p != nil && p.login != "" && e.StepUp != nil && by >= 0 && by < len(m.plan.leaves) && m.plan.leaves[by].ambient() && !MayChange(r) && !p.isLogin(r)
}

// toLoginAgain is toLogin for a user who must log in again.
func (p *page) toLoginAgain(r *http.Request, s *StepUp) string {
	to := p.toLogin(r)
	mark := "?"
	if strings.Contains(to, "?") {
		mark = "&"
	}
	for _, v := range s.params() {
		to += mark + v.name + "=" + url.QueryEscape(v.value)
		mark = "&"
	}
	return to
}

// stepUpChallenges returns the challenges that tell a client how its user must log in again.
func stepUpChallenges(all []string) (list []string) {
	for _, c := range all {
		if strings.Contains(c, `error="`+CodeInsufficientAuthentication+`"`) {
			list = append(list, c)
		}
	}
	return list
}
