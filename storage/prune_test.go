package storage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// prunes has n expired records, and fails once as many as good are deleted.
type prunes struct{ n, good int }

func (p *prunes) Prune(_ context.Context, _ time.Time, limit int) (int, error) {
	if p.good == 0 {
		return 0, errBroken
	}
	n := min(limit, p.n, p.good)
	p.n, p.good = p.n-n, p.good-n
	return n, nil
}

// Every store is pruned until nothing is left, whatever becomes of the others, and the result
// says which could not be.
func TestPruneAll(t *testing.T) {
	now, m := time.Now(), memory.New(nil)
	for i := range 1500 {
		if err := m.Block(t.Context(), now.Add(-time.Hour), storage.BlockKeyOf(storage.BlockJTI, "", time.Duration(i).String())); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Block(t.Context(), now.Add(-storage.PruneMargin+time.Second), storage.BlockKeyOf(storage.BlockJTI, "", "ended a moment ago")); err != nil {
		t.Fatal(err)
	}
	bad := &prunes{n: 5000, good: 2000}
	list, err := storage.PruneAll(t.Context(), now, m, struct{ storage.Sessions }{m}, bad, &prunes{n: 3000, good: 9000}, nil)
	if !errors.Is(err, errBroken) {
		t.Errorf("the error of a store is lost: %v", err)
	}
	want := []storage.Pruned{
		{Store: "*memory.Store", Pruner: true, Records: 1500}, {Store: "struct { storage.Sessions }"},
		{Store: "*storage_test.prunes", Pruner: true, Records: 2000, Err: errBroken}, {Store: "*storage_test.prunes", Pruner: true, Records: 3000}, {Store: "<nil>"},
	}
	for i, w := range want {
		if i >= len(list) || list[i] != w {
			t.Fatalf("store %d: got %+v, want %+v", i, list, w)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rest := &prunes{n: 1, good: 10}
	if list, err := storage.PruneAll(ctx, now, rest); !errors.Is(err, context.Canceled) || list[0].Records != 0 || rest.n != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
}

// Stores beside the one with the accounts are cleaned too.
func TestLogoutEverywhereOthers(t *testing.T) {
	s, sessions := memory.New(nil), memory.New(nil)
	fill(t, s)
	fill(t, sessions)
	out, err := storage.LogoutEverywhere(t.Context(), subjects{s}, "alice", struct{ storage.SessionList }{sessions}, 7, broken{s, nil})
	if err != nil || out.Sessions != 2 || out.StaticTokens != 0 || out.Credentials != 0 || !errors.Is(out.Uncleaned, errBroken) {
		t.Errorf("%+v, %v", out, err)
	}
	if n, err := sessions.SubjectEpoch(t.Context(), "alice"); err != nil || n != 0 {
		t.Errorf("epoch %d, %v: only the first store's moves", n, err)
	}
}
