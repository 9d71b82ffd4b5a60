package openid_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A logout that failed can be sent again with the same form.
func TestRetriedLogout(t *testing.T) {
	t.Run("attack_307", func(t *testing.T) {
		var fault error
		ended := 0
		p := oauthtest.NewProvider(t, memory.New(nil), jose.ES256, func(o *oauthtest.Options) {
			o.OpenID.EndSession = func(http.ResponseWriter, *http.Request) error {
				if fault == nil {
					ended++
				}
				return fault
			}
		})
		handle := oauthtest.HandleOf(t, p.LogsOut("s1", "", ""))
		fault = errors.New("the database is down")
		if rec := p.LogsOut("s1", "", "handle="+handle+"&decision=logout"); rec.Code != 503 {
			t.Fatalf("%d", rec.Code)
		}
		fault = nil
		if rec := p.LogsOut("s1", "", "handle="+handle+"&decision=logout"); rec.Code != 200 || ended != 1 {
			t.Errorf("sent again: %d", rec.Code)
		}
		if rec := p.LogsOut("s1", "", "handle="+handle+"&decision=logout"); rec.Code != 400 || ended != 1 {
			t.Errorf("answered: %d", rec.Code)
		}
	})
}
