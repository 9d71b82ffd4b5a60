package jwt_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

func TestWire(t *testing.T) {
	for name, opts := range map[string]jwt.Options{"with_accounts": {}, "stateless": {Stateless: true}, "without_cache": {CacheEntries: -1}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jwt.Options{})
			s := schemetest.Watch(w.store)
			x := overStore(t, w, s, opts)
			schemetest.Wire{
				Scheme: x, Keyword: "Bearer", Good: w.issue(t).Access, Subject: "id-alice", Invalid: "*",
				Lookups: func() int64 { return s.Calls(reads()...) },
			}.Run(t)
		})
	}
}
