package same_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/same"
)

type holder struct{ v any }

func TestValue(t *testing.T) {
	p, q := new(int), new(int)
	f := func() {}
	for name, x := range map[string]struct {
		a, b any
		want bool
	}{
		"one pointer": {p, p, true}, "equal targets": {p, q, false}, "equal values": {1, 1, true}, "types": {1, int64(1), false}, "nil": {nil, nil, false}, "nil and a value": {nil, 1, false}, "a value and nil": {1, nil, false},
		"functions": {f, f, false}, "slices": {[]int{1}, []int{1}, false}, "structs": {holder{1}, holder{1}, true}, "a slice inside": {holder{[]int{1}}, holder{[]int{1}}, false}, "one slice inside": {holder{1}, holder{[]int{1}}, false},
	} {
		if got := same.Value(x.a, x.b); got != x.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
