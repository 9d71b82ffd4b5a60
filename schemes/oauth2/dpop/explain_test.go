package dpop_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Explain uses no proof up, and finds one that was used.
func TestExplainUsesNoProof(t *testing.T) {
	t.Run("attack_305", func(t *testing.T) {
		w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithDPoP)
		p := w.NewProver()
		got := p.Exchange("app", w.Code("app", nil))
		proof := p.At(got.Access, nil)
		m := authn.New(authn.Chain{w.Scheme()}, nil)
		explain := func() error {
			r := httptest.NewRequest("GET", "/notes", nil)
			r.Header.Set("Authorization", "DPoP "+got.Access)
			r.Header.Set("DPoP", proof)
			_, _, err := m.Explain(r)
			return err
		}
		for range 2 {
			if err := explain(); err != nil {
				t.Fatal(err)
			}
		}
		if rec := w.Calls("DPoP", got.Access, proof); rec.Code != 200 {
			t.Errorf("the request after it: %d %s", rec.Code, rec.Body)
		}
		if err := explain(); err == nil {
			t.Error("a used proof is explained as good")
		}
	})
}
