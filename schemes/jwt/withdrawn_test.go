package jwt_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// plainKeys are an application's source that implements only the required method.
type plainKeys struct {
	ring *jose.KeySet
	gone bool
}

func (k *plainKeys) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	if k.gone {
		return nil, nil
	}
	return k.ring.Keys(ctx, kid, alg)
}

// embeddingKeys have their own Keys, and the promoted methods Generation and Versions.
type embeddingKeys struct {
	*jose.KeySet
	gone bool
}

func (k *embeddingKeys) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	if k.gone {
		return nil, nil
	}
	return k.KeySet.Keys(ctx, kid, alg)
}

// listedKeys are embeddingKeys of a type that cannot be compared.
type listedKeys struct {
	*embeddingKeys
	_ []string
}

// versionedKeys report their changes.
type versionedKeys struct {
	plainKeys
	generation, asked atomic.Uint64
}

func (k *versionedKeys) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	k.asked.Add(1)
	return k.plainKeys.Keys(ctx, kid, alg)
}

func (k *versionedKeys) Versions() (jose.KeySource, func() uint64) { return k, k.generation.Load }

// A removed key verifies no more tokens, whatever was accepted before, and whatever expiry a thief
// wrote.
func TestWithdrawnKeys_attack_282(t *testing.T) {
	ring := ringOf(t, jose.ES256)
	plain, embedding := &plainKeys{ring: ring}, &embeddingKeys{KeySet: ring}
	listed := listedKeys{embeddingKeys: &embeddingKeys{KeySet: ring}}
	versioned := &versionedKeys{plainKeys: plainKeys{ring: ring}}
	for name, x := range map[string]struct {
		keys     jose.KeySource
		withdraw func()
	}{
		"a source of one method":    {plain, func() { plain.gone = true }},
		"embeds a ring":             {embedding, func() { embedding.gone = true }},
		"embeds, not comparable":    {listed, func() { listed.gone = true }},
		"tells its own generations": {versioned, func() { versioned.gone = true; versioned.generation.Add(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			v, err := jwt.NewVerifier(idp, audience, x.keys, &jwt.VerifierOptions{Clock: func() time.Time { return now }})
			schemetest.Must(t, err)
			text := foreign(t, ring, claims{"exp": now.AddDate(10, 0, 0).Unix()})
			for range 3 {
				if got := statusOf(v, text); got != 200 {
					t.Fatalf("before: %d", got)
				}
			}
			x.withdraw()
			for _, later := range []time.Duration{0, time.Hour, 24 * 365 * time.Hour} {
				now = now.Add(later)
				if got := statusOf(v, text); got != 401 {
					t.Errorf("%v after the key was withdrawn: %d", later, got)
				}
			}
		})
	}
	if n := versioned.asked.Load(); n > 4 {
		t.Errorf("a source that tells its generations was asked %d times for 3 accepted tokens", n)
	}
}
