package registration_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// TestChangesAreLimited checks that a client which registered itself changes its registration a
// bounded number of times: each change makes every cache forget something.
func TestChangesAreLimited(t *testing.T) {
	t.Run("attack_284", func(t *testing.T) {
		w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithLimits)
		var c struct {
			ID    string `json:"client_id"`
			Token string `json:"registration_access_token"`
		}
		oauthtest.Must(t, json.Unmarshal([]byte(w.Registers(oauthtest.Address(0)).Body), &c))
		body := `{"client_id":"` + c.ID + `","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`
		change := func(method string, n int) int {
			r := httptest.NewRequest(method, oauthtest.Issuer+"/oauth2/register/"+c.ID, strings.NewReader(body))
			r.SetPathValue("id", c.ID)
			r.RemoteAddr = oauthtest.Address(n)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+c.Token)
			rec := httptest.NewRecorder()
			w.ClientConfiguration().ServeHTTP(rec, r)
			return rec.Code
		}
		got := map[int]int{}
		for n := range 100 { // each from a network of its own
			got[change("PUT", n)]++
		}
		if got[http.StatusOK] != 6 || got[http.StatusTooManyRequests] != 94 {
			t.Errorf("100 changes: %v, want 6 accepted and 94 times 429", got)
		}
		if status := change("GET", 1); status != http.StatusOK {
			t.Errorf("GET: %d, want 200: reading changes nothing", status)
		}
	})
}
