package username

import (
	"testing"

	"golang.org/x/text/secure/precis"
)

// A usual name is its own normal form by the profile, so the fast path gives the same result.
func FuzzUsual(f *testing.F) {
	for _, s := range []string{"a", "@", ".", "+", "-", "_", "0", "alice", "a.b+c@d-e_f", "--", "__", "1a", "xn--a", "A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || !usual(name) {
			return
		}
		if form, err := precis.UsernameCaseMapped.String(name); form != name || err != nil {
			t.Errorf("%q: the form is %q, %v", name, form, err)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	for _, name := range []string{"alice", "Alice"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Canonical(name)
			}
		})
	}
}
