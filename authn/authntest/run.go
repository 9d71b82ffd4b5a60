package authntest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// target is the URL of the requests.
const target = "http://example.com/a?b=c"

// Rule is one requirement of [authn.Authenticator].
type Rule struct {
	// Name is the name of the subtest.
	Name string
	// Sentence is the requirement.
	Sentence string
	// Needs is the field of [World], or the optional interface of package authn, that the rule
	// requires. Without it the rule is skipped. "" means none.
	Needs string

	run func(*probe)
}

// Rules returns the rules in the order in which [Run] tests them.
func Rules() []Rule { return append([]Rule(nil), rules...) }

// Run tests whether an authenticator meets the requirements of [authn.Authenticator]. It calls the
// function open at least once for each rule. The function returns a new World each time, and
// releases it with t.Cleanup.
//
// Each rule is a subtest. If it fails, its log contains the line "authenticator contract, NAME:
// SENTENCE". A rule that needs a field of [World] that is not set is skipped, and one line of the
// test log lists the skipped rules.
func Run(t *testing.T, open func(t *testing.T) World) {
	first := open(t)
	if first.Scheme == nil || first.Good == nil || len(first.Bad) == 0 {
		t.Fatal("authntest: Run: World.Scheme, World.Good and at least one World.Bad must be set")
	}
	keeps := keptBy(&first) != ""
	var missing []string
	without := map[string][]string{}
	for _, r := range rules {
		need := r.Needs
		if need == "authn.Keeper" && keeps || need != "authn.Keeper" && first.has(need) {
			if !strings.HasPrefix(r.Name, "kept_") || keeps {
				t.Run(r.Name, func(t *testing.T) { r.prove(t, open) })
				continue
			}
			need = "authn.Keeper"
		}
		if without[need] == nil {
			missing = append(missing, need)
		}
		without[need] = append(without[need], r.Name)
	}
	t.Log(notTested(missing, without))
}

// notTested returns the line with the skipped rules.
func notTested(missing []string, without map[string][]string) string {
	if len(missing) == 0 {
		return "authntest: all rules were tested"
	}
	var parts []string
	for _, need := range missing {
		why := "World." + need + " is nil"
		switch {
		case need == "authn.Keeper":
			why = "no identity is kept: the scheme is not an authn.Keeper, or its store returns no lease"
		case need == "authn.Ambient":
			why = "the scheme is not ambient"
		case need == "authn.FormatDeclarer":
			why = "the scheme declares no keyword of Authorization"
		case strings.HasPrefix(need, "authn."):
			why = "the scheme is not an " + need
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", strings.Join(without[need], ", "), why))
	}
	return "authntest: not tested: " + strings.Join(parts, "; ")
}

func (r *Rule) prove(t *testing.T, open func(t *testing.T) World) {
	defer func() {
		if t.Failed() {
			t.Logf("authenticator contract, %s: %s", r.Name, r.Sentence)
		}
	}()
	p := &probe{T: t, open: open}
	r.run(p.another())
}

// probe is a World with methods that several rules use.
type probe struct {
	*testing.T
	World
	open  func(t *testing.T) World
	known []string // see leak
}

// another opens another World.
func (p *probe) another() *probe {
	return &probe{T: p.T, World: p.open(p.T), open: p.open}
}

// alone sends a credential of World in a new World.
func (p *probe) alone(what string) outcome {
	q := p.another()
	return q.ask(q.everything()[what])
}

// request returns a request with a credential, or without one if add is nil.
func (p *probe) request(add func(*http.Request)) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	if add != nil {
		add(r)
	}
	return r
}

// outcome is the result of Authenticate.
type outcome struct {
	id       authn.Identity
	err      error
	panicked any
}

// kind is one of the outcomes of [authn.Authenticator], or a panic.
type kind string

const (
	accepted     kind = "accepted"
	absent       kind = "ErrNoCredentials"
	unrecognized kind = "ErrUnrecognized"
	rejected     kind = "rejected"
	fault        kind = "a fault"
	panicked     kind = "a panic"
)

func (o outcome) kind() kind {
	var e *authn.Error
	switch {
	case o.panicked != nil:
		return panicked
	case o.err == nil:
		return accepted
	case errors.As(o.err, &e) && e != nil:
		return rejected
	case errors.Is(o.err, authn.ErrUnrecognized):
		return unrecognized
	case errors.Is(o.err, authn.ErrNoCredentials):
		return absent
	}
	return fault
}

// refused reports whether a chain rejects the request.
func (k kind) refused() bool { return k == rejected || k == unrecognized }

func (o outcome) String() string {
	switch k := o.kind(); k {
	case accepted:
		return fmt.Sprintf("accepted (%s)", describe(o.id))
	case panicked:
		return fmt.Sprintf("a panic (%T)", o.panicked)
	case absent, unrecognized:
		return string(k)
	default:
		return fmt.Sprintf("%s (%v)", k, o.err)
	}
}

// describe returns the fields that distinguish identities.
func describe(id authn.Identity) string {
	return fmt.Sprintf("subject %q, client %q, roles %q, scopes %q", id.Subject, id.Client, id.Roles, id.Scopes)
}

// call calls Authenticate. A panic is an outcome.
func (p *probe) call(r *http.Request) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			o = outcome{panicked: v}
		}
	}()
	id, err := p.Scheme.Authenticate(r)
	return outcome{id: id, err: err}
}

// ask calls Authenticate with a credential, or without one if add is nil.
func (p *probe) ask(add func(*http.Request)) outcome { return p.call(p.request(add)) }

// want reports a test error unless the outcome has one of the kinds.
func (p *probe) want(what string, o outcome, kinds ...kind) {
	p.Helper()
	var names []string
	for _, k := range kinds {
		if o.kind() == k {
			return
		}
		names = append(names, string(k))
	}
	p.Errorf("%s: got %v, want %s", what, o, strings.Join(names, " or "))
}

// isZero reports whether an identity is the zero value.
func isZero(id authn.Identity) bool { return reflect.DeepEqual(id, authn.Identity{}) }
