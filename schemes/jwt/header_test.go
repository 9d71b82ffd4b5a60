package jwt_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const assertion = "X-Proxy-Assertion"

// A token in the header of a proxy is ambient: an explicit Authorization header takes precedence,
// and another site cannot use it.
func TestTokenInAHeader(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	v := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Header: assertion})
	if !v.Ambient() || len(v.Headers()) != 1 || v.Headers()[0] != assertion {
		t.Errorf("ambient %t, headers %v", v.Ambient(), v.Headers())
	}
	own := newWorld(t, jwt.Options{})
	chain := authn.Chain{v, own.Scheme}
	schemetest.Must(t, authn.Check(chain))
	m := authn.New(chain, &authn.Options{Logger: schemetest.Quiet})
	good, pair := foreign(t, ring, nil), own.issue(t)
	send := func(method string, headers ...string) (status int, id authn.Identity) {
		r := httptest.NewRequest(method, "https://app.example/", nil)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { id = authn.FromContext(r.Context()) })).ServeHTTP(recorder(&status), r)
		return status, id
	}
	for name, c := range map[string]struct {
		method  string
		headers []string
		status  int
		issuer  string // "-": anonymous
	}{
		"the token":                   {"GET", []string{assertion + ": " + good}, 200, idp},
		"none":                        {"GET", nil, 200, "-"},
		"empty":                       {"GET", []string{assertion + ": "}, 200, "-"},
		"twice":                       {"GET", []string{assertion + ": " + good, assertion + ": " + good}, 400, ""},
		"with a keyword":              {"GET", []string{assertion + ": Bearer " + good}, 401, ""},
		"with a blank":                {"GET", []string{assertion + ": " + good + " "}, 401, ""},
		"a list":                      {"GET", []string{assertion + ": " + good + "," + good}, 401, ""},
		"another signature":           {"GET", []string{assertion + ": " + foreign(t, ringOf(t, jose.EdDSA), nil)}, 401, ""},
		"another issuer":              {"GET", []string{assertion + ": " + foreign(t, ring, claims{"iss": "https://x.example"})}, 401, ""},
		"as a bearer token":           {"GET", []string{"Authorization: Bearer " + good}, 401, ""},
		"our token in the header":     {"GET", []string{assertion + ": " + pair.Access}, 401, ""},
		"both":                        {"GET", []string{assertion + ": " + good, "Authorization: Bearer " + pair.Access}, 200, ""},
		"both, ours invalid":          {"GET", []string{assertion + ": " + good, "Authorization: Bearer " + pair.Access[:len(pair.Access)-4] + "AAAA"}, 401, ""},
		"an underscore":               {"GET", []string{"X_Proxy_Assertion: " + good}, 200, "-"},
		"POST of the site":            {"POST", []string{assertion + ": " + good, "Sec-Fetch-Site: same-origin"}, 200, idp},
		"POST of a program":           {"POST", []string{assertion + ": " + good}, 200, idp},
		"POST of another site":        {"POST", []string{assertion + ": " + good, "Sec-Fetch-Site: cross-site"}, 403, ""},
		"POST of another origin":      {"POST", []string{assertion + ": " + good, "Origin: https://evil.example"}, 403, ""},
		"a WebSocket of another site": {"GET", []string{assertion + ": " + good, "Upgrade: websocket", "Connection: Upgrade", "Origin: https://evil.example"}, 403, ""},
		"GET of another site":         {"GET", []string{assertion + ": " + good, "Sec-Fetch-Site: cross-site"}, 200, idp},
	} {
		for range 2 { // the second finds the kept identity
			status, id := send(c.method, c.headers...)
			if status != c.status || status == 200 && (c.issuer == "-") == id.Authenticated() || status == 200 && c.issuer != "-" && id.Issuer != c.issuer {
				t.Errorf("%s: %d, %+v", name, status, id)
			}
		}
	}
	r := httptest.NewRequest("POST", "https://app.example/", strings.NewReader("a=b"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(assertion, good)
	var refused *authn.Error
	if _, err := v.Authenticate(r); !errors.As(err, &refused) || refused.Status != 403 {
		t.Errorf("a form without an origin: %v", err)
	}
	if got := v.Challenge(r, authn.ErrNoCredentials); got != "" {
		t.Errorf("challenge %q", got)
	}
	site, err := csrf.New("https://app.example", nil)
	schemetest.Must(t, err)
	named := verifierFor(t, idp, audience, ring, jwt.VerifierOptions{Header: assertion, Site: site})
	for host, ok := range map[string]bool{"app.example": true, "other.example": false} {
		r := httptest.NewRequest("POST", "https://"+host+"/", nil)
		r.Header.Set(assertion, good)
		r.Header.Set("Origin", "https://"+host)
		if _, err := named.Authenticate(r); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// recorder returns a response writer that stores the status.
func recorder(status *int) http.ResponseWriter {
	*status = 200
	return &statusOnly{status, http.Header{}}
}

type statusOnly struct {
	status *int
	header http.Header
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { *s.status = status }

// Two verifiers of one header each get their own tokens.
func TestTwoVerifiersOfAHeader(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	a := verifierFor(t, idp, "a", ring, jwt.VerifierOptions{Header: assertion, Name: "a"})
	b := verifierFor(t, idp, "b", ring, jwt.VerifierOptions{Header: assertion, Name: "b"})
	m := authn.New(authn.Chain{a, b}, &authn.Options{Logger: schemetest.Quiet})
	for aud, want := range map[string]string{"a": "a", "b": "b", "c": ""} {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		r.Header.Set(assertion, foreign(t, ring, claims{"aud": aud}))
		ctx, err := m.Authenticate(r)
		if (err == nil) != (want != "") || authn.FromContext(ctx).Scheme != want {
			t.Errorf("%s: %v, %v", aud, authn.FromContext(ctx).Scheme, err)
		}
	}
}

// Verifiers of one chain that would accept the same token are a mistake, whatever the order.
func TestVerifierConflicts(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	type o = jwt.VerifierOptions
	tenants := func(x o) o { x.Tenants, x.TenantClaim = jwt.TenantList("a"), "tid"; return x }
	type v struct {
		iss, aud string
		opts     o
	}
	const template = "https://login.example/{tenant}/v2"
	for name, c := range map[string]struct {
		a, b v
		ok   bool
	}{
		"a further issuer":                      {v{idp, "x", o{Issuers: []string{"https://b.example"}}}, v{"https://b.example", "x", o{}}, false},
		"a further issuer, another audience":    {v{idp, "x", o{Issuers: []string{"https://b.example"}}}, v{"https://b.example", "y", o{}}, true},
		"a template and its tenant":             {v{template, "x", tenants(o{})}, v{"https://login.example/a/v2", "x", o{}}, false},
		"a template and its tenant, apart":      {v{template, "x", tenants(o{})}, v{"https://login.example/a/v2", "y", o{}}, true},
		"a template and another path":           {v{template, "x", tenants(o{})}, v{"https://login.example/a/b/v2", "x", o{}}, true},
		"a template and another version":        {v{template, "x", tenants(o{})}, v{"https://login.example/a/v1", "x", o{}}, true},
		"two equal templates":                   {v{template, "x", tenants(o{})}, v{template, "x", tenants(o{})}, false},
		"two equal templates, apart":            {v{template, "x", tenants(o{})}, v{template, "y", tenants(o{})}, true},
		"two templates":                         {v{template, "x", tenants(o{})}, v{"https://login.example/{tenant}/v3", "x", tenants(o{})}, true},
		"two templates of one form":             {v{template, "x", tenants(o{})}, v{"https://login.example/{tenant}", "x", tenants(o{})}, false},
		"two without an issuer":                 {v{"spiffe://a", "x", o{NoIssuer: true}}, v{"spiffe://b", "y", o{NoIssuer: true}}, false},
		"two without an issuer, other headers":  {v{"spiffe://a", "x", o{NoIssuer: true}}, v{"spiffe://b", "x", o{NoIssuer: true, Header: assertion}}, true},
		"one without an issuer":                 {v{"spiffe://a", "x", o{NoIssuer: true}}, v{"spiffe://b", "x", o{}}, true},
		"no audience and an audience":           {v{idp, "", o{Clients: []string{"a"}}}, v{idp, "x", o{}}, false},
		"no audience, other clients":            {v{idp, "", o{Clients: []string{"a"}}}, v{idp, "", o{Clients: []string{"b"}}}, true},
		"no audience, a common client":          {v{idp, "", o{Clients: []string{"a", "b"}}}, v{idp, "", o{Clients: []string{"b", "c"}}}, false},
		"no audience, clients that begin alike": {v{idp, "", o{Clients: []string{"a"}}}, v{idp, "", o{Clients: []string{"a", "b"}}}, false},
		"an audience, other clients":            {v{idp, "", o{Clients: []string{"a"}}}, v{idp, "x", o{Clients: []string{"b"}}}, true},
		"a common audience, other clients":      {v{idp, "x", o{Clients: []string{"a"}}}, v{idp, "x", o{Clients: []string{"b"}}}, false},
		"signers":                               {v{idp, "", o{Require: []jwt.Rule{jwt.HeaderIs("signer", "a")}}}, v{idp, "", o{Require: []jwt.Rule{jwt.HeaderIs("signer", "b")}}}, false},
		"another header":                        {v{idp, "x", o{}}, v{idp, "x", o{Header: assertion}}, true},
		"the same header":                       {v{idp, "x", o{Header: assertion}}, v{idp, "x", o{Header: assertion}}, false},
	} {
		a, b := verifierFor(t, c.a.iss, c.a.aud, ring, c.a.opts), verifierFor(t, c.b.iss, c.b.aud, ring, c.b.opts)
		for _, chain := range []authn.Chain{{a, b}, {b, a}, {authn.Chain{a}, wrapped{b}}} {
			if err := authn.Check(chain); (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	own, err := jwt.New("https://login.example/a/v2", audience, ring, memory.New(nil), &jwt.Options{Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	schemetest.Must(t, err)
	if err := authn.Check(authn.Chain{own, verifierFor(t, template, "x", ring, tenants(o{}))}); err == nil {
		t.Error("a template that matches our own issuer")
	}
}

// wrapped decorates a scheme.
type wrapped struct{ authn.Authenticator }

func (w wrapped) Unwrap() authn.Authenticator { return w.Authenticator }

// With disjoint clients and no audience, each verifier gets its own tokens.
func TestVerifiersByClient(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	a := verifierFor(t, idp, "", ring, jwt.VerifierOptions{Clients: []string{"one"}, Name: "a"})
	b := verifierFor(t, idp, "", ring, jwt.VerifierOptions{Clients: []string{"two"}, Name: "b"})
	for client, want := range map[string]string{"one": "a", "two": "b", "three": ""} {
		id, err := authn.Chain{a, b}.Authenticate(bearer(foreign(t, ring, claims{"aud": nil, "client_id": client})))
		if (err == nil) != (want != "") || id.Scheme != want {
			t.Errorf("%s: %+v, %v", client, id, err)
		}
	}
}
