package gormstore_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// A client's own token costs at most two writes, and a request with a token of either kind
// one query.
func TestOAuth2Statements(t *testing.T) {
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := jose.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]oauth2.Options{
		"opaque": {},
		"signed": {SignedAccess: signing, Audience: "https://api.example"},
	} {
		t.Run(name, func(t *testing.T) {
			var queries, writes atomic.Int64
			s := openCounting(t, &queries, func(q string) error {
				if word, _, _ := strings.Cut(strings.TrimSpace(q), " "); word == "INSERT" || word == "UPDATE" || word == "DELETE" {
					writes.Add(1)
				}
				return nil
			})
			secret, digest, err := oauth2.NewSecret()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.CreateClient(t.Context(), storage.Client{ID: "c", Method: oauth2.SecretPost, Secret: digest, Grants: []string{oauth2.ClientCredentials}}); err != nil {
				t.Fatal(err)
			}
			api, err := oauth2.New("https://auth.example", s, &opts)
			if err != nil {
				t.Fatal(err)
			}
			srv, err := server.New(api, s, &server.Options{SigningKeys: signing})
			if err != nil {
				t.Fatal(err)
			}
			writes.Store(0)
			r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "client_id": {"c"}, "client_secret": {secret}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			rec := httptest.NewRecorder()
			srv.Token().ServeHTTP(rec, r)
			var got struct {
				Access string `json:"access_token"`
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
				t.Fatal(rec.Code, rec.Body)
			}
			if n := writes.Load(); n > 2 || name == "opaque" && n == 0 {
				t.Errorf("%d writes", n)
			}
			r = httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+got.Access)
			queries.Store(0)
			if _, err := api.Authenticate(r); err != nil || queries.Load() != 1 {
				t.Errorf("%d queries, %v", queries.Load(), err)
			}
		})
	}
}
