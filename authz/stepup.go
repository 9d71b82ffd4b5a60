package authz

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// Fresh allows users who logged in at most maxAge ago. Use it for sensitive actions, such as a change
// of the e-mail address or a payment:
//
//	mux.HandleFunc("POST /transfers", transfer, authz.IsAuthenticated, authz.Fresh(5*time.Minute))
//
// The time of the login is Identity.AuthTime. A refreshed access token and a remembered session keep
// the time of the login that they began with. Credentials without such a time, such as static tokens
// and device tokens, are never fresh. A program that sends the password with each request (Basic) is
// always fresh; a browser that does so is not, because it stores the password.
//
// A user whose login is too old gets the answer of [authn.InsufficientAuthentication]: a client learns
// how its user must log in again, and a browser is redirected to the login page. Callers without a user
// get a 403.
//
// Not does not invert this denial. Fresh panics if maxAge is shorter than a second.
func Fresh(maxAge time.Duration) Permission {
	if maxAge < time.Second {
		panic("authz: Fresh: " + maxAge.String() + " is too short (at least 1s)")
	}
	maxAge = maxAge.Truncate(time.Second)
	return newStepUp("Fresh("+maxAge.String()+")", authn.StepUp{MaxAge: maxAge}, nil)
}

// ACR allows users whose login has one of the authentication context classes (Identity.ACR).
// Classes have no order, so list all that are accepted. Other users get the same answer as from
// [Fresh].
//
// ACR panics if there is no value, or if a value is empty or has a blank, a control character, '"' or
// '\'.
func ACR(values ...string) Permission {
	checkNames("ACR", values)
	return newStepUp("ACR("+strings.Join(values, ", ")+")", authn.StepUp{ACR: slices.Clone(values)}, nil)
}

// Factors allows users who logged in with all of the methods (Identity.AMR), such as "otp" or "hwk"
// (RFC 8176). Other users get the same answer as from [Fresh]. The answer does not name the
// methods, because OAuth 2.0 has no parameter for them; to tell clients what they must request, use
// [ACR].
//
// Factors panics in the same cases as ACR.
func Factors(methods ...string) Permission {
	checkNames("Factors", methods)
	return newStepUp("Factors("+strings.Join(methods, ", ")+")", authn.StepUp{}, slices.Clone(methods))
}

func checkNames(what string, names []string) {
	if len(names) == 0 {
		panic("authz: " + what + ": at least one name is required")
	}
	for _, n := range names {
		if n == "" || strings.ContainsFunc(n, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			panic("authz: " + what + ": invalid name " + strconv.Quote(n))
		}
	}
}

// stepUp is a requirement of how and when the user logged in.
type stepUp struct {
	text    string
	step    authn.StepUp
	factors []string
	refusal *authn.Error
}

func newStepUp(text string, s authn.StepUp, factors []string) *stepUp {
	return &stepUp{text, s, factors, authn.InsufficientAuthentication(s)}
}

func (p *stepUp) Decide(a Access) (Decision, error) { return p.eval(&a).results() }

func (p *stepUp) String() string { return p.text }

func (p *stepUp) eval(a *Access) verdict {
	id := &a.Identity
	switch {
	case !id.Authenticated():
		return verdict{reason: errAnonymous, basis: uninformed}
	case id.Subject == "":
		return verdict{reason: errNoUser, basis: uninformed}
	case p.met(a):
		return verdict{d: Allow}
	}
	return verdict{reason: p.refusal, basis: uninformed}
}

func (p *stepUp) met(a *Access) bool {
	if most := p.step.MaxAge; most > 0 {
		if age, known := authn.LoginAge(a.Request); !known || age > most {
			return false
		}
	}
	if len(p.step.ACR) > 0 && !slices.Contains(p.step.ACR, a.Identity.ACR) {
		return false
	}
	return !slices.ContainsFunc(p.factors, func(m string) bool { return !slices.Contains(a.Identity.AMR, m) })
}

// stepUps returns the requirements of Fresh, ACR and Factors that a user must meet to pass p. For And
// these are those of all operands, so that one login meets them; for Or those of the last operand that
// has any.
func stepUps(p Permission, a *Access) []authn.StepUp {
	switch e := p.(type) {
	case *stepUp:
		return []authn.StepUp{e.step}
	case and:
		var all []authn.StepUp
		for _, p := range e {
			all = append(all, stepUps(p, a)...)
		}
		return all
	case or:
		for _, p := range slices.Backward(e) {
			if list := stepUps(p, a); len(list) > 0 {
				return list
			}
		}
	case byMethod:
		if p, ok := e.permissionFor(a.Request); ok {
			return stepUps(p, a)
		}
	case scopeGrants:
		return stepUps(e.p, a)
	}
	return nil
}
