package oauthtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/registration"
	"github.com/vestibule-auth/vestibule/storage"
)

// NewRegistry is a world in which clients register with the token that is returned.
func NewRegistry(t *testing.T, s Store, change func(*Options)) (*World, string) {
	t.Helper()
	initial, digest, err := registration.NewInitialAccessToken()
	Must(t, err)
	return NewWorld(t, s, func(o *Options) {
		WithSessions(o)
		o.Registration = &Registration{Allow: registration.InitialAccessToken(storage.DigestOf("other"), digest), Scopes: []string{"read", "write"}}
		if change != nil {
			change(o)
		}
	}), initial
}

// client is the answer of the registration endpoints.
type ClientReply struct {
	Reply
	ID        string   `json:"client_id"`
	Issued    int64    `json:"client_id_issued_at"`
	Secret    string   `json:"client_secret"`
	Expires   *int     `json:"client_secret_expires_at"`
	Redirects []string `json:"redirect_uris"`
	Method    string   `json:"token_endpoint_auth_method"`
	Grants    []string `json:"grant_types"`
	Responses []string `json:"response_types"`
	Name      string   `json:"client_name"`
	Kind      string   `json:"application_type"`
	Token     string   `json:"registration_access_token"`
	URI       string   `json:"registration_client_uri"`
}

// Manages sends JSON to the registration endpoints, with a bearer token where not "".
func (w *World) Manages(method, path, token, body string, headers ...string) ClientReply {
	w.T.Helper()
	mux := http.NewServeMux()
	mux.Handle("/oauth2/register", w.Register())
	mux.Handle("/oauth2/register/{id}", w.ClientConfiguration())
	r := httptest.NewRequest(method, Issuer+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, r)
	var out ClientReply
	_ = json.Unmarshal(rec.Body.Bytes(), &out)
	_ = json.Unmarshal(rec.Body.Bytes(), &out.Reply)
	out.Status, out.Header, out.Body = rec.Code, rec.Header(), rec.Body.String()
	if out.Header.Get("Cache-Control") != "no-store" {
		w.T.Errorf("%s %s: %v", method, path, out.Header)
	}
	return out
}
