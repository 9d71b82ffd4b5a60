package memory_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A million entries: how long a look takes is BenchmarkStanding's to say; here that it
// makes nothing, what an entry costs, and that all go again.
func TestBlocklistOfAMillion(t *testing.T) {
	t.Run("attack_107_blocklist_of_a_million", func(t *testing.T) {
		n := 1_000_000
		if testing.Short() {
			n = 100_000
		}
		begin := time.Unix(1_800_000_000, 0)
		end := begin.Add(time.Duration(n) * time.Millisecond)
		s, ctx := memory.New(&memory.Options{Clock: func() time.Time { return end }}), t.Context()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range n {
			must(t, s.Block(ctx, begin.Add(time.Duration(i)*time.Millisecond), storage.BlockKeyOf(storage.BlockJTI, "i", fmt.Sprint(i))))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if per := (after.HeapAlloc - before.HeapAlloc) / uint64(n); per > 250 {
			t.Errorf("%d bytes an entry", per)
		}
		keys := storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, "i", "77"), SID: storage.BlockKeyOf(storage.BlockSID, "", "x")}
		if st, err := s.TokenStatusOf(ctx, "alice", keys); err != nil || !st.Blocked {
			t.Errorf("%+v, %v", st, err)
		}
		if allocs := testing.AllocsPerRun(100, func() { _, _ = s.TokenStatusOf(ctx, "alice", keys) }); allocs > 2 {
			t.Errorf("a look allocates %.0f times", allocs)
		}
		total := 0
		for {
			m, err := s.Prune(ctx, end, 100_000)
			must(t, err)
			if total += m; m < 100_000 {
				break
			}
		}
		if st, err := s.TokenStatusOf(ctx, "alice", keys); err != nil || st.Blocked || total != n {
			t.Errorf("%d removed, %+v, %v", total, st, err)
		}
	})
}
