package recovery_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Explain is a dry run, so it deletes no link.
func TestExplainEndsNoLink_attack_305(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	token := w.token()
	scheme, err := basic.New(w.Checker(w.passwords), nil)
	must(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("alice", "wonderland-1")
	if id, _, err := authn.New(scheme, nil).Explain(r); err != nil || id.Subject != "id-alice" {
		t.Fatalf("%q, %v", id.Subject, err)
	}
	if got := w.reset(token, "mad-hatter-99"); got != 204 {
		t.Errorf("the link after Explain: %d, want 204", got)
	}
}
