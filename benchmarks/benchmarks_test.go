package benchmarks_test

import (
	"log/slog"
	"testing"

	"github.com/vestibule-auth/vestibule/benchmarks"
)

// BenchmarkWork does each kind of work with each contender, after Make has proved that the
// contender does it.
func BenchmarkWork(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // it is told of the wrong credentials
	env := benchmarks.NewEnv(b.Context())
	defer env.Close()
	for _, c := range benchmarks.Contenders() {
		b.Run(c.ID(), func(b *testing.B) {
			w, err := c.Make(env)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			if w.Prepare != nil {
				if err := w.Prepare(b.N); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for range b.N {
				if err := w.Do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
