package oauthtest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// RingOf makes a ring of one key.
func RingOf(t testing.TB, id string, alg jose.Algorithm, key crypto.Signer) *jose.KeySet {
	t.Helper()
	k, err := jose.NewPrivate(id, alg, key)
	Must(t, err)
	r, err := jose.NewKeySet(k)
	Must(t, err)
	return r
}

func PublicSet(t testing.TB, r *jose.KeySet) []byte {
	t.Helper()
	set, err := r.JWKS(t.Context())
	Must(t, err)
	return set
}

func Ed25519Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	Must(t, err)
	return key
}

// Signer registers a client that signs assertions.
func (w *World) Signer(id string, set []byte) {
	w.T.Helper()
	c := storage.Client{ID: id, Method: oauth2.PrivateKeyJWT, Keys: set, Grants: []string{oauth2.ClientCredentials}, Scopes: []string{"read"}, Default: []string{"read"}, Resources: []string{"https://api.example"}}
	Must(w.T, oauth2.CheckClient(c))
	Must(w.T, w.DB.CreateClient(w.T.Context(), c))
}

// Assertion signs good claims of a client with some changed; nil takes one away.
func (w *World) Assertion(r *jose.KeySet, typ, client string, change map[string]any) string {
	w.T.Helper()
	claims := map[string]any{"iss": client, "sub": client, "aud": Issuer, "jti": fmt.Sprint("jti-", w.N.Add(1)), "iat": w.Clock().Unix(), "exp": w.Clock().Add(time.Minute).Unix()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(claims)
	Must(w.T, err)
	token, err := r.Sign(w.T.Context(), typ, text)
	Must(w.T, err)
	return token
}

const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Asserts asks for a token of the client's own.
func (w *World) Asserts(assertion string, pairs ...string) Reply {
	return w.Post(w.Token(), "", append([]string{"grant_type", "client_credentials", "client_assertion_type", AssertionType, "client_assertion", assertion}, pairs...)...)
}

// Together counts what 64 at once get.
func Together(f func(i int) int) map[int]int {
	counts, start := map[int]int{}, make(chan struct{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			<-start
			got := f(i)
			mu.Lock()
			defer mu.Unlock()
			counts[got]++
		})
	}
	close(start)
	wg.Wait()
	return counts
}
