package token_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestWire(t *testing.T) {
	for name, opts := range map[string]token.Options{"prefixed": {}, "hex": {Format: token.Hex40}, "under_Bearer": {Keyword: "Bearer"}} {
		t.Run(name, func(t *testing.T) {
			s := schemetest.Watch(memory.New(nil))
			schemetest.Add(t, s, "alice")
			x := scheme(t, s, sharedRing, &opts)
			good, err := x.GetOrCreate(t.Context(), "id-alice", 0)
			schemetest.Must(t, err)
			keyword := opts.Keyword
			if keyword == "" {
				keyword = "Token"
			}
			schemetest.Wire{Scheme: x, Keyword: keyword, Good: good, Subject: "id-alice", Lookups: func() int64 { return s.Calls() }}.Run(t)
		})
	}
}
