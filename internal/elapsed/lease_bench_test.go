package elapsed

import (
	"testing"
	"time"
)

// What a reading of both clocks at each use would cost, beside a comparison each compareAge.
func BenchmarkLease(b *testing.B) {
	var l Lease
	l.Grant(Now(), time.Hour)
	b.Run("holds", func(b *testing.B) {
		for range b.N {
			if !l.Holds(Read()) {
				b.Fatal("it does not hold")
			}
		}
	})
	b.Run("compares each time", func(b *testing.B) {
		for range b.N {
			now := Now()
			if !l.compare(l.until.Load(), now) {
				b.Fatal("it does not hold")
			}
		}
	})
	b.Run("no lease", func(b *testing.B) {
		var sum Instant
		for range b.N {
			sum = Read()
		}
		_ = sum
	})
}
