package authz_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// nobody is a scheme with a name.
type nobody string

func (n nobody) Name() string { return string(n) }

func (nobody) Authenticate(*http.Request) (authn.Identity, error) {
	return authn.Identity{}, authn.ErrNoCredentials
}

// A misspelled scheme in Not(ViaScheme(...)) would allow everyone.
func TestSchemeName_attack_457(t *testing.T) {
	named := authn.New(authn.Chain{nobody("basic"), nobody("knox")}, nil)
	unnamed := authn.New(authn.Chain{nobody("basic"), authn.Func(nobody("").Authenticate)}, nil)
	for name, c := range map[string]struct {
		auth *authn.Middleware
		p    authz.Permission
		bad  string
	}{
		"right":                        {named, authz.ViaScheme("knox", "basic"), ""},
		"misspelled":                   {named, authz.ViaScheme("knox", "basik"), "basik"},
		"not":                          {named, authz.And(authz.IsAuthenticated, authz.Not(authz.ViaScheme("Basic"))), "Basic"},
		"of a method":                  {named, authz.ByMethod(map[string]authz.Permission{"GET": authz.Or(authz.IsAdmin, authz.ViaScheme("jwt"))}), "jwt"},
		"of a grant":                   {named, authz.ScopeGrants("a", authz.ViaScheme("jwt")), "jwt"},
		"a scheme that has no name":    {unnamed, authz.ViaScheme("mine"), ""},
		"no ViaScheme":                 {named, authz.IsAuthenticated, ""},
		"the text of another function": {named, authz.HasRole("jwt"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := panicText(func() { authz.NewMux(c.auth).Handle("/x", http.NotFoundHandler(), c.p) })
			_, err := authz.Audit(maps.All(map[string]http.Handler{"/x": authz.RequirePlainPath(c.auth.Handler(authz.Require(c.p).Handler(http.NotFoundHandler())))}))
			if c.bad == "" {
				if text != "" || err != nil {
					t.Errorf("panic %q, audit %v", text, err)
				}
				return
			}
			want := `ViaScheme("` + c.bad + `") names no scheme of its middleware, which has basic, knox`
			if !strings.Contains(text, want) || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("panic %q, audit %v; want %q", text, err, want)
			}
		})
	}
}
