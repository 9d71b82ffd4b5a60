package jose

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A peer that sends a huge or malformed key set changes nothing: the earlier keys stay, and no
// request waits for it.
func TestHostilePeer(t *testing.T) {
	k, err := Generate(ES256)
	must(t, err)
	ring, err := NewKeySet(k)
	must(t, err)
	good, err := ring.JWKS(t.Context())
	must(t, err)
	other, err := Generate(ES256)
	must(t, err)
	otherRing, err := NewKeySet(other)
	must(t, err)
	evil, err := otherRing.JWKS(t.Context())
	must(t, err)
	token, err := ring.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	evilToken, err := otherRing.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	released := make(chan struct{})
	defer close(released)
	var inside http.HandlerFunc
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inside(w, r) }))
	defer elsewhere.Close()
	for what, answer := range map[string]http.HandlerFunc{
		"100 MB": func(w http.ResponseWriter, _ *http.Request) {
			line := []byte(strings.Repeat(" ", 1<<20))
			for range 100 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
			_, _ = w.Write(evil)
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(evil[:10])
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-released:
			}
		},
		"to another host": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"to a file": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		},
		"in a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
		"wrong type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/HTML; charset=utf-8")
			_, _ = w.Write(evil)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html><p>Log in")) },
		"no key": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"many keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat("{},", 100) + `{}]}`))
		},
		"an error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = w.Write(evil) },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
	} {
		t.Run("attack_240_"+strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			answers := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) }
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers(w, r) }))
			defer server.Close()
			inside = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(evil) }
			clock := now
			r, err := NewRemoteKeySet(server.URL, &RemoteOptions{
				Insecure: true, Algorithms: []Algorithm{ES256}, Clock: func() time.Time { return clock }, Client: &http.Client{Timeout: 300 * time.Millisecond},
			})
			must(t, err)
			must(t, taken(token, r))
			answers = answer
			clock = clock.Add(11 * time.Minute) // the keys are old
			if err := taken(token, r); err != nil {
				t.Errorf("the keys that were good before are lost: %v", err)
			}
			if taken(evilToken, r) == nil {
				t.Error("another's keys are taken")
			}
			used := bytesOf(func() { clock = clock.Add(11 * time.Second); _ = taken(evilToken, r) })
			if used > 4<<20 {
				t.Errorf("%d bytes for a fetch", used)
			}
		})
	}
}
