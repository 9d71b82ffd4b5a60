package knox_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestWire(t *testing.T) {
	for _, keyword := range []string{"Knox", "Token", "Bearer"} {
		t.Run(keyword, func(t *testing.T) {
			s := schemetest.Watch(memory.New(nil))
			schemetest.Add(t, s, "alice")
			x := scheme(t, s, nil)
			good, _ := issue(t, x, "id-alice", knox.Token{})
			schemetest.Wire{Scheme: x, Keyword: keyword, Good: good, Subject: "id-alice", Lookups: func() int64 { return s.Calls(reads()...) }}.Run(t)
		})
	}
}
