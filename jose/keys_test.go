package jose

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
)

func master(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(keys.Generate())
	must(t, err)
	return r
}

// RULES K2: sealed under the master key, bound to ID, purpose and algorithm.
func TestSealed(t *testing.T) {
	ring := master(t)
	for _, alg := range []Algorithm{HS256, RS256, ES256, EdDSA} {
		k, err := Generate(alg)
		must(t, err)
		id, sealed, err := k.Seal(ring, "p")
		must(t, err)
		again, err := OpenSealed(ring, "p", k.ID(), alg, id, sealed)
		must(t, err)
		one, err := NewRing(k)
		must(t, err)
		two, err := NewRing(again)
		must(t, err)
		token, err := two.Sign(t.Context(), "at+jwt", []byte(goodClaims))
		must(t, err)
		must(t, taken(token, one))
		changed := bytes.Clone(sealed)
		changed[len(changed)-1] ^= 1
		for what, f := range map[string]func() (*Key, error){
			"purpose":   func() (*Key, error) { return OpenSealed(ring, "q", k.ID(), alg, id, sealed) },
			"id":        func() (*Key, error) { return OpenSealed(ring, "p", "x", alg, id, sealed) },
			"master":    func() (*Key, error) { return OpenSealed(master(t), "p", k.ID(), alg, id, sealed) },
			"changed":   func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), alg, id, changed) },
			"short":     func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), alg, id, sealed[:5]) },
			"algorithm": func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), HS512, id, sealed) },
			"no such":   func() (*Key, error) { return OpenSealed(ring, "p", k.ID(), "none", id, sealed) },
		} {
			if _, err := f(); err == nil {
				t.Errorf("%s: another %s opens it", alg, what)
			}
		}
	}
	k, err := Generate(ES256)
	must(t, err)
	public, err := NewPublic("x", ES256, k.Public())
	must(t, err)
	if _, _, err := public.Seal(ring, "p"); err == nil || public.CanSign() {
		t.Error("a public key is sealed")
	}
}

func TestNothingIsPrinted(t *testing.T) {
	k, err := NewSecret("the-id", HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	r, err := NewRing(k)
	must(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "k", k)
	text, err := json.Marshal(k)
	must(t, err)
	if all := fmt.Sprintf("%v %+v %#v %s %v %#v", k, k, k, text, r, r) + log.String(); strings.Contains(all, "0123456789") || !strings.Contains(all, "the-id") {
		t.Error(all)
	}
}

// RFC 7638 section 3.1.
func TestThumbprint(t *testing.T) {
	const set = `{"keys":[{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}`
	list, err := ParseJWKS([]byte(set))
	must(t, err)
	got, err := Thumbprint(list[0].Public())
	must(t, err)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPEM(t *testing.T) {
	for _, alg := range []Algorithm{RS256, ES384, EdDSA} {
		k, err := Generate(alg)
		must(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(k.signer)
		must(t, err)
		pkix, err := x509.MarshalPKIXPublicKey(k.public)
		must(t, err)
		forms := map[string][]byte{"PRIVATE KEY": pkcs8, "PUBLIC KEY": pkix}
		switch p := k.signer.(type) {
		case *rsa.PrivateKey:
			forms["RSA PRIVATE KEY"] = x509.MarshalPKCS1PrivateKey(p)
		case *ecdsa.PrivateKey:
			if forms["EC PRIVATE KEY"], err = x509.MarshalECPrivateKey(p); err != nil {
				t.Fatal(err)
			}
		}
		for kind, der := range forms {
			got, err := ParsePEM("x", alg, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
			if err != nil || got.CanSign() != strings.Contains(kind, "PRIVATE") || got.Algorithm() != alg || got.ID() != "x" {
				t.Errorf("%s %s: %v, %v", alg, kind, got, err)
			}
			if _, err := ParsePEM("x", alg, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der[:20]})); err == nil {
				t.Errorf("%s: half of a %s is taken", alg, kind)
			}
		}
	}
	for _, bad := range []string{"", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ParsePEM("x", RS256, []byte(bad)); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
}

func TestJWKS(t *testing.T) {
	var list []*Key
	for _, alg := range []Algorithm{EdDSA, HS256, RS256, ES256, ES512} {
		k, err := Generate(alg)
		must(t, err)
		list = append(list, k)
	}
	r, err := NewRing(list...)
	must(t, err)
	text, err := r.JWKS(t.Context())
	must(t, err)
	if strings.Contains(string(text), "oct") || strings.Contains(string(text), `"d"`) {
		t.Errorf("a secret is published: %s", text)
	}
	got, err := ParseJWKS(text)
	must(t, err)
	if len(got) != 4 {
		t.Fatalf("%d keys", len(got))
	}
	public, err := NewRing(got...)
	must(t, err)
	token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	must(t, taken(token, public))
	if _, err := public.Sign(t.Context(), "at+jwt", []byte(goodClaims)); err == nil {
		t.Error("a public key signs")
	}
	none, err := ParseJWKS(text, RS512)
	must(t, err)
	if len(none) != 0 {
		t.Errorf("keys of algorithms that are not allowed: %v", none)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"keys":5}`, `{"keys":[],"keys":[]}`, `{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`} {
		if _, err := ParseJWKS([]byte(bad)); err == nil {
			t.Errorf("%.30q: taken", bad)
		}
	}
	for _, odd := range []string{`{"keys":[5,{"kty":"x"},{"kty":"RSA","kid":"a","alg":"RS256","n":"AAAA","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"b"},{"kty":"oct","k":"AAAA","kid":"c","alg":"HS256"}]}`} {
		if list, err := ParseJWKS([]byte(odd)); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	}
	if _, err := NewRing(); err == nil {
		t.Error("an empty ring")
	}
	if _, err := NewRing(list[0], list[0]); err == nil {
		t.Error("one ID twice")
	}
}

// A new key is published, then signs; the old one verifies until it expires.
func TestRotating(t *testing.T) {
	var mu sync.Mutex
	clock := now
	var set []TimedKey
	var fail error
	loads := 0
	r, err := NewRotating(func(context.Context) ([]TimedKey, error) {
		mu.Lock()
		defer mu.Unlock()
		loads++
		return set, fail
	}, &RotatingOptions{Clock: func() time.Time { return clock }})
	must(t, err)
	one, err := Generate(EdDSA)
	must(t, err)
	two, err := Generate(EdDSA)
	must(t, err)
	if _, err := r.Sign(t.Context(), "x", []byte("{}")); err == nil {
		t.Error("signed without a key")
	}
	set = []TimedKey{{Key: one}}
	clock = clock.Add(time.Minute)
	signedBy := func() string {
		t.Helper()
		token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
		must(t, err)
		tok, err := Verify(t.Context(), token, r, "at+jwt")
		must(t, err)
		return tok.Header.KeyID
	}
	if signedBy() != one.ID() {
		t.Error("another key signs")
	}
	before := r.Generation()
	set = []TimedKey{{Key: two, SignsFrom: clock.Add(10 * time.Minute)}, {Key: one, Expires: clock.Add(20 * time.Minute)}}
	clock = clock.Add(time.Minute)
	if signedBy() != one.ID() {
		t.Error("a key signs before its time")
	}
	if jwks, err := r.JWKS(t.Context()); err != nil || !strings.Contains(string(jwks), two.ID()) {
		t.Errorf("the next key is not published: %v", err)
	}
	if r.Generation() == before {
		t.Error("the generation did not move")
	}
	old, err := one.token("at+jwt", []byte(goodClaims))
	must(t, err)
	clock = clock.Add(9 * time.Minute)
	if signedBy() != two.ID() {
		t.Error("the new key does not sign at its time")
	}
	if _, err := Verify(t.Context(), old, r, "at+jwt"); err != nil {
		t.Errorf("the old key does not verify: %v", err)
	}
	middle := r.Generation()
	clock = clock.Add(10 * time.Minute)
	if _, err := Verify(t.Context(), old, r, "at+jwt"); !errors.Is(err, ErrInvalid) {
		t.Errorf("the old key verifies when it expired: %v", err)
	}
	if r.Generation() == middle {
		t.Error("an expiry does not move the generation")
	}
	// The store is down: the last set serves for a while.
	fail = errors.New("down")
	clock = clock.Add(5 * time.Minute)
	signedBy()
	clock = clock.Add(2 * time.Minute)
	if _, err := r.Keys(t.Context(), two.ID(), EdDSA); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want a fault", err)
	}
	fail = nil
	clock = clock.Add(10 * time.Second)
	signedBy()
	// Unknown key IDs load not more than once in an interval.
	was := loads
	clock = clock.Add(10 * time.Second)
	for range 50 {
		if list, err := r.Keys(t.Context(), "unheard of", EdDSA); err != nil || list != nil {
			t.Errorf("%v, %v", list, err)
		}
	}
	if loads != was+1 {
		t.Errorf("%d loads", loads-was)
	}
}

func TestRemote(t *testing.T) {
	k, err := Generate(ES256)
	must(t, err)
	other, err := Generate(ES256)
	must(t, err)
	ring, err := NewRing(k)
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
	open := func(url string) *Remote {
		r, err := NewRemote(url, &RemoteOptions{Insecure: true, Algorithms: []Algorithm{ES256}, Clock: func() time.Time { return clock }})
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
	both, err := NewRing(k, other)
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
		if _, err := NewRemote(bad, &RemoteOptions{Insecure: true}); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
	if _, err := NewRemote("http://127.0.0.1/keys", nil); err == nil {
		t.Error("http is taken without the option")
	}
	if _, err := NewRemote("https://issuer.example/keys", &RemoteOptions{Algorithms: []Algorithm{HS256}}); err == nil {
		t.Error("HS256 is taken of published keys")
	}
}
