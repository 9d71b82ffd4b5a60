package oauth2_test

import (
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestWire(t *testing.T) {
	t.Run("Bearer", func(t *testing.T) {
		s := schemetest.Watch(memory.New(nil))
		w := oauthtest.NewWorld(t, s, nil)
		schemetest.Wire{
			Scheme: w.Scheme(), Keyword: "Bearer", Good: w.Exchange("app", w.Code("app", nil)).Access, Subject: "id-alice",
			Lookups: func() int64 { return s.Calls("AccessByDigest") },
		}.Run(t)
	})
	t.Run("DPoP", func(t *testing.T) {
		s := schemetest.Watch(memory.New(nil))
		w := oauthtest.NewWorld(t, s, oauthtest.WithDPoP)
		p := w.NewProver()
		good := p.Exchange("app", w.Code("app", nil)).Access
		schemetest.Wire{
			Scheme: w.Scheme(), Keyword: "DPoP", Good: good, Subject: "id-alice", Lookups: func() int64 { return s.Calls("AccessByDigest") },
			Add: func(r *http.Request) {
				r.URL.Path, r.RequestURI = "/notes", "/notes"
				r.Header.Set("DPoP", p.At(good, nil))
			},
		}.Run(t)
	})
}
