package cached_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// dump is what the heap holds after a collection.
func dump(t *testing.T) []byte {
	t.Helper()
	for range 4 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	must(t, err)
	defer func() { _ = f.Close() }()
	debug.WriteHeapDump(f.Fd())
	out, err := os.ReadFile(f.Name())
	must(t, err)
	return out
}

// rotated keeps a text in memory in another form, so that the test itself does not hold it.
func rotated(text string) []byte {
	out := []byte(text)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

// found reports how often the heap dump holds what rotated made.
func found(heap, hidden []byte) int {
	plain := make([]byte, len(hidden))
	for i := range hidden {
		plain[i] = hidden[i] ^ 0x5a
	}
	defer clear(plain)
	return bytes.Count(heap, plain)
}

// stopTimers makes the runtime forget timers that were stopped: it removes them from its heaps only
// when there are many.
func stopTimers() {
	var all [1000]*time.Timer
	for i := range all {
		all[i] = time.AfterFunc(time.Hour, func() {})
	}
	for _, timer := range all {
		timer.Stop()
	}
}

// After its request the text of a credential is nowhere in memory, also while what it stood
// for is kept.
func TestNoTextIsKept(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector keeps memory of its own")
	}
	w := newTwo(t, true)
	m := authn.New(w.chain, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
	hits := 0
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if authn.FromContext(r.Context()).Subject == "id-alice" {
			hits++
		}
	}))
	hidden := make(map[string][]byte)
	visit := func() {
		for scheme, headers := range w.headers {
			text := headers["alice"].Get("Authorization")
			_, text, _ = strings.Cut(text, " ")
			if scheme == "session" {
				_, text, _ = strings.Cut(headers["alice"].Get("Cookie"), "=")
			}
			text = strings.Clone(text)
			for range 5 {
				w.do(h, headers["alice"])
			}
			if scheme == "basic" {
				raw, _ := base64.StdEncoding.DecodeString(text)
				hidden["password"] = rotated(string(raw[len("alice:"):]))
				clear(raw)
				hidden["name and password"] = rotated("alice:wonder" + "land-42")
			}
			hidden[scheme] = rotated(text)
		}
		clear(w.headers)
	}
	var wg sync.WaitGroup
	schemes := len(w.headers)
	wg.Go(visit) // on a stack that is gone afterwards
	wg.Wait()
	if hits != 5*schemes {
		t.Fatalf("%d hits", hits)
	}
	w.headers = nil
	delete(hidden, "password") // the test's own source holds it
	heap := dump(t)
	for range 10 { // what is kept stays; what a stopped timer of a context still names goes
		for what, text := range hidden {
			if found(heap, text) == 0 {
				delete(hidden, what)
			}
		}
		if len(hidden) == 0 {
			break
		}
		stopTimers()
		heap = dump(t)
	}
	for what, text := range hidden {
		t.Errorf("edge_A20/%s: the heap holds it %d times", what, found(heap, text))
	}
	if marker := rotated("id-ali" + "ce"); found(heap, marker) == 0 {
		t.Error("the dump shows nothing")
	}
	runtime.KeepAlive(w)
	runtime.KeepAlive(h)
}

// After a logout the data of the session are nowhere in memory.
func TestNoDataAreKept(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector keeps memory of its own")
	}
	t.Run("edge_A20/session data", func(t *testing.T) {
		w := newTwo(t, true)
		browsers := w.chain[0].(*session.Scheme)
		header := w.headers["session"]["alice"]
		_, text, _ := strings.Cut(header.Get("Cookie"), "=")
		name, _, _ := strings.Cut(header.Get("Cookie"), "=")
		secret := []byte("a note of alice in her session 4711")
		hidden := rotated(string(secret))
		h := authn.New(w.chain, nil).Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/logout" {
				must(t, browsers.EndCurrent(rw, r))
				return
			}
			s, err := browsers.Store().Get(r, "session")
			must(t, err)
			if r.URL.Path == "/write" {
				s.Values["note"] = string(secret)
				must(t, s.Save(r, rw))
			}
		}))
		go_ := func(path string) {
			r := newRequest(path)
			r.Header = http.Header{"Cookie": {name + "=" + text}}
			h.ServeHTTP(discarded{http.Header{}}, r)
		}
		go_("/write")
		for range 5 {
			go_("/")
		}
		clear(secret)
		if found(dump(t), hidden) == 0 {
			t.Error("the dump does not show what is kept")
		}
		go_("/logout")
		runtime.KeepAlive(h)
		// The store beneath is one in memory; it has forgotten the row.
		n := 0
		for range 5 { // goroutines of other tests may hold a buffer for a moment
			if n = found(dump(t), hidden); n == 0 {
				break
			}
			stopTimers()
		}
		if n != 0 {
			t.Errorf("the heap holds them %d times", n)
		}
		runtime.KeepAlive(w)
	})
}

type discarded struct{ h http.Header }

func (d discarded) Header() http.Header         { return d.h }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}

func newRequest(path string) *http.Request {
	return httptest.NewRequest("GET", "https://bench.example"+path, nil)
}
