package resource_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/resource"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const issuer = "https://login.example"

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, target, nil))
	return rec
}

func TestWhereTheDocumentIs(t *testing.T) {
	const host = "https://api.example"
	for of, path := range map[string]string{
		host: "", host + "/": "", host + "/mcp": "/mcp", host + "/mcp/": "/mcp", host + "/a/b": "/a/b", host + "/f%C3%BC": "/f%C3%BC",
		host + "/mcp?tenant=7": "/mcp",
	} {
		m := must[*resource.Metadata](t)(resource.New(of, []string{issuer}, nil))
		_, query, _ := strings.Cut(of, "?")
		want := host + resource.WellKnown + path
		if query != "" {
			want += "?" + query
		}
		if m.URL() != want || m.Path() != resource.WellKnown+path || m.Resource() != of {
			t.Errorf("%s: %s %s %s", of, m.URL(), m.Path(), m.Resource())
		}
		mux := http.NewServeMux()
		mux.Handle(m.Path(), m)
		var got struct{ Resource string }
		if rec := get(mux, "GET", m.URL()); rec.Code != 200 || json.Unmarshal(rec.Body.Bytes(), &got) != nil || got.Resource != of {
			t.Errorf("%s: %d %s", of, rec.Code, rec.Body)
		}
		if query != "" {
			for _, other := range []string{"", "?tenant=8", "?tenant=7&x"} {
				if rec := get(mux, "GET", host+m.Path()+other); rec.Code != 404 {
					t.Errorf("%s at %q: %d", of, other, rec.Code)
				}
			}
		}
	}
	m := must[*resource.Metadata](t)(resource.New("http://127.0.0.1:8080/mcp", []string{"http://localhost:8080"}, nil))
	if m.URL() != "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp" {
		t.Error(m.URL())
	}
}

func TestDocument(t *testing.T) {
	proofs := must[*dpop.Verifier](t)(dpop.New(issuer, memory.New(nil), nil))
	for name, x := range map[string]struct {
		opts *resource.Options
		want string
	}{
		"least":                   {nil, ""},
		"scopes once, and M17":    {&resource.Options{Scopes: []string{"b", "offline_access", "a", "b"}}, `,"scopes_supported":["b","a"]`},
		"nothing but M17":         {&resource.Options{Scopes: []string{"offline_access"}}, ""},
		"empty lists are omitted": {&resource.Options{Scopes: []string{}}, ""},
	} {
		m := must[*resource.Metadata](t)(resource.New("https://api.example/mcp", []string{issuer, "https://b.example/"}, x.opts))
		want := `{"resource":"https://api.example/mcp","authorization_servers":["https://login.example","https://b.example/"]` + x.want + `,"bearer_methods_supported":["header"]}`
		if got := get(m, "GET", m.URL()).Body.String(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	m := must[*resource.Metadata](t)(resource.New("https://api.example", []string{issuer}, &resource.Options{
		Name: "Notes", Documentation: "https://a.example/d", Policy: "https://a.example/p", Terms: "https://a.example/t", DPoP: proofs, RequireDPoP: true,
	}))
	algs := must[[]byte](t)(json.Marshal(proofs.Algorithms()))
	want := `{"resource":"https://api.example","authorization_servers":["https://login.example"],"bearer_methods_supported":["header"],"resource_name":"Notes",` +
		`"resource_documentation":"https://a.example/d","resource_policy_uri":"https://a.example/p","resource_tos_uri":"https://a.example/t",` +
		`"dpop_signing_alg_values_supported":` + string(algs) + `,"dpop_bound_access_tokens_required":true}`
	if got := get(m, "GET", "/").Body.String(); got != want {
		t.Error(got)
	}
}

// Scripts of every origin can read the document, also after a preflight.
func TestEveryOriginReads(t *testing.T) {
	m := must[*resource.Metadata](t)(resource.New("https://api.example/mcp", []string{issuer}, nil))
	rec := get(m, "GET", m.Path())
	if h := rec.Header(); rec.Code != 200 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Error(rec.Code, h)
	}
	rec = get(m, "OPTIONS", m.Path())
	if h := rec.Header(); rec.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
		t.Error(rec.Code, h)
	}
	if rec := get(m, "POST", m.Path()); rec.Code != 405 {
		t.Error(rec.Code)
	}
}

func TestRefused(t *testing.T) {
	const good = "https://api.example/mcp"
	for _, uri := range []string{
		"", "api.example", "/mcp", "http://api.example/mcp", "ftp://api.example", "https://", "https://u@api.example", "https://api.example/mcp#x", "https://api.example/mcp#",
		"HTTPS://api.example/mcp", "https://API.example/mcp", "https://api.example:443/mcp", "https://api.example:/mcp", "https://api.example/mcp?",
		"https://api.example//mcp", "https://api.example/a//b", "https://api.example/mcp//", "https://api.example/../mcp", "https://api.example/./mcp", "https://api.example/a%2Fb", "https://api.example/%2e%2E/b", "https://api.example/a%5Cb",
		"https://api.example/{id}", "https://api.example/%7Bid%7D", "https://api.example/a b", `https://api.example/"`, `https://api.example/\`, "https://api.example/ü", "https://api.example/%0a", "https://api.example/" + strings.Repeat("a", 2048),
		"https:api.example",
	} {
		if _, err := resource.New(uri, []string{issuer}, nil); err == nil {
			t.Errorf("resource %q accepted", uri)
		}
	}
	for _, list := range [][]string{nil, {}, {""}, {issuer, issuer}, {"http://login.example"}, {"login.example"}, {issuer + "?x=1"}, {issuer + "#x"}, {"https://u:p@login.example"}} {
		if _, err := resource.New(good, list, nil); err == nil {
			t.Errorf("issuers %q accepted", list)
		}
	}
	for _, o := range []resource.Options{
		{Scopes: []string{""}}, {Scopes: []string{"a b"}}, {Documentation: "javascript:x"}, {Policy: "http://a.example"}, {Terms: "terms"}, {RequireDPoP: true},
	} {
		if _, err := resource.New(good, []string{issuer}, &o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}

// Each kind of scheme names the document in its challenge, and a chain of them in one line.
func TestChallenges(t *testing.T) {
	m := must[*resource.Metadata](t)(resource.New("https://api.example/mcp", []string{issuer}, nil))
	none := must[*jose.KeySet](t)(jose.NewKeySet(must[*jose.Key](t)(jose.Generate(jose.EdDSA))))
	signed := func(url string) (*jwt.Verifier, error) {
		return jwt.NewVerifier(issuer, m.Resource(), none, &jwt.VerifierOptions{ResourceMetadata: url})
	}
	opaque := func(url string) (*introspect.Scheme, error) {
		return introspect.New(issuer, issuer+"/introspect", m.Resource(), introspect.ClientCredentials{ID: "api", Secret: "s"}, &introspect.Options{ResourceMetadata: url, Prefix: "ory_at_"})
	}
	own := func(url string) (*oauth2.Scheme, error) {
		return oauth2.New("https://api.example", memory.New(nil), &oauth2.Options{Audience: m.Resource(), ResourceMetadata: url})
	}
	a, b, c := must[*jwt.Verifier](t)(signed(m.URL())), must[*introspect.Scheme](t)(opaque(m.URL())), must[*oauth2.Scheme](t)(own(m.URL()))
	const want = `Bearer resource_metadata="https://api.example/.well-known/oauth-protected-resource/mcp", scope="notes:read notes:write"`
	for name, chain := range map[string]authn.Chain{"jwt": {a}, "introspect": {b}, "oauth2": {c}, "all": {a, c, b}} {
		mux := authz.NewMux(authn.New(chain, nil))
		mux.HandleFunc("GET /mcp", func(http.ResponseWriter, *http.Request) { t.Error("open") }, authz.HasScope("notes:read"), authz.HasScope("notes:write"))
		rec := get(mux, "GET", "https://api.example/mcp")
		if got := rec.Header().Values("WWW-Authenticate"); rec.Code != 401 || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %d %q", name, rec.Code, got)
		}
	}
	refused := func(err error) bool { return err != nil && strings.Contains(err.Error(), "ResourceMetadata") }
	for _, bad := range []string{"/.well-known/x", "http://api.example/x", "https://api.example/x#y", `https://api.example/"x`, "https://u@api.example/x", "https://api.example/x\r\ny"} {
		_, e1 := signed(bad)
		_, e2 := opaque(bad)
		_, e3 := own(bad)
		if !refused(e1) || !refused(e2) || !refused(e3) {
			t.Errorf("%q: %v, %v, %v", bad, e1, e2, e3)
		}
	}
	_, err := jwt.NewVerifier(issuer, m.Resource(), none, &jwt.VerifierOptions{ResourceMetadata: m.URL(), Header: "X-Token"})
	if !refused(err) {
		t.Error("with Header:", err)
	}
}
