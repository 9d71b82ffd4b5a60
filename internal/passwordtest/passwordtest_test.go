package passwordtest_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/passwordtest"
)

func TestNew(t *testing.T) {
	h := passwordtest.New(t, nil)
	hash, err := h.Hash(t.Context(), "", "wonderland-42")
	if err != nil || !strings.Contains(string(hash), "$m=8,t=1,p=1$") {
		t.Fatalf("%q, %v", string(hash), err)
	}
	if ok, outdated, err := h.Verify(t.Context(), "", hash, "wonderland-42"); !ok || outdated || err != nil {
		t.Error(ok, outdated, err)
	}
}
