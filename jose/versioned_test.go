package jose_test

import (
	"context"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
)

// listed is a key source of a comparable type with values that cannot be compared.
type listed struct{ held any }

func (listed) Keys(context.Context, string, jose.Algorithm) ([]*jose.Key, error) {
	return nil, nil
}

func (l listed) Versions() (jose.KeySource, func() uint64) { return l, func() uint64 { return 1 } }

func TestGenerationOf(t *testing.T) {
	for name, c := range map[string]struct {
		source jose.KeySource
		want   bool
	}{"a value": {listed{1}, true}, "a value of a list": {listed{[]int{1}}, false}} {
		if got := jose.GenerationOf(c.source) != nil; got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
