package history

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is what a credential is at one moment.
type state uint8

const (
	absent state = iota // not issued yet
	live
	ended
)

// never is the end of a call whose outcome is unknown: it can hold at any later time.
const never = math.MaxInt64

// model is the life of one credential. Each call takes effect at one moment between its begin and
// its end. A call with an unknown outcome takes effect, or does not.
var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{absent} },
	Step: func(s, in, _ any) []any { return step(s.(state), in.(Event)) },
}

func step(s state, e Event) []any {
	to := func(next ...any) []any { return next }
	switch e.Op {
	case Issue:
		if s != ended { // a static token is returned again until it is deleted
			return to(live)
		}
	case Use:
		if (e.Res == Yes) == (s == live) {
			return to(s)
		}
	case Revoke, Refresh, EndFamily, Everywhere, Disable, Lost:
		return end(s, e)
	}
	return nil
}

// end is the effect of a call that revokes.
func end(s state, e Event) []any {
	switch {
	case s == absent: // what was issued later is not revoked
		return []any{absent}
	case e.Op == Revoke && e.Res == No && s == live: // a good credential was refused
		return nil
	case e.Op == Refresh && e.Res == Yes && s == ended: // its family was revoked
		return nil
	case e.Op == Refresh && e.Res == Yes:
		return []any{s}
	case e.Res == Unknown && s == live:
		return []any{live, ended}
	}
	return []any{ended}
}

// operations returns the calls that concern one credential, in the form that porcupine checks.
// A use that was accepted is moved back by slack: it is legal if the credential was live at some
// moment from that long before its begin.
func operations(list []Event, slack time.Duration) []porcupine.Operation {
	list = slices.Clone(list)
	for i := range list {
		e := &list[i]
		if e.Op == Use && e.Res == Yes {
			e.T0 -= int64(slack)
		}
		if e.Res == Unknown {
			e.T1 = never
		}
	}
	slices.SortFunc(list, func(a, b Event) int { return cmp.Compare(a.T0, b.T0) })
	ops := make([]porcupine.Operation, len(list))
	for i, e := range list {
		ops[i] = porcupine.Operation{ClientId: i, Input: e, Call: e.T0, Return: e.T1}
	}
	return ops
}

// linearizable reports whether the calls of one credential have an order that the model allows.
// undecided is set if that took too long to find out.
func linearizable(list []Event, slack time.Duration) (ok, undecided bool) {
	switch porcupine.CheckOperationsTimeout(model.ToModel(), operations(list, slack), 20*time.Second) {
	case porcupine.Ok:
		return true, false
	case porcupine.Unknown:
		return false, true
	}
	return false, false
}
