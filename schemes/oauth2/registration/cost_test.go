package registration_test

import (
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// An anonymous registration costs little, whatever fills its 16 KiB, and the bounds refuse no real one.
func TestCostOfRegistration_attack_372(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithLimits(o); o.InsecureNoLimits = true })
	send := func(body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", oauthtest.Issuer+"/oauth2/register", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.Register().ServeHTTP(rec, r)
		return rec
	}
	list := func(n int, begin, one, sep, end string) string {
		return begin + strings.TrimSuffix(strings.Repeat(one+sep, n), sep) + end
	}
	const uri = `"redirect_uris":["https://app.example/cb"]`
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"32 redirect URIs": {list(32, `{"redirect_uris":[`, `"http://[::1]/"`, ",", `]}`), 201},
		"33 redirect URIs": {list(33, `{"redirect_uris":[`, `"http://[::1]/"`, ",", `]}`), 400},
		"redirect URIs":    {list(1000, `{"redirect_uris":[`, `"http://[::1]/"`, ",", `]}`), 400},
		"grant types":      {list(5300, `{`+uri+`,"grant_types":[`, `""`, ",", `]}`), 400},
		"response types":   {list(2000, `{`+uri+`,"response_types":[`, `"code"`, ",", `]}`), 400},
		"one scope":        {list(1000, `{`+uri+`,"scope":"`, `read`, " ", `"}`), 201},
		"scopes":           {list(3000, `{`+uri+`,"scope":"`, `read`, " ", `"}`), 400},
		"unknown scopes":   {list(4000, `{`+uri+`,"scope":"`, `x`, " ", `"}`), 201},
		"keys":             {list(5000, `{`+uri+`,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[`, `{}`, ",", `]}}`), 400},
		"a name":           {list(16000, `{`+uri+`,"client_name":"`, `n`, "", `"}`), 400},
		"null":             {`{"redirect_uris":["https://app.example/cb"],"grant_types":null,"scope":"read"}`, 201},
		"not strings":      {`{"redirect_uris":[1]}`, 400},
		"not a list":       {`{"redirect_uris":"https://app.example/cb"}`, 400},
	} {
		if rec := send(c.body); rec.Code != c.want {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
		var before, after runtime.MemStats
		const times = 20
		runtime.ReadMemStats(&before)
		for range times {
			send(c.body)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 80<<10 { // 64 KiB, and what sends and receives it here
			t.Errorf("%s: %d KiB", name, each>>10)
		}
	}
}
