//go:build linux

package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/faults/history"
)

// Each fault is in the list that CI runs, and the list has no other name: a wrong one would be
// skipped without a word.
func TestOrder(t *testing.T) {
	w := &world{}
	for range 3 {
		w.replicas = append(w.replicas, &replica{})
	}
	w.db = &database{volume: &volume{}}
	names := map[string]bool{}
	for _, f := range w.faults(rand.New(rand.NewPCG(1, 1))) {
		names[f.name] = true
		if !slices.Contains(order, f.name) {
			t.Errorf("%q is not in the order", f.name)
		}
		if f.begin == nil || f.end == nil {
			t.Errorf("%q does nothing", f.name)
		}
	}
	for _, name := range order {
		if !names[name] {
			t.Errorf("there is no fault %q", name)
		}
	}
}

// In a soak each fault comes once before any comes again, in an order that the seed repeats.
func TestRarest(t *testing.T) {
	deal := func() (names []string) {
		w := &world{db: &database{volume: &volume{}}}
		for range 3 {
			w.replicas = append(w.replicas, &replica{})
		}
		h := &harness{w: w, chosen: map[string]int{}}
		rng := rand.New(rand.NewPCG(7, 1000))
		for range 2 * len(w.faults(rng)) {
			names = append(names, h.rarest(rng).name)
		}
		return names
	}
	names := deal()
	for _, half := range [][]string{names[:len(names)/2], names[len(names)/2:]} {
		half = slices.Clone(half)
		slices.Sort(half)
		if n := len(slices.Compact(half)); n != len(names)/2 {
			t.Errorf("%d different faults of %d", n, len(names)/2)
		}
	}
	if !slices.Equal(names, deal()) {
		t.Error("the seed gave another order")
	}
}

func TestCanaries(t *testing.T) {
	const secret = "vst_0123456789abcdefghij"
	for text, want := range map[string]bool{
		"level=INFO token=" + secret:                 true,
		`{"a":"` + secret + `"}`:                     true,
		"GET /x?t=" + secret + "&y=1":                true,
		"it is " + secret + ".":                      true,
		"level=INFO token=vst_0123456789abcdefghi":   false,
		"level=INFO code=authentication_failed id=1": false,
		"": false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte("one line\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var c canaries
		c.add(secret, "id")
		found, read, err := c.search(dir, "*.log", "b.log")
		if err != nil || read != 1 || (len(found) == 1) != want {
			t.Errorf("%q: %v, %d files, %v", text, found, read, err)
		}
		if strings.Contains(strings.Join(found, ""), secret) {
			t.Error("the report has the secret")
		}
	}
}

// A program can be stopped, continued and killed with what it started.
func TestProcess(t *testing.T) {
	p, err := start(exec.Command("sh", "-c", "sleep 100 & wait"), filepath.Join(t.TempDir(), "log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var tree []int
	if err := wait(10*time.Second, func() error {
		if tree = p.tree(); len(tree) < 2 {
			return os.ErrNotExist
		}
		return nil
	}); err != nil {
		t.Fatalf("the tree is %v", tree)
	}
	if r := p.resources(); r.Files < 3 || r.KiB == 0 || r.Threads != 1 {
		t.Errorf("%+v", r)
	}
	send(syscall.SIGSTOP, tree...)
	if p.gone() {
		t.Error("a stopped program is gone")
	}
	send(syscall.SIGKILL, tree[1:]...)
	p.kill()
	if !p.gone() {
		t.Error("a killed program is there")
	}
}

func TestWait(t *testing.T) {
	calls := 0
	if err := wait(time.Minute, func() error {
		if calls++; calls < 3 {
			return os.ErrInvalid
		}
		return nil
	}); err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if err := wait(0, func() error { return os.ErrInvalid }); err != os.ErrInvalid {
		t.Error(err)
	}
}

func TestSplit(t *testing.T) {
	a, b := history.Event{Rep: "A"}, history.Event{Rep: "P"}
	if got := split([]history.Event{a, b, a, {}}, "P"); !slices.Equal(got, []history.Event{a, a, {}}) {
		t.Errorf("%v", got)
	}
}

func TestPool(t *testing.T) {
	p, rng := &pool{}, rand.New(rand.NewPCG(1, 1))
	if p.pick(rng, true) != nil {
		t.Error("an empty pool gave something")
	}
	a, b := &credential{text: "a"}, &credential{text: "b"}
	p.put(a)
	p.put(b)
	if p.pick(rng, false) == nil || p.len() != 2 {
		t.Error("a pick took it away")
	}
	first, second := p.pick(rng, true), p.pick(rng, true)
	if first == second || first == nil || second == nil || p.len() != 0 {
		t.Errorf("%v, %v, %d left", first, second, p.len())
	}
}

func TestBlind(t *testing.T) {
	const off, on = " level=WARN msg=\"invalidation late; cache bypassed\"\n", " level=INFO msg=\"invalidation received; cache in use\"\n"
	for name, x := range map[string]struct {
		log     string
		times   int
		longest time.Duration
		fails   bool
	}{
		"never":            {"time=2026-12-01T05:00:00.000Z" + on, 0, 0, false},
		"twice":            {"time=2026-12-01T05:00:00.000Z" + on + "time=2026-12-01T05:00:01.000Z" + off + "time=2026-12-01T05:00:03.500Z" + on + "time=2026-12-01T05:00:04.000Z" + off + "time=2026-12-01T05:00:05.000Z" + on, 2, 2500 * time.Millisecond, false},
		"with a cause":     {"time=2026-12-01T05:00:01.000Z" + off + "time=2026-12-01T05:00:02.000Z" + off + "time=2026-12-01T05:00:03.000Z" + on, 2, 2 * time.Second, false},
		"at the end":       {"time=2026-12-01T05:00:01.000Z" + off, 1, 0, false},
		"without a time":   {"x" + off, 0, 0, true},
		"with a wrong one": {"time=yesterday" + off, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "replica-A.log"), []byte(x.log), 0o600); err != nil {
				t.Fatal(err)
			}
			times, longest, err := blind(dir)
			if times != x.times || longest != x.longest || (err != nil) != x.fails {
				t.Errorf("%d times, %v, %v", times, longest, err)
			}
		})
	}
	if _, _, err := blind(t.TempDir()); err == nil {
		t.Error("no log is no error")
	}
}
