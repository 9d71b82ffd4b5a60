package authz_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// Permissions replace the classes of Django OAuth Toolkit: alternatives by method
// (TokenMatchesOASRequirements), a scope for reading and one for writing (TokenHasReadWriteScope),
// tokens only (TokenHasScope). The challenge names the scope.
func TestScopeRequirements(t *testing.T) {
	alternatives := authz.Require(authz.ByMethod(map[string]authz.Permission{
		"GET":  authz.Or(authz.HasScope("read"), authz.HasScope("admin", "audit")),
		"POST": authz.HasScope("write"),
	}))
	readWrite := authz.Require(authz.Or(authz.And(authz.ReadOnly, authz.HasScope("read")), authz.And(authz.Not(authz.ReadOnly), authz.HasScope("write"))))
	tokensAlone := authz.Require(authz.ViaScheme("oauth2"), authz.HasScope("read"))
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "in") })
	token := func(scopes ...string) authn.Identity {
		return authn.Identity{Subject: "u", Client: "c", Issuer: "https://login.example", Scheme: "oauth2", Scopes: append([]string{}, scopes...)}
	}
	needs := func(scope string) string { return `Bearer error="insufficient_scope", scope="` + scope + `"` }
	for name, x := range map[string]struct {
		g         authz.Guard
		id        authn.Identity
		method    string
		code      int
		challenge string
	}{
		"alternatives: the one":            {alternatives, token("read"), "GET", 200, ""},
		"alternatives: the other":          {alternatives, token("audit", "admin"), "GET", 200, ""},
		"alternatives: half of it":         {alternatives, token("admin"), "GET", 403, needs("admin audit")},
		"alternatives: another method's":   {alternatives, token("write"), "GET", 403, needs("admin audit")},
		"alternatives: of this method":     {alternatives, token("write"), "POST", 200, ""},
		"alternatives: no scope":           {alternatives, token(), "POST", 403, needs("write")},
		"alternatives: HEAD is GET":        {alternatives, token("read"), "HEAD", 200, ""},
		"alternatives: no such method":     {alternatives, token("read", "write", "admin", "audit"), "DELETE", 405, ""},
		"alternatives: anonymous":          {alternatives, authn.Identity{}, "DELETE", 401, "Test"},
		"alternatives: not limited":        {alternatives, alice, "POST", 200, ""},
		"read and write: reads":            {readWrite, token("read"), "GET", 200, ""},
		"read and write: may not read":     {readWrite, token("write"), "GET", 403, needs("read")},
		"read and write: writes":           {readWrite, token("write"), "PATCH", 200, ""},
		"read and write: may not write":    {readWrite, token("read"), "DELETE", 403, needs("write")},
		"read and write: anonymous":        {readWrite, authn.Identity{}, "GET", 401, "Test"},
		"tokens alone: a token":            {tokensAlone, token("read"), "GET", 200, ""},
		"tokens alone: without the scope":  {tokensAlone, token("write"), "GET", 403, needs("read")},
		"tokens alone: no token":           {tokensAlone, alice, "GET", 403, ""},
		"a client's own token":             {tokensAlone, authn.Identity{Client: "c", Scheme: "oauth2", Scopes: []string{"read"}}, "GET", 200, ""},
		"a client's own, no scopes at all": {tokensAlone, authn.Identity{Client: "c", Scheme: "oauth2"}, "GET", 403, needs("read")},
	} {
		got := guarded(x.g.Handler(ok), x.id, x.method)
		if challenge := got.Header().Get("WWW-Authenticate"); got.Code != x.code || challenge != x.challenge {
			t.Errorf("%s: %d, challenge %q", name, got.Code, challenge)
		}
	}
}
