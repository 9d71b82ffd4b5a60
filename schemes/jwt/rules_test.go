package jwt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// at returns a verifier of idp with these options.
func at(t testing.TB, ring *jose.KeySet, o jwt.VerifierOptions) *jwt.Verifier {
	t.Helper()
	o.Clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
	v, err := jwt.NewVerifier(idp, audience, ring, &o)
	schemetest.Must(t, err)
	return v
}

// A rule compares the whole value by its text. A value of a type that it cannot compare rejects the
// token, whatever the rule.
func TestRules(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	object := claims{"b": "x"}
	for _, c := range []struct {
		name string
		rule jwt.Rule
		yes  []claims
		no   []claims
	}{
		{"Is", jwt.Is("a", "x", "7", "true"), []claims{{"a": "x"}, {"a": 7}, {"a": true}, {"a": []any{"y", "x"}}, {"a": []any{7}}},
			[]claims{{}, {"a": ""}, {"a": "X"}, {"a": "x "}, {"a": "xy"}, {"a": 7.5}, {"a": 70}, {"a": false}, {"a": jsonNull}, {"a": object}, {"a": []any{}}, {"a": []any{"x", object}}, {"A": "x"}}},
		{"Is, nested", jwt.Is("/a/b", "x"), []claims{{"a": object}},
			[]claims{{}, {"a": claims{}}, {"a": "x"}, {"a": []any{object}}, {"a": jsonNull}, {"/a/b": "x"}, {"a": claims{"b": claims{"b": "x"}}}, {"a/b": "x"}}},
		{"Is, escaped", jwt.Is("/a~1b/c~0d", "x"), []claims{{"a/b": claims{"c~d": "x"}}}, []claims{{"a": claims{"b": "x"}}, {"a~1b": claims{"c~0d": "x"}}}},
		{"Not", jwt.Not("a", "x"), []claims{{"a": "y"}, {"a": "X"}, {"a": false}, {"a": []any{"y"}}},
			[]claims{{}, {"a": "x"}, {"a": ""}, {"a": jsonNull}, {"a": object}, {"a": []any{}}, {"a": []any{"y", "x"}}, {"a": []any{"y", jsonNull}}}},
		{"Has", jwt.Has("a"), []claims{{"a": "x"}, {"a": 0}, {"a": false}, {"a": []any{""}}, {"a": object}}, []claims{{}, {"a": ""}, {"a": jsonNull}, {"a": []any{}}, {"a": claims{}}}},
		{"Has, nested", jwt.Has("/a/b"), []claims{{"a": object}}, []claims{{}, {"a": claims{}}, {"a": "b"}}},
		{"Lacks", jwt.Lacks("a"), []claims{{}, {"A": "x"}}, []claims{{"a": "x"}, {"a": ""}, {"a": jsonNull}, {"a": []any{}}, {"a": false}}},
		{"Lacks, nested", jwt.Lacks("/a/b"), []claims{{}, {"a": claims{}}}, []claims{{"a": object}, {"a": "x"}, {"a": jsonNull}, {"a": []any{}}}},
		{"Under", jwt.Under("a", "spiffe://d/"), []claims{{"a": "spiffe://d/x"}},
			[]claims{{}, {"a": "spiffe://d/"}, {"a": "spiffe://d"}, {"a": "spiffe://d.evil/x"}, {"a": "Spiffe://d/x"}, {"a": []any{"spiffe://d/x"}}, {"a": 7}, {"a": jsonNull}}},
		{"HeaderIs", jwt.HeaderIs("typ", "at+jwt"), []claims{{}}, nil},
		{"HeaderIs, a claim", jwt.HeaderIs("a", "x"), nil, []claims{{}, {"a": "x"}}},
	} {
		v := at(t, ring, jwt.VerifierOptions{Require: []jwt.Rule{c.rule}})
		for i, list := range [][]claims{c.yes, c.no} {
			for _, change := range list {
				if _, err := v.Authenticate(bearer(foreign(t, ring, change))); (err == nil) != (i == 0) {
					t.Errorf("%s, %v: %v", c.name, change, err)
				}
			}
		}
	}
}

// Several rules must all be met, and one rule of Machine is enough.
func TestRulesTogether(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	v := at(t, ring, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Is("a", "1"), jwt.Is("b", "2")}, Machine: []jwt.Rule{jwt.Has("m"), jwt.Is("n", "app")}, MachineScopeClaims: []string{"roles"}})
	for name, c := range map[string]struct {
		change  claims
		subject string // "-": rejected
		scopes  string
	}{
		"both":                     {claims{"a": 1, "b": 2}, "user-7", "[notes:read]"},
		"one":                      {claims{"a": 1}, "-", ""},
		"a machine":                {claims{"a": 1, "b": 2, "m": "x"}, "", "[admin]"},
		"another machine":          {claims{"a": 1, "b": 2, "n": "app"}, "", "[admin]"},
		"an empty sign":            {claims{"a": 1, "b": 2, "m": ""}, "user-7", "[notes:read]"},
		"a sign of another type":   {claims{"a": 1, "b": 2, "n": claims{"app": 1}}, "-", ""},
		"no client":                {claims{"a": 1, "b": 2, "m": "x", "client_id": nil}, "-", ""},
		"no scopes":                {claims{"a": 1, "b": 2, "m": "x", "roles": nil}, "", "[]"},
		"scopes of another type":   {claims{"a": 1, "b": 2, "m": "x", "roles": 7}, "-", ""},
		"subject equals client":    {claims{"a": 1, "b": 2, "sub": "app"}, "", "[admin]"},
		"subject begins like it":   {claims{"a": 1, "b": 2, "sub": "app2"}, "user", ""},
		"a user's scope of a kind": {claims{"a": 1, "b": 2, "scope": 7}, "-", ""},
	} {
		id, err := v.Authenticate(bearer(foreign(t, ring, c.change)))
		switch {
		case c.subject == "-":
			if err == nil {
				t.Errorf("%s: %+v", name, id)
			}
		case c.subject == "user":
			if err != nil || id.Subject != "app2" {
				t.Errorf("%s: %+v, %v", name, id, err)
			}
		case err != nil || id.Subject != c.subject || id.Client != "app" || fmt.Sprint(id.Scopes) != c.scopes || id.Roles != nil:
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	first := at(t, ring, jwt.VerifierOptions{FirstPartyClients: []string{"app"}, IgnoreFirstPartyScopes: true, Roles: []string{"roles"}, Machine: []jwt.Rule{jwt.Has("m")}})
	if id, err := first.Authenticate(bearer(foreign(t, ring, claims{"m": 1}))); err != nil || id.Client != "app" || id.Roles != nil || id.Scopes == nil {
		t.Errorf("a machine is a first party: %+v, %v", id, err)
	}
}

// Roles come from the named places only, and texts are never split.
func TestRolePlaces(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	deep := claims{"roles": []string{"staff", "admin"}}
	for name, c := range map[string]struct {
		paths  []string
		rename map[string]string
		change claims
		roles  string // "-": rejected
	}{
		"a list":                    {[]string{"roles"}, nil, nil, "[admin]"},
		"one text":                  {[]string{"roles"}, nil, claims{"roles": "a,b c"}, `[a,b c]`},
		"an empty text":             {[]string{"roles"}, nil, claims{"roles": ""}, "[]"},
		"an empty list":             {[]string{"roles"}, nil, claims{"roles": none()}, "[]"},
		"absent":                    {[]string{"roles"}, nil, claims{"roles": nil}, "[]"},
		"null":                      {[]string{"roles"}, nil, claims{"roles": jsonNull}, "-"},
		"a number":                  {[]string{"roles"}, nil, claims{"roles": 7}, "-"},
		"a list with a number":      {[]string{"roles"}, nil, claims{"roles": []any{"a", 7}}, "-"},
		"a list with null":          {[]string{"roles"}, nil, claims{"roles": []any{"a", nil}}, "-"},
		"an object":                 {[]string{"roles"}, nil, claims{"roles": claims{"admin": true}}, "-"},
		"NUL":                       {[]string{"roles"}, nil, claims{"roles": []string{"a\x00"}}, "-"},
		"nested":                    {[]string{"/realm/roles"}, nil, claims{"realm": deep}, "[staff admin]"},
		"nested, absent":            {[]string{"/realm/roles"}, nil, nil, "[]"},
		"nested, empty":             {[]string{"/realm/roles"}, nil, claims{"realm": claims{}}, "[]"},
		"nested in a text":          {[]string{"/realm/roles"}, nil, claims{"realm": "x"}, "-"},
		"nested in a list":          {[]string{"/realm/roles"}, nil, claims{"realm": []any{deep}}, "-"},
		"the plain name":            {[]string{"/realm/roles"}, nil, claims{"/realm/roles": "admin"}, "[]"},
		"a name with a slash":       {[]string{"https://x/roles"}, nil, claims{"https://x/roles": "a"}, "[a]"},
		"names of an object":        {[]string{"/r/*"}, nil, claims{"r": claims{"staff": claims{}, "clerk": 1}}, "[clerk staff]"},
		"names of a list":           {[]string{"/r/*"}, nil, claims{"r": []string{"admin"}}, "-"},
		"names of a text":           {[]string{"/r/*"}, nil, claims{"r": "admin"}, "-"},
		"names of nothing":          {[]string{"/r/*"}, nil, nil, "[]"},
		"two places, a duplicate":   {[]string{"roles", "/realm/roles"}, nil, claims{"realm": deep}, "[admin staff]"},
		"renamed, the rest dropped": {[]string{"/realm/roles"}, map[string]string{"staff": "employee"}, claims{"realm": deep}, "[employee]"},
		"renamed to one":            {[]string{"/realm/roles"}, map[string]string{"staff": "x", "admin": "x"}, claims{"realm": deep}, "[x]"},
		"an empty map":              {[]string{"/realm/roles"}, map[string]string{}, claims{"realm": deep}, "[]"},
		"another case":              {[]string{"/realm/roles"}, map[string]string{"Staff": "x"}, claims{"realm": deep}, "[]"},
		"no places":                 {nil, nil, nil, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			change := claims{"client_id": nil, "scope": nil}
			for k, v := range c.change {
				change[k] = v
			}
			v := at(t, ring, jwt.VerifierOptions{FirstParty: true, Roles: c.paths, RoleMap: c.rename})
			id, err := v.Authenticate(bearer(foreign(t, ring, change)))
			if c.roles == "-" && err == nil || c.roles != "-" && (err != nil || fmt.Sprint(id.Roles) != c.roles) {
				t.Errorf("%q, %v", id.Roles, err)
			}
		})
	}
}

// Options that cannot be meant are an error.
func TestVerifierOptionMistakes(t *testing.T) {
	ring := ringOf(t, jose.EdDSA)
	tenants := jwt.TenantList("a")
	const template = "https://login.example/{tenant}/v2"
	for name, c := range map[string]struct {
		issuer, audience string
		opts             jwt.VerifierOptions
	}{
		"no audience":                   {idp, "", jwt.VerifierOptions{}},
		"no audience, a claim":          {idp, "", jwt.VerifierOptions{Require: []jwt.Rule{jwt.Is("a", "b")}}},
		"no audience, first party":      {idp, "", jwt.VerifierOptions{FirstParty: true}},
		"no audience, other audiences":  {idp, "", jwt.VerifierOptions{Clients: []string{"a"}, Audiences: []string{"b"}}},
		"no audience, own issuer":       {idp, "", jwt.VerifierOptions{Clients: []string{"a"}, OwnIssuer: true}},
		"empty clients":                 {idp, "", jwt.VerifierOptions{Clients: []string{}}},
		"an empty client":               {idp, audience, jwt.VerifierOptions{Clients: []string{""}}},
		"an empty type":                 {idp, audience, jwt.VerifierOptions{Types: []string{"JWT", ""}}},
		"an empty issuer in the list":   {idp, audience, jwt.VerifierOptions{Issuers: []string{""}}},
		"no issuer":                     {"", audience, jwt.VerifierOptions{NoIssuer: true}},
		"another same issuer":           {idp, audience, jwt.VerifierOptions{Issuers: []string{"https://b.example"}, SameIssuer: idp + "/"}},
		"a template without tenants":    {template, audience, jwt.VerifierOptions{TenantClaim: "tid"}},
		"a template without a claim":    {template, audience, jwt.VerifierOptions{Tenants: tenants}},
		"tenants without a template":    {idp, audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid"}},
		"a tenant claim alone":          {idp, audience, jwt.VerifierOptions{TenantClaim: "tid"}},
		"a template in the list":        {idp, audience, jwt.VerifierOptions{Issuers: []string{template}}},
		"a template and another issuer": {template, audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid", Issuers: []string{idp}}},
		"a template of our own":         {template, audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid", OwnIssuer: true}},
		"a template in the host":        {"https://{tenant}.example/v2", audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid"}},
		"a part of a segment":           {"https://x.example/a{tenant}/v2", audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid"}},
		"a part of a segment, after":    {"https://x.example/{tenant}b", audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid"}},
		"two tenants":                   {"https://x.example/{tenant}/{tenant}", audience, jwt.VerifierOptions{Tenants: tenants, TenantClaim: "tid"}},
		"leeway of six minutes":         {idp, audience, jwt.VerifierOptions{Leeway: 6 * time.Minute}},
		"negative leeway":               {idp, audience, jwt.VerifierOptions{Leeway: -time.Second}},
		"negative lifetime":             {idp, audience, jwt.VerifierOptions{MaxLifetime: -1}},
		"an HMAC algorithm":             {idp, audience, jwt.VerifierOptions{Algorithms: []jose.Algorithm{jose.HS256}}},
		"no algorithm":                  {idp, audience, jwt.VerifierOptions{Algorithms: []jose.Algorithm{"none"}}},
		"a rule without a condition":    {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{{}}}},
		"Is without values":             {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Is("a")}}},
		"Not without values":            {idp, audience, jwt.VerifierOptions{Machine: []jwt.Rule{jwt.Not("a")}}},
		"HeaderIs without values":       {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.HeaderIs("signer")}}},
		"an empty value":                {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Is("a", "")}}},
		"no path":                       {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Has("")}}},
		"a path of a slash":             {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Has("/")}}},
		"an empty segment":              {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Has("/a//b")}}},
		"a malformed escape":            {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Has("/a~2b")}}},
		"Under without a slash":         {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Under("a", "spiffe://d")}}},
		"Under nothing":                 {idp, audience, jwt.VerifierOptions{Require: []jwt.Rule{jwt.Under("a", "")}}},
		"a role path that is malformed": {idp, audience, jwt.VerifierOptions{Roles: []string{"/a/"}}},
		"a map without roles":           {idp, audience, jwt.VerifierOptions{RoleMap: map[string]string{"a": "b"}}},
		"padded, a bearer token":        {idp, audience, jwt.VerifierOptions{Padded: true}},
		"a cookie as the header":        {idp, audience, jwt.VerifierOptions{Header: "Cookie"}},
		"a header with an underscore":   {idp, audience, jwt.VerifierOptions{Header: "X_Token"}},
		"a header in another case":      {idp, audience, jwt.VerifierOptions{Header: "x-token"}},
		"a header that clients set":     {idp, audience, jwt.VerifierOptions{Header: "X-Forwarded-For"}},
		"own issuer, header":            {idp, audience, jwt.VerifierOptions{OwnIssuer: true, Header: "X-Token"}},
		"own issuer, no issuer":         {idp, audience, jwt.VerifierOptions{OwnIssuer: true, NoIssuer: true}},
		"own issuer, two issuers":       {idp, audience, jwt.VerifierOptions{OwnIssuer: true, Issuers: []string{"https://b.example"}}},
		"own issuer, another subject":   {idp, audience, jwt.VerifierOptions{OwnIssuer: true, SubjectClaim: "uid"}},
	} {
		if _, err := jwt.NewVerifier(c.issuer, c.audience, ring, &c.opts); err == nil || !strings.HasPrefix(err.Error(), "jwt: NewVerifier: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]jwt.VerifierOptions{
		"clients":  {Clients: []string{"a"}},
		"a signer": {Require: []jwt.Rule{jwt.HeaderIs("signer", "x")}},
	} {
		if _, err := jwt.NewVerifier(idp, "", ring, &o); err != nil {
			t.Errorf("no audience, %s: %v", name, err)
		}
	}
	rules := []jwt.Rule{jwt.Is("a", "1")}
	v := at(t, ring, jwt.VerifierOptions{Require: rules})
	rules[0] = jwt.Lacks("a")
	if _, err := v.Authenticate(bearer(foreign(t, ring, nil))); err == nil {
		t.Error("a later change of the list has an effect")
	}
}
