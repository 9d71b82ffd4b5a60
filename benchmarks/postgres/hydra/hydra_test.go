//go:build linux

package hydra

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOurs does every work once, over HTTP, against Vestibule's server with a store in memory.
func TestOurs(t *testing.T) {
	in, err := json.Marshal(Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, strings.NewReader(string(in)), w) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var a Address
	if err := json.NewDecoder(r).Decode(&a); err != nil {
		t.Fatal(err)
	}
	k := &contestant{server: ours(a)}
	defer k.close()
	if err := k.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, work := range Works {
		slot, err := k.turn(ctx, work, time.Millisecond, func() (meter, error) { return meter{}, nil })
		if err != nil || slot.PerSecond <= 0 || slot.P99 < slot.P50 {
			t.Errorf("%s: %+v, %v", work, slot, err)
		}
	}
	if _, err := k.turn(ctx, "no such work", time.Second, func() (meter, error) { return meter{}, nil }); err == nil {
		t.Error("an unknown work was done")
	}
	old := k.workers[0].refresh[0]
	if _, err := k.refresh(k.workers[0].c, old); err != nil {
		t.Error(err)
	}
	k.access[0] = "vat_x"
	if err := k.check(k.workers[0].c); err == nil {
		t.Error("the check passes with an invalid token")
	}
}

func TestOwnClient(t *testing.T) {
	mod := "module x\n\nreplace github.com/ory/hydra-client-go/v2 => ./internal/httpclient\n\nreplace a/b => c/d v1\n"
	got, err := withoutOwnClient([]byte(mod))
	if err != nil || strings.Contains(string(got), "hydra-client-go") || !strings.Contains(string(got), "replace a/b => c/d v1\n") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := withoutOwnClient(got); err == nil {
		t.Error("a go.mod without the replacement is accepted")
	}
}

func TestReport(t *testing.T) {
	slots := func(list ...float64) (s []Slot) {
		for _, n := range list {
			s = append(s, Slot{PerSecond: n, P50: 1, P99: 2})
		}
		return s
	}
	r := &Results{Rounds: 3, Slot: "3s", Servers: []Server{{Name: "vestibule", Memory: 20 << 20}, {Name: "hydra"}}, Samples: []*Sample{
		{Work: Introspection, Server: "vestibule", Slots: slots(5200, 4000, 5000)}, {Work: Introspection, Server: "hydra", Slots: slots(500, 500, 1000), Waits: map[string]int{running: 60, "IO WALSync": 35, between: 5}},
		{Work: ClientCredentials, Server: "vestibule", Slots: slots(900)}, {Work: ClientCredentials, Server: "hydra", Slots: slots(300)},
	}}
	dir := t.TempDir()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Read(dir)
	if err != nil || again.markdown() != r.markdown() {
		t.Errorf("the results that were read give another page: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| introspection | 5,000<br>8.0 × (5.0–10.4) | 500 |", "| vestibule | 20 |", "| introspection | – | running 60 %, IO WALSync 35 % |",
		"| introspection, vestibule: at least 8 × Hydra | 8.0 (5.0–10.4) | met |", "| client credentials, vestibule: at least 8 × Hydra | 3.0 (3.0–3.0) | missed |",
		"| introspection, vestibule: 5000 per second | 5000 | met |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}
