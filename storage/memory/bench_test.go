package memory_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// BenchmarkStanding asks for an access token's standing among one million entries
// of the blocklist, whose ends are spread over an hour, and reports how much of the
// heap one of them takes.
func BenchmarkStanding(b *testing.B) {
	const entries = 1_000_000
	s, ctx := memory.New(nil), context.Background()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range entries {
		if err := s.Block(ctx, start.Add(time.Duration(i)*time.Hour/entries), storage.BlockKeyOf(storage.BlockJTI, "issuer", fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
	each := float64(heap()-before) / entries
	asked := make([]storage.BlockKeys, 4096) // each is blocked by its jti
	for i := range asked {
		n := fmt.Sprint(i * (entries / len(asked)))
		asked[i] = storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, "issuer", n), SID: storage.BlockKeyOf(storage.BlockSID, "", n), Subject: storage.BlockKeyOf(storage.BlockSubject, "issuer", n)}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if st, err := s.TokenStatusOf(ctx, "alice", asked[i%len(asked)]); err != nil || !st.Blocked {
			b.Fatal(st, err)
		}
	}
	b.ReportMetric(each, "heap-B/entry")
	runtime.KeepAlive(s)
}

// BenchmarkDeleteCodes deletes the codes of one subject among 10,000 codes of others.
func BenchmarkDeleteCodes(b *testing.B) {
	const others = 10_000
	s, ctx := memory.New(nil), context.Background()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	check(s.CreateClient(ctx, storage.Client{ID: "c", Name: "c", Method: "none"}))
	end := time.Now().Add(time.Hour)
	for i := range others {
		id := fmt.Sprint(i)
		check(s.CreateUser(ctx, storage.User{ID: id, Name: id, Active: true}))
		check(s.CreateCode(ctx, storage.Code{Digest: storage.DigestOf(id), Client: "c", Subject: id, Created: time.Now(), Expires: end, Kept: end}))
	}
	b.ReportAllocs()
	for b.Loop() {
		check(s.DeleteCodes(ctx, "0", "c"))
	}
}
