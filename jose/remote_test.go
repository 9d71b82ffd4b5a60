package jose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRemote(t *testing.T) {
	k, err := Generate(ES256)
	must(t, err)
	other, err := Generate(ES256)
	must(t, err)
	ring, err := NewKeySet(k)
	must(t, err)
	var body atomic.Pointer[string]
	serve := func(s string) { body.Store(&s) }
	jwks, err := ring.JWKS(t.Context())
	must(t, err)
	serve(string(jwks))
	var fetches atomic.Int64
	status := http.StatusOK
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.WriteHeader(status)
		fmt.Fprint(w, *body.Load())
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	away := httptest.NewServer(http.RedirectHandler(server.URL+"/keys", http.StatusFound))
	defer away.Close()
	clock := now
	open := func(url string) *RemoteKeySet {
		r, err := NewRemoteKeySet(url, &RemoteOptions{Insecure: true, Algorithms: []Algorithm{ES256}, Clock: func() time.Time { return clock }})
		must(t, err)
		return r
	}
	r := open(server.URL + "/keys")
	token, err := ring.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := taken(token, r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fetches.Load() != 1 {
		t.Errorf("%d fetches", fetches.Load())
	}
	both, err := NewKeySet(k, other)
	must(t, err)
	jwks, err = both.JWKS(t.Context())
	must(t, err)
	serve(string(jwks))
	fresh, err := other.token("at+jwt", []byte(goodClaims))
	must(t, err)
	if err := taken(fresh, r); !errors.Is(err, ErrInvalid) {
		t.Errorf("within the interval: %v", err)
	}
	clock = clock.Add(10 * time.Second)
	must(t, taken(fresh, r)) // an unknown key ID fetches again
	status = http.StatusInternalServerError
	clock = clock.Add(30 * time.Minute)
	if err := taken(token, r); err != nil {
		t.Errorf("the last keys do not serve while the server is down: %v", err)
	}
	newer, err := Generate(ES256)
	must(t, err)
	unknown, err := newer.token("at+jwt", []byte(goodClaims))
	must(t, err)
	for range 2 { // the second within the interval
		if err := taken(unknown, r); err == nil || errors.Is(err, ErrInvalid) {
			t.Errorf("a key that may be published by now, and the server is down: got %v, want a fault", err)
		}
	}
	clock = clock.Add(time.Hour)
	if err := taken(token, r); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("keys that are too old: %v", err)
	}
	status = http.StatusOK
	for what, text := range map[string]string{"no JSON": "<html>", "long": `{"keys":[]}` + strings.Repeat(" ", 300<<10), "none": `{"keys":[]}`} {
		serve(text)
		if err := taken(token, open(server.URL+"/keys")); err == nil || errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want a fault", what, err)
		}
	}
	serve(string(jwks))
	if err := taken(token, open(away.URL)); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("a redirect to another host: %v", err)
	}
	for _, bad := range []string{"", "https://", "http://issuer.example/keys", "ftp://x/y", "https://u:p@h/x", "://"} {
		if _, err := NewRemoteKeySet(bad, &RemoteOptions{Insecure: true}); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
	if _, err := NewRemoteKeySet("http://127.0.0.1/keys", nil); err == nil {
		t.Error("http is taken without the option")
	}
	if _, err := NewRemoteKeySet("https://issuer.example/keys", &RemoteOptions{Algorithms: []Algorithm{HS256}}); err == nil {
		t.Error("HS256 is taken of published keys")
	}
}

// answer is a transport that returns a given response.
type answer func(*http.Request) (*http.Response, error)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func jwksOf(t testing.TB, list ...*Key) string {
	t.Helper()
	text, err := marshalJWKS(list)
	must(t, err)
	return string(text)
}

// Caches of verified tokens must not outlive the keys: the generation changes when a key is removed
// and when the keys are too old, but not when the same keys are fetched again.
func TestRemoteGeneration(t *testing.T) {
	a, err := Generate(ES256)
	must(t, err)
	b, err := Generate(ES256)
	must(t, err)
	body, down, fetches := jwksOf(t, a, b), false, 0
	clock := now
	r, err := NewRemoteKeySet("https://issuer.example/keys", &RemoteOptions{Clock: func() time.Time { return clock }, Client: &http.Client{Transport: answer(func(*http.Request) (*http.Response, error) {
		fetches++
		if down {
			return nil, errors.New("down")
		}
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
	})}})
	must(t, err)
	if r.client.Timeout != loadTimeout {
		t.Errorf("a client without a timeout has %v", r.client.Timeout)
	}
	generation := func() uint64 { // after a verification, which fetches
		_, _ = r.Keys(t.Context(), a.ID(), ES256)
		return r.Generation()
	}
	first := generation()
	clock = clock.Add(11 * time.Minute)
	if got := generation(); got != first || fetches != 2 {
		t.Errorf("the same keys again: %d and %d, %d fetches", first, got, fetches)
	}
	body = jwksOf(t, a)
	clock = clock.Add(11 * time.Minute)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if list, err := r.Keys(gone, a.ID(), ES256); err != nil || len(list) != 1 || fetches != 2 {
		t.Errorf("a client that left: %v, %v, %d fetches", list, err, fetches)
	}
	second := generation()
	if second == first {
		t.Error("a key was withdrawn, the generation is the same")
	}
	if list, err := r.Keys(t.Context(), b.ID(), ES256); err != nil || list != nil {
		t.Errorf("the withdrawn key: %v, %v", list, err)
	}
	down = true
	clock = clock.Add(time.Hour)
	if generation() != second {
		t.Error("the generation moves while the last keys serve")
	}
	clock = clock.Add(time.Hour)
	if generation() == second {
		t.Error("the keys are too old, the generation is the same")
	}
	down = false
	clock = clock.Add(time.Minute)
	if generation() != second {
		t.Error("the same keys serve again, the generation is another")
	}
}

// Generation neither fetches nor waits, so a token that another verifier of the chain accepts does
// not wait for this issuer. While a fetch is due, caches have no match.
func TestRemoteGenerationWithoutFetching(t *testing.T) {
	a, err := Generate(ES256)
	must(t, err)
	clock, fetches, fetching, hold := now, 0, make(chan struct{}), make(chan struct{})
	r, err := NewRemoteKeySet("https://issuer.example/keys", &RemoteOptions{Clock: func() time.Time { return clock }, Client: &http.Client{Transport: answer(func(*http.Request) (*http.Response, error) {
		if fetches++; fetches > 1 {
			close(fetching)
			<-hold
		}
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(jwksOf(t, a)))}, nil
	})}})
	must(t, err)
	different := func(what string) {
		t.Helper()
		if x, y := r.Generation(), r.Generation(); x == y {
			t.Errorf("%s: %d twice", what, x)
		}
	}
	keys := func() {
		if list, err := r.Keys(t.Context(), a.ID(), ES256); err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
		}
	}
	different("attack_345: no keys")
	keys()
	first := r.Generation()
	if fetches != 1 || first != r.Generation() {
		t.Errorf("%d fetches, generations %d and %d", fetches, first, r.Generation())
	}
	clock = clock.Add(11 * time.Minute)
	different("old keys")
	done := make(chan struct{})
	go func() { keys(); close(done) }()
	<-fetching
	if got := r.Generation(); got != first {
		t.Errorf("while they are fetched: %d, want %d", got, first)
	}
	close(hold)
	<-done
	if got := r.Generation(); got != first || fetches != 2 {
		t.Errorf("the same keys again: %d, want %d; %d fetches", got, first, fetches)
	}
}

// A canceled request does not abort a fetch that serves other requests.
func TestRemoteOutlivesItsCaller(t *testing.T) {
	k, err := Generate(ES256)
	must(t, err)
	started, goOn := make(chan struct{}), make(chan struct{})
	var fetches atomic.Int64
	r, err := NewRemoteKeySet("https://issuer.example/keys", &RemoteOptions{Client: &http.Client{Transport: answer(func(req *http.Request) (*http.Response, error) {
		if fetches.Add(1) == 1 {
			close(started)
			<-goOn
		}
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(jwksOf(t, k)))}, nil
	})}})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = r.Keys(ctx, k.ID(), ES256) })
	<-started
	for range 8 {
		wg.Go(func() {
			if list, err := r.Keys(t.Context(), k.ID(), ES256); err != nil || len(list) != 1 {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
	// A request that cannot wait longer gets an error that is not an ErrInvalid.
	late, stop := context.WithCancel(t.Context())
	stop()
	if _, err := r.Keys(late, k.ID(), ES256); !errors.Is(err, context.Canceled) || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	cancel()
	close(goOn)
	wg.Wait()
	if fetches.Load() != 1 {
		t.Errorf("%d fetches", fetches.Load())
	}
}
