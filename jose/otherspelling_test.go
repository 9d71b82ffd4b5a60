package jose

import (
	"fmt"
	"strings"
	"testing"
)

func TestOtherCase(t *testing.T) {
	for _, names := range [][]string{claimNames, headerNames} {
		for _, n := range names {
			if 3*len(n) > maxFolded {
				t.Errorf("%q is longer than 36 allows", n)
			}
		}
	}
	for name, want := range map[string]bool{
		"sub": false, "SUB": true, "\u017fub": true, "\u017fUB": true, "subj": false, "roles": false, "role\u017f": true, "to\u212aen_type": true,
		"\u017f": false, "éub": false, "entitlements": false, "entitlement\u017f": true, "\u212a\u212a\u212a": false, strings.Repeat("\u017f", 40): false,
	} {
		if got := otherCase([]byte(name), claimNames); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}

// Long names that are not ASCII are compared without a copy for each registered name.
func TestCostOfNames_attack_360(t *testing.T) {
	for what, letters := range map[string]int{"long": 40, "short": 5} {
		var b strings.Builder
		for i := range maxMembers {
			fmt.Fprintf(&b, `,"%s%d":1`, strings.Repeat("\u017f", letters), i)
		}
		payload := []byte("{" + b.String()[1:] + "}")
		allocs := testing.AllocsPerRun(10, func() { _, _ = ParseClaims(payload) })
		if allocs > 2*maxMembers {
			t.Errorf("%s names: %.0f allocations for %d names", what, allocs, maxMembers)
		}
	}
}
