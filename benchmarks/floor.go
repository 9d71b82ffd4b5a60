package benchmarks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"net/http"
	"strings"
	"sync"
	"time"
)

// floor is the least that a cached check can be: the digest of the credential, a map, and a
// value in the request's context.
type floor struct {
	header, prefix string
	mu             sync.RWMutex
	known          map[[32]byte]*known
	next           http.Handler
}

type known struct{ subject string }

type floorKey struct{}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	values := r.Header[f.header]
	if len(values) != 1 || !strings.HasPrefix(values[0], f.prefix) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var buf [1024]byte // not on the heap
	digest := sha256.Sum256(buf[:copy(buf[:], values[0][len(f.prefix):])])
	f.mu.RLock()
	k := f.known[digest]
	f.mu.RUnlock()
	if k == nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, k)))
}

// floorGate is a floor for the very credential that our own scheme of that name accepts.
func floorGate(scheme string) func(*Env, Seen) (*Gate, error) {
	return func(e *Env, seen Seen) (*Gate, error) {
		w, err := e.world(inMemory, false)
		if err != nil {
			return nil, err
		}
		name, value := w.credential(scheme)
		i := strings.IndexAny(value, " =") + 1
		f := &floor{header: name, prefix: value[:i], known: map[[32]byte]*known{sha256.Sum256([]byte(value[i:])): {subject}}}
		f.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen(w, r.Context().Value(floorKey{}).(*known).subject)
		})
		g := &Gate{Handler: f}
		g.Good, g.Bad = header(name, value)
		return g, nil
	}
}

// signed is the least that an uncached check of an HS256 token can be: header, signature,
// expiry, issuer and audience.
type signed struct {
	macs sync.Pool
	next http.Handler
}

const signedHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."

var errSigned = errors.New("not that token")

func (f *signed) check(text string) (*known, error) {
	rest, ok := strings.CutPrefix(text, signedHeader)
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return nil, errSigned
	}
	mac := f.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write([]byte(text[:len(signedHeader)+len(payload)]))
	var sum [32]byte
	mac.Sum(sum[:0])
	f.macs.Put(mac)
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(given, sum[:]) {
		return nil, errSigned
	}
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Subject  string `json:"sub"`
		Expires  int64  `json:"exp"`
	}
	if err := json.Unmarshal(data, &claims); err != nil {
		return nil, err
	}
	if claims.Expires <= time.Now().Unix() || claims.Issuer != issuer || claims.Audience != audience {
		return nil, errSigned
	}
	return &known{claims.Subject}, nil
}

func (f *signed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	values := r.Header["Authorization"]
	if len(values) == 1 {
		if text, ok := strings.CutPrefix(values[0], "Bearer "); ok {
			if k, err := f.check(text); err == nil {
				f.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), floorKey{}, k)))
				return
			}
		}
	}
	w.WriteHeader(http.StatusUnauthorized)
}

func signedGate(_ *Env, seen Seen) (*Gate, error) {
	f := &signed{next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(w, r.Context().Value(floorKey{}).(*known).subject)
	})}
	f.macs.New = func() any { return hmac.New(sha256.New, secret) }
	return bearerGate(f)
}
