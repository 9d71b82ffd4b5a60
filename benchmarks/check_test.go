package benchmarks

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ory/fosite"
)

// BenchmarkResourceCheck is the check of an opaque access token by itself: the authenticator
// over the cache in front of SQLite, go-oauth2's ValidationBearerToken and fosite's
// introspection with their stores in memory. They take turns.
func BenchmarkResourceCheck(b *testing.B) {
	e := NewEnv(b.Context())
	defer e.Close()
	w, err := e.world(onSQLite, true)
	if err != nil {
		b.Fatal(err)
	}
	request := func(name, value string) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(name, value)
		return r
	}
	issue := func(h http.Handler) *http.Request {
		var body refreshed
		if err := answer(h, asPeersApp(passwordGrant), 200, &body); err != nil {
			b.Fatal(err)
		}
		return request("Authorization", "Bearer "+body.OAuthAccess)
	}
	ours := request(w.credential("oauth2"))
	frame, _, err := goOAuth2()
	if err != nil {
		b.Fatal(err)
	}
	theirs := issue(goOAuth2Endpoint(frame))
	provider := newFosite()
	others := issue(fositeEndpoint(provider))
	checks := []struct {
		name string
		once func() error
	}{
		{"vestibule", func() error { _, err := w.grants.Authenticate(ours); return err }},
		{"go-oauth2", func() error { _, err := frame.ValidationBearerToken(theirs); return err }},
		{"fosite", func() error {
			_, _, err := provider.IntrospectToken(others.Context(), fosite.AccessTokenFromRequest(others), fosite.AccessToken, new(fosite.DefaultSession))
			return err
		}},
	}
	const n = 256
	took, count := make([]time.Duration, len(checks)), 0
	for b.Loop() {
		for i, c := range checks {
			begin := time.Now()
			for range n {
				if err := c.once(); err != nil {
					b.Fatal(c.name, err)
				}
			}
			took[i] += time.Since(begin)
		}
		count += n
	}
	for i, c := range checks {
		b.ReportMetric(float64(took[i].Nanoseconds())/float64(count), c.name+"-ns")
	}
	b.ReportMetric(float64(took[1])/float64(took[0]), "go-oauth2-ratio")
	b.ReportMetric(float64(took[2])/float64(took[0]), "fosite-ratio")
	b.ReportMetric(0, "ns/op")
}
