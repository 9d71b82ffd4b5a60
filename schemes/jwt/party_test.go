package jwt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

type claims = map[string]any

// The client and the limits of a token of another issuer. A missing claim never extends its rights.
func TestForeignParty_attack_254(t *testing.T) {
	ring := ringOf(t, jose.RS256)
	none := []string{}
	notes := []string{"notes:read"}
	// A user's token with neither a client nor scopes.
	bare := func(more claims) claims {
		c := claims{"client_id": nil, "scope": nil}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	type want struct {
		subject, client, issuer string
		scopes, roles           []string
		refused                 bool
	}
	limited := func(client string, scopes []string) want {
		return want{subject: "user-7", client: client, issuer: idp, scopes: scopes}
	}
	full := want{subject: "user-7", issuer: idp, roles: []string{"admin"}}
	refused := want{refused: true}
	for name, c := range map[string]struct {
		opts   jwt.VerifierOptions
		change claims
		want   want
	}{
		"edge_A02/scp alone, not named":               {jwt.VerifierOptions{}, bare(claims{"scp": "notes:read"}), limited("", none)},
		"edge_A02/scp list with cid, not named":       {jwt.VerifierOptions{}, bare(claims{"scp": notes, "cid": "partner"}), limited("", none)},
		"edge_A02/neither scope nor client":           {jwt.VerifierOptions{}, bare(nil), limited("", none)},
		"edge_A02/scope null":                         {jwt.VerifierOptions{}, bare(claims{"scope": jsonNull}), refused},
		"edge_A02/scope a number":                     {jwt.VerifierOptions{}, claims{"scope": 7}, refused},
		"edge_A02/scope an object":                    {jwt.VerifierOptions{}, claims{"scope": claims{"notes:write": true}}, refused},
		"edge_A02/scope a list of numbers":            {jwt.VerifierOptions{}, claims{"scope": []int{1}}, refused},
		"edge_A02/scope a list with an empty item":    {jwt.VerifierOptions{}, claims{"scope": []string{""}}, refused},
		"edge_A02/scope a list, an item with a blank": {jwt.VerifierOptions{}, claims{"scope": []string{"notes:read notes:write"}}, refused},
		"edge_A02/scope a list":                       {jwt.VerifierOptions{}, claims{"scope": notes}, limited("app", notes)},
		"edge_A02/scope an empty list":                {jwt.VerifierOptions{}, claims{"scope": none}, limited("app", none)},
		"edge_A02/scope empty":                        {jwt.VerifierOptions{}, claims{"scope": ""}, limited("app", none)},
		"edge_A02/scopes in another case":             {jwt.VerifierOptions{}, bare(claims{"scopes": "notes:write", "permissions": notes}), limited("", none)},
		"edge_A02/client empty":                       {jwt.VerifierOptions{}, claims{"client_id": ""}, refused},
		"edge_A02/client a list":                      {jwt.VerifierOptions{}, claims{"client_id": []string{"app"}}, refused},
		"edge_A02/roles of a limited token":           {jwt.VerifierOptions{Roles: []string{"roles"}}, nil, limited("app", notes)},
		"edge_A02/roles without a first party":        {jwt.VerifierOptions{Roles: []string{"roles"}}, bare(nil), limited("", none)},
		"edge_A02/machine":                            {jwt.VerifierOptions{}, claims{"sub": "app", "scope": nil}, want{client: "app", issuer: idp, scopes: none}},

		"scp named, text":                        {jwt.VerifierOptions{ScopeClaims: []string{"scp", "scope"}}, bare(claims{"scp": "notes:read"}), limited("", notes)},
		"scp named, list":                        {jwt.VerifierOptions{ScopeClaims: []string{"scp"}, ClientClaims: []string{"cid"}}, bare(claims{"scp": notes, "cid": "partner"}), limited("partner", notes)},
		"the first that is there":                {jwt.VerifierOptions{ScopeClaims: []string{"scp", "scope"}}, claims{"scp": "", "scope": "notes:write"}, limited("app", none)},
		"clients that differ":                    {jwt.VerifierOptions{ClientClaims: []string{"azp", "client_id"}}, claims{"azp": "other"}, refused},
		"clients that agree":                     {jwt.VerifierOptions{ClientClaims: []string{"azp", "client_id"}}, claims{"azp": "app"}, limited("app", notes)},
		"first party":                            {jwt.VerifierOptions{FirstParty: true, Roles: []string{"roles"}}, bare(nil), full},
		"first party, a client":                  {jwt.VerifierOptions{FirstParty: true, Roles: []string{"roles"}}, nil, limited("app", notes)},
		"first party, a client alone":            {jwt.VerifierOptions{FirstParty: true}, claims{"scope": nil}, limited("app", none)},
		"first party, scopes":                    {jwt.VerifierOptions{FirstParty: true, Roles: []string{"roles"}}, claims{"client_id": nil}, limited("", notes)},
		"first party, empty scope":               {jwt.VerifierOptions{FirstParty: true, Roles: []string{"roles"}}, bare(claims{"scope": ""}), limited("", none)},
		"first party, azp not named":             {jwt.VerifierOptions{FirstParty: true}, bare(claims{"azp": "partner"}), refused},
		"first party, cid not named":             {jwt.VerifierOptions{FirstParty: true}, bare(claims{"cid": "partner"}), refused},
		"first party, appid not named":           {jwt.VerifierOptions{FirstParty: true}, bare(claims{"appid": "partner"}), refused},
		"first party, scp not named":             {jwt.VerifierOptions{FirstParty: true}, bare(claims{"scp": notes}), refused},
		"first party, scope not named":           {jwt.VerifierOptions{FirstParty: true, ScopeClaims: []string{"scp"}}, claims{"client_id": nil}, refused},
		"first party, act":                       {jwt.VerifierOptions{FirstParty: true}, bare(claims{"act": claims{"sub": "agent"}}), refused},
		"first party, may_act":                   {jwt.VerifierOptions{FirstParty: true}, bare(claims{"may_act": claims{"sub": "agent"}}), refused},
		"first-party client":                     {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, Roles: []string{"roles"}}, claims{"scope": nil}, full},
		"first-party client, scopes":             {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, Roles: []string{"roles"}}, nil, limited("", notes)},
		"first-party client, scopes say nothing": {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true, Roles: []string{"roles"}}, nil, full},
		"first-party client, act":                {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true, Roles: []string{"roles"}}, claims{"act": claims{"sub": "agent"}}, limited("app", notes)},
		"first-party client, act null":           {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true}, claims{"act": jsonNull}, limited("app", notes)},
		"first-party client, machine":            {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true, Roles: []string{"roles"}}, claims{"sub": "app"}, want{client: "app", issuer: idp, scopes: notes}},
		"a client that begins alike":             {jwt.VerifierOptions{FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true}, claims{"client_id": "app2"}, limited("app2", notes)},
		"own issuer, act and no client":          {jwt.VerifierOptions{OwnIssuer: true}, claims{"client_id": nil, "act": claims{"sub": "agent"}}, refused},
		"own issuer, act":                        {jwt.VerifierOptions{OwnIssuer: true, FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true, Roles: []string{"roles"}}, claims{"act": claims{"sub": "agent"}}, want{subject: "user-7", client: "app", scopes: notes}},
		"bound":                                  {jwt.VerifierOptions{FirstParty: true}, bare(claims{"cnf": claims{"jkt": "x"}}), refused},
		"own issuer":                             {jwt.VerifierOptions{OwnIssuer: true, Roles: []string{"roles"}}, bare(claims{"sid": "f1", "ver": 3}), want{subject: "user-7", roles: []string{"admin"}}},
		"own issuer, limited":                    {jwt.VerifierOptions{OwnIssuer: true, Roles: []string{"roles"}}, claims{"client_id": nil}, want{subject: "user-7", scopes: notes}},
		"own issuer, a client":                   {jwt.VerifierOptions{OwnIssuer: true, Roles: []string{"roles"}}, nil, want{subject: "user-7", client: "app", scopes: notes}},
		"own issuer, its table":                  {jwt.VerifierOptions{OwnIssuer: true, Space: "staff"}, bare(claims{"sub": "staff:1"}), want{subject: "staff:1"}},
		"own issuer, another table":              {jwt.VerifierOptions{OwnIssuer: true, Space: "staff"}, bare(claims{"sub": "customers:1"}), refused},
		"own issuer, a longer name":              {jwt.VerifierOptions{OwnIssuer: true, Space: "staff"}, bare(claims{"sub": "staff2:1"}), refused},
		"own issuer, no table":                   {jwt.VerifierOptions{OwnIssuer: true, Space: "staff"}, bare(claims{"sub": "1"}), refused},
		"own issuer, no id":                      {jwt.VerifierOptions{OwnIssuer: true, Space: "staff"}, bare(claims{"sub": "staff:"}), refused},
		"own issuer, a table's subject":          {jwt.VerifierOptions{OwnIssuer: true}, bare(claims{"sub": "staff:1"}), refused},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.opts
			o.Clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
			v, err := jwt.NewVerifier(idp, audience, ring, &o)
			schemetest.Must(t, err)
			for _, first := range []bool{true, false} { // the second is answered from memory
				id, err := v.Authenticate(bearer(foreign(t, ring, c.change)))
				if c.want.refused {
					if err == nil {
						t.Fatalf("accepted: %+v", id)
					}
					continue
				}
				schemetest.Must(t, err)
				got := want{subject: id.Subject, client: id.Client, issuer: id.Issuer, scopes: id.Scopes, roles: id.Roles}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("first %t: got %+v, want %+v", first, got, c.want)
				}
			}
		})
	}
}

// The actors of a token are those of its claim "act", for tokens of this application's server
// (OwnIssuer) and of others. A claim that names nobody is an actor too, so such a token is never
// first-party.
func TestActors(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	for name, c := range map[string]struct {
		act  any
		want string
	}{
		"none":    {nil, `[]`},
		"one":     {claims{"sub": "agent"}, `["agent"]`},
		"chain":   {claims{"sub": "agent", "act": claims{"sub": "api"}}, `["agent" "api"]`},
		"no name": {claims{"client_id": "agent"}, `[""]`},
		"null":    {jsonNull, `[""]`},
		"a text":  {"agent", `[""]`},
	} {
		for _, own := range []bool{false, true} {
			v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{OwnIssuer: own, FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true, Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }})
			schemetest.Must(t, err)
			change := claims{"act": c.act}
			if c.act == nil {
				change = nil
			}
			for range 2 { // the second is answered from memory
				id, err := v.Authenticate(bearer(foreign(t, ring, change)))
				schemetest.Must(t, err)
				if got := fmt.Sprintf("%q", id.Actors()); got != c.want || id.Delegated() != (c.act != nil) {
					t.Errorf("%s, own=%t: %s, delegated %t", name, own, got, id.Delegated())
				}
				if len(id.Actors()) > 0 {
					id.Credential.(*jwt.Access).Actors[0] = "changed"
				}
			}
		}
	}
}

var jsonNull = (*int)(nil)

// A route that requires a scope rejects tokens of other issuers without scopes.
func TestForeignScopesAtARoute(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	schemetest.Must(t, err)
	mux := authz.NewMux(authn.New(authn.Chain{v}, nil))
	mux.HandleFunc("POST /notes", func(http.ResponseWriter, *http.Request) {}, authz.HasScope("notes:write"))
	for name, c := range map[string]struct {
		change claims
		status int
	}{
		"scp as text":               {claims{"client_id": nil, "scope": nil, "scp": "notes:read"}, 403},
		"scp as a list, with cid":   {claims{"client_id": nil, "scope": nil, "scp": []string{"notes:read"}, "cid": "partner"}, 403},
		"neither scope nor client":  {claims{"client_id": nil, "scope": nil}, 403},
		"another scope":             {nil, 403},
		"a scope that begins alike": {claims{"scope": "notes:writer"}, 403},
		"the scope":                 {claims{"scope": "notes:write"}, 200},
	} {
		t.Run("edge_A02/"+name, func(t *testing.T) {
			r := bearer(foreign(t, ring, c.change))
			r.Method, r.URL.Path = "POST", "/notes"
			rec := httptest.NewRecorder()
			mux.ServeHTTP(rec, r)
			if rec.Code != c.status {
				t.Errorf("%d %s, want %d", rec.Code, rec.Body, c.status)
			}
		})
	}
}

// ID tokens are rejected even if "typ" does not distinguish them from access tokens.
func TestIDTokensAreRefused(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	clock := func() time.Time { return time.Unix(1_800_000_000, 0) }
	verifier := func(allow bool) *jwt.Verifier {
		v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{Clock: clock, Types: []string{"JWT"}, AllowIDTokens: allow})
		schemetest.Must(t, err)
		return v
	}
	strict, lax := verifier(false), verifier(true)
	for name, c := range map[string]struct {
		claim string
		value any
		id    bool
	}{
		"nonce": {"nonce", "n", true}, "at_hash": {"at_hash", "x", true}, "c_hash": {"c_hash", "x", true}, "s_hash": {"s_hash", "x", true},
		"events": {"events", claims{}, true}, "typ ID": {"typ", "ID", true}, "typ refresh": {"typ", "rEFRESH", true}, "typ Offline": {"typ", "Offline", true},
		"typ Logout": {"typ", "Logout", true}, "token_use id": {"token_use", "ID", true}, "token_use refresh": {"token_use", "refresh", true},
		"typ Bearer": {"typ", "Bearer", false}, "token_use access": {"token_use", "access", false},
	} {
		t.Run(name, func(t *testing.T) {
			text := typed(t, ring, "JWT", claims{c.claim: c.value})
			if got := statusOf(strict, text); (got == 200) == c.id {
				t.Errorf("strict: %d", got)
			}
			if got := statusOf(lax, text); got != 200 {
				t.Errorf("with AllowIDTokens: %d", got)
			}
		})
	}
}

// typed is foreign with a "typ".
func typed(t testing.TB, ring *jose.KeySet, typ string, change claims) string {
	t.Helper()
	c := claims{"iss": idp, "aud": audience, "sub": "user-7", "jti": "j", "exp": 1_800_000_300, "iat": 1_800_000_000}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	text, err := ring.Sign(t.Context(), typ, encoded(t, c))
	schemetest.Must(t, err)
	return text
}

// Issuers are compared as a whole, and two verifiers of one chain that would accept the same token
// are a mistake.
func TestVerifiersOfOneChain(t *testing.T) {
	type v struct {
		issuer, audience string
		opts             jwt.VerifierOptions
	}
	for name, c := range map[string]struct {
		a, b v
		ok   bool
	}{
		"edge_A02/an issuer that begins like another": {v{issuer: "https://sso.example/realms/acme", audience: "api"}, v{issuer: "https://sso.example/realms/acme-eu", audience: "api"}, true},
		"equal, another audience":                     {v{issuer: idp, audience: "public"}, v{issuer: idp, audience: "admin"}, true},
		"equal, an audience that begins alike":        {v{issuer: idp, audience: "api"}, v{issuer: idp, audience: "api2"}, true},
		"equal":                                       {v{issuer: idp, audience: "api"}, v{issuer: idp, audience: "api"}, false},
		"equal, a common further audience":            {v{issuer: idp, audience: "a", opts: jwt.VerifierOptions{Audiences: []string{"x"}}}, v{issuer: idp, audience: "b", opts: jwt.VerifierOptions{Audiences: []string{"y", "x"}}}, false},
		"two account bases":                           {v{issuer: "https://a.example", audience: "api", opts: jwt.VerifierOptions{OwnIssuer: true}}, v{issuer: "https://b.example", audience: "api", opts: jwt.VerifierOptions{OwnIssuer: true}}, false},
		"two account bases with names":                {v{issuer: "https://a.example", audience: "api", opts: jwt.VerifierOptions{OwnIssuer: true, Space: "staff"}}, v{issuer: "https://b.example", audience: "api", opts: jwt.VerifierOptions{OwnIssuer: true, Space: "customers"}}, true},
		"one account base, and another's issuer":      {v{issuer: "https://a.example", audience: "api", opts: jwt.VerifierOptions{OwnIssuer: true}}, v{issuer: "https://b.example", audience: "api"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ring := ringOf(t, jose.EdDSA)
			of := func(x v) authn.Authenticator {
				x.opts.Clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
				made, err := jwt.NewVerifier(x.issuer, x.audience, ring, &x.opts)
				schemetest.Must(t, err)
				return made
			}
			chain := authn.Chain{of(c.a), of(c.b)}
			if err := authn.Check(chain); (err == nil) != c.ok {
				t.Fatal(err)
			}
			if !c.ok {
				return
			}
			for i, x := range []v{c.a, c.b} { // each takes its own, whoever stands first
				subject := "1"
				if x.opts.Space != "" {
					subject = x.opts.Space + ":1"
				}
				text := foreign(t, ring, claims{"iss": x.issuer, "aud": x.audience, "sub": subject, "client_id": nil, "scope": nil})
				id, err := chain.Authenticate(bearer(text))
				if want := chain[i].(*jwt.Verifier); err != nil || !x.opts.OwnIssuer && id.Issuer != x.issuer {
					t.Errorf("%s: %+v, %v", want.Name(), id, err)
				}
				if got := statusOf(chain, foreign(t, ring, claims{"iss": x.issuer, "aud": "nobody's"})); got != 401 {
					t.Errorf("another audience: %d", got)
				}
			}
		})
	}
}

// With several audiences a token for any of them is accepted, and no other.
func TestAudiences(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{Audiences: []string{"urn:b"}, Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	schemetest.Must(t, err)
	for name, c := range map[string]struct {
		aud    any
		status int
	}{
		"first": {audience, 200}, "second": {"urn:b", 200}, "in a list": {[]string{"x", "urn:b"}, 200}, "another": {"urn:c", 401},
		"longer": {"urn:b2", 401}, "shorter": {"urn:", 401}, "empty list": {none(), 401}, "object": {claims{"urn:b": 1}, 401}, "absent": {nil, 401},
	} {
		if got := statusOf(authn.Chain{v}, foreign(t, ring, claims{"aud": c.aud})); got != c.status {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func none() []string { return []string{} }

// NewVerifier returns an error for options that contradict each other.
func TestVerifierMistakes(t *testing.T) {
	for name, o := range map[string]jwt.VerifierOptions{
		"an empty audience": {Audiences: []string{""}}, "an empty scope claim": {ScopeClaims: []string{""}}, "an empty client claim": {ClientClaims: []string{"azp", ""}},
		"an empty client": {FirstPartyClients: []string{""}}, "scopes of no clients": {IgnoreFirstPartyScopes: true}, "a space of no accounts": {Space: "staff"},
		"a space with a colon": {OwnIssuer: true, Space: "a:b"}, "a space in capitals": {OwnIssuer: true, Space: "Staff"}, "ID tokens of accounts": {OwnIssuer: true, AllowIDTokens: true},
		"no ID of accounts": {OwnIssuer: true, NoID: true}, "another ID of accounts": {OwnIssuer: true, IDClaim: "uti"}, "no type of accounts": {OwnIssuer: true, Untyped: true},
	} {
		if _, err := jwt.NewVerifier(idp, audience, ringOf(t, jose.EdDSA), &o); err == nil || !strings.HasPrefix(err.Error(), "jwt: NewVerifier: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A service of the same organization can compare owners.
func TestOwnIssuerOwns(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	type note struct{ owner string }
	owned := authz.OwnedBy(func(n note) string { return n.owner })
	for own, want := range map[bool]authz.Decision{true: authz.Allow, false: authz.Deny} {
		v, err := jwt.NewVerifier(idp, audience, ring, &jwt.VerifierOptions{OwnIssuer: own, Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }})
		schemetest.Must(t, err)
		id, err := v.Authenticate(bearer(foreign(t, ring, claims{"client_id": nil, "scope": nil})))
		schemetest.Must(t, err)
		if got, _ := owned.Decide(authz.Access{Request: httptest.NewRequest("GET", "/", nil), Identity: id, Object: note{"user-7"}}); got != want {
			t.Errorf("own %t: %v", own, got)
		}
	}
}

// The options are copied, so later changes of a list have no effect.
func TestVerifierKeepsItsLists(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	o := jwt.VerifierOptions{ClientClaims: []string{"client_id"}, FirstPartyClients: []string{"none"}, Clock: func() time.Time { return time.Unix(1_800_000_000, 0) },
		User: func(context.Context, *jwt.Access) (authn.User, error) { return nil, nil }}
	v, err := jwt.NewVerifier(idp, audience, ring, &o)
	schemetest.Must(t, err)
	o.FirstPartyClients[0] = "app"
	id, err := v.Authenticate(bearer(foreign(t, ring, claims{"scope": nil})))
	schemetest.Must(t, err)
	if id.Client != "app" || fmt.Sprint(id.Scopes) != "[]" || id.Scopes == nil {
		t.Errorf("%+v", id)
	}
}

func encoded(t testing.TB, c claims) []byte {
	t.Helper()
	text, err := json.Marshal(c)
	schemetest.Must(t, err)
	return text
}
