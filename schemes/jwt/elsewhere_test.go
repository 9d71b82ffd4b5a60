package jwt_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// waitingKeys are a source whose generation waits for a server.
type waitingKeys struct {
	plainKeys
	asked atomic.Uint64
}

func (k *waitingKeys) Versions() (jose.KeySource, func() uint64) {
	return k, func() uint64 { return k.asked.Add(1) }
}

// A token of another issuer or audience does not wait for the keys of an issuer whose server is
// down: neither the keys nor their generation are read.
func TestKeysOfAnotherIssuer_attack_345(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	const other = "https://sso.example"
	fetches := 0
	remote, err := jose.NewRemoteKeySet(other+"/keys", &jose.RemoteOptions{Clock: w.clock.Now, Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		fetches++
		return nil, errors.New("down")
	})}})
	schemetest.Must(t, err)
	first, err := jwt.NewVerifier(other, audience, remote, &jwt.VerifierOptions{Clock: w.clock.Now})
	schemetest.Must(t, err)
	waiting := &waitingKeys{plainKeys: plainKeys{ring: ringOf(t, jose.ES256)}}
	second, err := jwt.NewVerifier("https://third.example", audience, waiting, &jwt.VerifierOptions{Clock: w.clock.Now})
	schemetest.Must(t, err)
	m := authn.New(authn.Chain{first, second, w.Scheme}, nil)

	own := w.issue(t).Access
	for range 2 {
		if got := through(m, own); got != http.StatusOK {
			t.Errorf("an own token: %d", got)
		}
	}
	audienceOf := func(aud string) string {
		k := ringOf(t, jose.ES256)
		text, err := k.Sign(context.Background(), jwt.TypeAccess, []byte(`{"iss":"`+other+`","aud":"`+aud+`","sub":"1","exp":1800000900}`))
		schemetest.Must(t, err)
		return text
	}
	if got := through(m, audienceOf("https://another.example")); got != http.StatusUnauthorized {
		t.Errorf("another audience: %d", got)
	}
	if got := through(m, "e.junk."); got != http.StatusUnauthorized {
		t.Errorf("junk: %d", got)
	}
	if fetches != 0 || waiting.asked.Load() != 0 {
		t.Errorf("%d fetches, the generation was read %d times", fetches, waiting.asked.Load())
	}
	if got := through(m, audienceOf(audience)); got != http.StatusServiceUnavailable || fetches != 1 {
		t.Errorf("a token of that issuer: %d, %d fetches", got, fetches)
	}
}
