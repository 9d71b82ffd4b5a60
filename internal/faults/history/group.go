package history

import (
	"maps"
	"slices"
)

// byCredential returns for each credential the calls that concern it: its own, and those that revoke
// its family, its account's credentials or its kind. The credentials are in a fixed order.
func byCredential(list []Event) [][]Event {
	own := map[string][]Event{}
	families, subjects, kinds := map[string][]Event{}, map[string][]Event{}, map[string][]Event{}
	for _, e := range list {
		switch e.Op {
		case Issue, Use, Revoke:
			if e.Cred != "" && e.Res != Limited && (e.Res != Unknown || e.Op == Revoke) {
				own[e.Cred] = append(own[e.Cred], e)
			}
		case Refresh, EndFamily:
			if e.Res != Limited && (e.Op == Refresh || e.Res != No) {
				families[e.Family] = append(families[e.Family], e)
			}
		case Everywhere, Disable:
			if e.Res == Yes || e.Res == Unknown {
				subjects[e.Sub] = append(subjects[e.Sub], e)
			}
		case Lost:
			kinds[e.Kind] = append(kinds[e.Kind], e)
		}
	}
	var all [][]Event
	for _, cred := range slices.Sorted(maps.Keys(own)) {
		calls := own[cred]
		issue := slices.IndexFunc(calls, func(e Event) bool { return e.Op == Issue && e.Res == Yes })
		if issue < 0 {
			continue // never issued: see answers
		}
		e := calls[issue]
		later := func(x Event) bool { return x.T1 >= e.T0 || x.Res == Unknown }
		for _, x := range families[e.Family] {
			if e.Family != "" && later(x) {
				calls = append(calls, x)
			}
		}
		var last int64 // nothing that begins later can matter
		for _, x := range calls {
			last = max(last, x.T1)
		}
		for _, x := range slices.Concat(subjects[e.Sub], kinds[e.Kind]) {
			if later(x) && x.T0 <= last {
				calls = append(calls, x)
			}
		}
		all = append(all, calls)
	}
	return all
}
