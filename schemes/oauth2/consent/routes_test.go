package consent_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// routesOf returns the routes of a server with every package, below a path.
func routesOf(t *testing.T, change func(*oauthtest.Options)) (*oauthtest.Server, map[string]server.Access) {
	t.Helper()
	ring, err := keys.NewRing(keys.Generate())
	oauthtest.Must(t, err)
	o := oauthtest.Options{
		Scopes: map[string]string{"read": "Read"}, Keys: ring, SigningKeys: oauthtest.FreshRing(t, jose.ES256),
		OpenID:       &oauthtest.OpenID{EndSession: func(http.ResponseWriter, *http.Request) error { return nil }},
		Registration: &oauthtest.Registration{Allow: func(*http.Request) error { return nil }, Scopes: []string{"read"}},
	}
	oauthtest.WithSessions(&o)
	if change != nil {
		change(&o)
	}
	s, err := oauthtest.New("https://auth.example/base", memory.New(nil), &o)
	oauthtest.Must(t, err)
	all, mux := map[string]server.Access{}, http.NewServeMux()
	for _, r := range s.Routes() {
		if _, twice := all[r.Pattern]; twice || r.Handler == nil {
			t.Errorf("%q comes twice, or has no handler", r.Pattern)
		}
		all[r.Pattern] = r.Access
		mux.Handle(r.Pattern, r.Handler) // panics if two conflict
	}
	return s, all
}

func TestRoutes(t *testing.T) {
	s, got := routesOf(t, nil)
	want := map[string]server.Access{
		"GET /base/oauth2/grants": server.ForAccounts, "DELETE /base/oauth2/grants/{id}": server.ForAccounts,
		"/base/oauth2/authorize": server.ForVisitors, "/base/oauth2/device": server.ForVisitors, "/base/oauth2/logout": server.ForVisitors, "/base/oauth2/applications": server.ForVisitors,
	}
	for _, path := range []string{"token", "revoke", "introspect", "par", "device_authorization", "jwks", "userinfo", "register", "register/{id}"} {
		want["/base/oauth2/"+path] = server.ForClients
	}
	want["/base/.well-known/openid-configuration"] = server.ForClients
	want["/.well-known/oauth-authorization-server/base"] = server.ForClients // RFC 8414, section 3.1
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// Everything that the metadata name is mounted.
	rec := httptest.NewRecorder()
	s.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	var metadata map[string]any
	oauthtest.Must(t, json.Unmarshal(rec.Body.Bytes(), &metadata))
	named := 0
	for name, value := range metadata {
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		named++
		if _, ok := got[strings.TrimPrefix(value.(string), "https://auth.example")]; !ok {
			t.Errorf("%s names %s, which is not mounted", name, value)
		}
	}
	if named != 10 {
		t.Errorf("%d endpoints in %s", named, rec.Body)
	}
}

func TestRoutesLeftOut(t *testing.T) {
	s, got := routesOf(t, func(o *oauthtest.Options) {
		o.Keys, o.OpenID, o.Registration = nil, nil, nil
		o.Endpoints = oauthtest.Endpoints{Revoke: "-", PushedAuthorization: "/push", Grants: "-", GrantsPage: "-"}
	})
	want := map[string]server.Access{
		"/base/oauth2/authorize": server.ForVisitors, "/base/oauth2/token": server.ForClients, "/base/oauth2/introspect": server.ForClients,
		"/base/push": server.ForClients, "/base/oauth2/jwks": server.ForClients, "/.well-known/oauth-authorization-server/base": server.ForClients,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	rec := httptest.NewRecorder()
	s.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	for _, absent := range []string{"revocation_endpoint", "userinfo", "registration_endpoint", "device_authorization", "offline_access", "openid"} {
		if strings.Contains(rec.Body.String(), absent) {
			t.Errorf("%s is in %s", absent, rec.Body)
		}
	}
}

func TestExtendTwice(t *testing.T) {
	s, _ := routesOf(t, nil)
	before := len(s.Routes())
	if _, err := openid.New(s.Server, nil); err == nil {
		t.Error("two issuers of ID tokens")
	}
	if err := s.Extend(server.Extension{Scopes: map[string]string{"a b": ""}}); err == nil {
		t.Error("a scope that is none")
	}
	if n := len(s.Routes()); n != before {
		t.Errorf("a rejected extension added routes: %d, before %d", n, before)
	}
	oauthtest.Must(t, s.Extend(server.Extension{Scopes: map[string]string{"read": "Another text", "more": "More"}, Routes: []server.Route{s.Route("/more", http.NotFoundHandler(), server.ForClients)}}))
	if scopes := s.Options().Scopes; scopes["read"] != "Read" || scopes["more"] != "More" || len(s.Routes()) != before+1 {
		t.Errorf("%v, %d routes", scopes, len(s.Routes()))
	}
}
