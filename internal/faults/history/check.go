package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Violation is an invariant that does not hold, with the events that show it.
type Violation struct {
	Invariant string // such as "I1"
	Text      string
	Events    []Event
}

// Report is the result of [Check].
type Report struct {
	Calls, Unknown, Limited int
	Credentials             int
	Faults                  map[string]int // by name
	Revocations             int            // acknowledged
	WorstLag                time.Duration  // from an acknowledged revocation to the begin of the last accepted use
	WorstRecovery           time.Duration  // from the end of a fault to the first accepted use, per replica
	Violations              []Violation
	Undecided               int // credentials whose check took too long
	Attempts                int // calls that a limit allowed
	Starved                 int // recoveries that were not judged, since the database itself was slow
}

// Bounds are what [Check] allows.
type Bounds struct {
	Revoked   time.Duration // how long after its revocation a credential is accepted elsewhere
	Recovered time.Duration // how long after a fault the first use may take
	Limit     Limit
}

// Check checks a history.
//
//   - I1: no use that begins more than Bounds.Revoked after the acknowledged end of a credential is
//     accepted, and none at all by the replica that acknowledged it.
//   - I2: a refresh token works once.
//   - I3, I5: a credential that was issued and not revoked is never rejected; a fault is answered with
//     503 and Retry-After.
//   - I4: an answer names the credential's own account; what was never issued is rejected.
//   - I6: after the reuse of a refresh token was detected, its family has no live credential.
//   - I7: attempts of one Sub are allowed up to Bounds.Limit.
//   - I11: after each fault every replica accepts again within Bounds.Recovered, unless a Probe in that
//     time says that the database itself did not answer in time.
func Check(list []Event, bounds Bounds) Report {
	c := checker{bounds: bounds, Report: Report{Faults: map[string]int{}}}
	c.count(list)
	c.answers(list)
	c.once(list)
	c.refused(list)
	c.logins(list)
	c.recovery(list)
	c.limits(list)
	for _, calls := range byCredential(list) {
		c.Credentials++
		c.credential(calls)
	}
	slices.SortStableFunc(c.Violations, func(a, b Violation) int { return cmp.Compare(a.Events[0].T0, b.Events[0].T0) })
	return c.Report
}

type checker struct {
	bounds Bounds
	Report
}

func (c *checker) bad(invariant string, events []Event, format string, args ...any) {
	c.Violations = append(c.Violations, Violation{invariant, fmt.Sprintf(format, args...), events})
}

func (c *checker) count(list []Event) {
	for _, e := range list {
		switch e.Op {
		case Fault:
			c.Faults[e.Note]++
			continue
		case Probe:
			continue
		}
		c.Calls++
		switch {
		case e.Res == Unknown:
			c.Unknown++
		case e.Res == Limited:
			c.Limited++
		case e.Res == Yes && ends(e):
			c.Revocations++
		}
	}
}

// ends reports whether a call revokes credentials.
func ends(e Event) bool {
	switch e.Op {
	case Revoke, EndFamily, Everywhere, Disable, Lost:
		return true
	}
	return e.Op == Refresh && e.Res == No // a rejected refresh token revokes its family
}

func (c *checker) answers(list []Event) {
	issued := map[string]bool{}
	for _, e := range list {
		if e.Op == Issue && e.Res == Yes {
			issued[e.Cred] = true
		}
	}
	for _, e := range list {
		switch {
		case e.Status == 503 && !e.Retry || e.Status >= 500 && e.Status != 503:
			c.bad("I5", []Event{e}, "a fault was answered with %d, Retry-After %t", e.Status, e.Retry)
		case e.Op != Use || e.Res != Yes:
		case !issued[e.Cred]:
			c.bad("I4", []Event{e}, "accepted a credential that was never issued")
		case e.Owner != e.Sub:
			c.bad("I4", []Event{e}, "answered %q for a credential of %q", e.Owner, e.Sub)
		}
	}
}

func (c *checker) once(list []Event) {
	first := map[string]Event{}
	for _, e := range list {
		if e.Op != Refresh || e.Res != Yes {
			continue
		}
		if earlier, ok := first[e.Cred]; ok {
			c.bad("I2", []Event{earlier, e}, "a refresh token worked twice")
		}
		first[e.Cred] = e
	}
}

// refused checks that a refresh token is rejected only if something explains it: another use of it,
// or a revocation.
func (c *checker) refused(list []Event) {
	families, subjects := map[string][]Event{}, map[string][]Event{}
	for _, e := range list {
		switch e.Op {
		case Refresh, EndFamily:
			families[e.Family] = append(families[e.Family], e)
		case Everywhere, Disable:
			subjects[e.Sub] = append(subjects[e.Sub], e)
		}
	}
	for _, e := range list {
		if e.Op != Refresh || e.Res != No {
			continue
		}
		explains := func(x Event) bool {
			return x.T0 < e.T1 && x != e && (x.Op != Refresh || x.Cred == e.Cred || x.Res == No)
		}
		if !slices.ContainsFunc(families[e.Family], explains) && !slices.ContainsFunc(subjects[e.Sub], explains) {
			c.bad("I5", []Event{e}, "rejected a refresh token that was not used")
		}
	}
}

// logins checks that a right password is rejected only while something changes the account.
func (c *checker) logins(list []Event) {
	changes := map[string][]Event{}
	for _, e := range list {
		if e.Op == Everywhere || e.Op == Disable || e.Op == Enable {
			changes[e.Sub] = append(changes[e.Sub], e)
		}
	}
	for _, e := range list {
		if e.Op != Login || e.Res != No {
			continue
		}
		disabled, overlaps := false, false
		for _, x := range changes[e.Sub] {
			overlaps = overlaps || x.T0 <= e.T1 && (x.T1+int64(c.bounds.Revoked) >= e.T0 || x.Res == Unknown)
			if x.T1 < e.T0 {
				disabled = x.Op == Disable
			}
		}
		if !disabled && !overlaps {
			c.bad("I5", []Event{e}, "rejected the right password")
		}
	}
}

func (c *checker) recovery(list []Event) {
	replicas := map[string]bool{}
	for _, e := range list {
		if e.Op == Use && e.Res == Yes {
			replicas[e.Rep] = true
		}
	}
	for _, f := range list {
		if f.Op != Fault {
			continue
		}
		for rep := range replicas {
			c.recovers(list, f, rep)
		}
	}
}

func (c *checker) recovers(list []Event, f Event, rep string) {
	tried := false
	first := int64(never)
	for _, e := range list {
		if e.Op != Use || e.Rep != rep || e.T0 < f.T1 {
			continue
		}
		tried = true
		if e.Res == Yes {
			first = min(first, e.T1)
		}
	}
	for _, other := range list { // not judged if the next fault begins before
		if other.Op == Fault && other.T0 > f.T0 && other.T0 < min(first, f.T1+int64(c.bounds.Recovered)) {
			return
		}
	}
	if !tried { // the run ended
		return
	}
	took := time.Duration(first - f.T1)
	if first == never || took > c.bounds.Recovered {
		if slices.ContainsFunc(list, func(e Event) bool {
			return e.Op == Probe && e.Res != Yes && e.T0 >= f.T1 && e.T0 < f.T1+int64(c.bounds.Recovered)
		}) {
			c.Starved++
			return
		}
		c.bad("I11", []Event{f}, "replica %s accepted nothing for %v after the fault", rep, took)
		return
	}
	c.WorstRecovery = max(c.WorstRecovery, took)
}

// credential checks the calls that concern one credential.
func (c *checker) credential(calls []Event) {
	for _, use := range calls {
		if use.Op != Use || use.Res != Yes {
			continue
		}
		for _, end := range calls {
			if !ends(end) || end.Res == Unknown || end.T1 >= use.T0 || !issuedBefore(calls, end) {
				continue
			}
			lag := time.Duration(use.T0 - end.T1)
			switch {
			case lag > c.bounds.Revoked:
				c.bad("I1", calls, "accepted %v after the revocation", lag)
				return
			case use.Rep == end.Rep && end.Op != Lost:
				c.bad("I1", calls, "accepted %v after the same replica acknowledged the revocation", lag)
				return
			}
			c.WorstLag = max(c.WorstLag, lag)
		}
	}
	switch ok, undecided := linearizable(calls, c.bounds.Revoked); {
	case undecided:
		c.Undecided++
	case !ok:
		c.bad("I1-I6", calls, "no order of the calls explains the answers")
	}
}

// issuedBefore reports whether the credential certainly existed when a call began.
func issuedBefore(calls []Event, end Event) bool {
	for _, e := range calls {
		if e.Op == Issue && e.Res == Yes && e.T1 < end.T0 {
			return true
		}
	}
	return false
}
