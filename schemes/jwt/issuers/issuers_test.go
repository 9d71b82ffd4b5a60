package issuers_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/foreigntokens"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/jwt/issuers"
)

const (
	tenant      = "11111111-aaaa-4bbb-8ccc-222222222222"
	otherTenant = "99999999-dddd-4eee-8fff-000000000000"
	api         = "33333333-0000-4000-8000-000000000003"
	deploy      = "https://deploy.acme.example"
	balancer    = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
)

// presets has the preset for each issuer of the vectors.
var presets = map[string]func(*foreigntokens.Vector) issuers.Preset{
	"auth0": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Auth0("acme-demo.eu.auth0.com", "https://api.acme.example")
	},
	"okta": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Okta("acme-demo.okta.com", "default", "api://default")
	},
	"cognito": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Cognito("eu-west-1_Ab3dEf9gH", "4spa", "5partner", "7m2m")
	},
	"entra": func(*foreigntokens.Vector) issuers.Preset {
		p := issuers.EntraID(tenant, api)
		p.Options.Audiences = []string{"api://orders.acme.example"}
		return p
	},
	"entra-multi": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.EntraIDTenants(api, tenant, otherTenant)
	},
	"keycloak": func(*foreigntokens.Vector) issuers.Preset {
		p := issuers.Keycloak("https://sso.acme.example", "acme", "orders-api")
		p.Options.Roles = issuers.KeycloakRoles("orders-api")
		return p
	},
	"google": func(c *foreigntokens.Vector) issuers.Preset {
		if strings.HasPrefix(c.Options.Audience, "app1") {
			return issuers.GooglePeople("app1.apps.googleusercontent.com", "acme.example")
		}
		p := issuers.GoogleServiceAccounts("https://orders.acme.example", "100000000000000000001", "100000000000000000002")
		if c.Options.Require[0][1] == "hd" { // a mixture of both
			p.Options.Require = append(p.Options.Require, jwt.Is("hd", "acme.example"))
		}
		return p
	},
	"firebase": func(*foreigntokens.Vector) issuers.Preset { return issuers.Firebase("acme-demo") },
	"hydra": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Hydra("https://hydra.acme.example", "https://api.acme.example")
	},
	"zitadel": func(*foreigntokens.Vector) issuers.Preset {
		p := issuers.Zitadel("acme-demo.zitadel.cloud", "230000000000000001")
		p.Options.Roles = issuers.ZitadelRoles("230000000000000001")
		return p
	},
	"supabase": func(*foreigntokens.Vector) issuers.Preset { return issuers.Supabase("abcdefghij") },
	"clerk": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Clerk("clerk.acme.example", "https://app.acme.example")
	},
	"kubernetes": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Kubernetes("https://kubernetes.default.svc.cluster.local", "https://orders.acme.example", "shop", "checkout", "batch")
	},
	"github-actions": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.GitHubActions(deploy, "456789", "123456", "refs/heads/main", "push", "workflow_dispatch")
	},
	"gitlab-ci": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.GitLabCI("https://gitlab.com", deploy, "77")
	},
	"spiffe": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.SPIFFE("prod.acme.example", "spiffe://prod.acme.example/orders")
	},
	"cloudflare-access": func(*foreigntokens.Vector) issuers.Preset { return issuers.CloudflareAccess("acme", "32ea0000c4228") },
	"google-iap": func(c *foreigntokens.Vector) issuers.Preset {
		return issuers.GoogleIAP(c.Options.Audience, "acme.example")
	},
	"aws-alb": func(c *foreigntokens.Vector) issuers.Preset {
		arns := []string{balancer}
		if len(c.Options.Require[0]) > 3 {
			arns = append(arns, balancer+"2")
		}
		return issuers.AWSALB("https://idp.acme.example", "alb-client", arns...)
	},
	"duende": func(*foreigntokens.Vector) issuers.Preset { return issuers.Duende("https://id.acme.example", "orders") },
	"vestibule": func(*foreigntokens.Vector) issuers.Preset {
		return issuers.Vestibule("https://app.acme.example", "https://api.acme.example", "https://app.acme.example/jwks")
	},
}

// Each preset decides the tokens of its issuer as expected. The test sets only what an application
// must decide: its own clients, and the roles that count.
func TestPresets(t *testing.T) {
	all, err := foreigntokens.All()
	schemetest.Must(t, err)
	keys, err := foreigntokens.NewKeys()
	schemetest.Must(t, err)
	ran := map[string]int{}
	for i := range all {
		c := &all[i]
		ran[c.Issuer]++
		t.Run(c.ID, func(t *testing.T) {
			p := presets[c.Issuer](c)
			p.Options.Clock = c.Time
			if p.Issuer != c.Options.Issuer || p.Audience != c.Options.Audience {
				t.Fatalf("issuer %q, audience %q", p.Issuer, p.Audience)
			}
			if p.Options.Roles == nil {
				p.Options.Roles = c.Options.Roles
			}
			if p.Options.RoleMap == nil {
				p.Options.RoleMap = c.Options.RoleMap
			}
			if p.Options.FirstPartyClients == nil {
				p.Options.FirstPartyClients = c.Options.FirstPartyClients
			}
			p.Options.IgnoreFirstPartyScopes = len(p.Options.FirstPartyClients) > 0
			source, err := keys.Source(c)
			schemetest.Must(t, err)
			v, err := p.Verifier(source)
			schemetest.Must(t, err)
			token, err := keys.Token(c)
			schemetest.Must(t, err)
			r := httptest.NewRequest("GET", "https://api.acme.example/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			if h := c.Options.Header; h != "" {
				r.Header.Del("Authorization")
				r.Header.Set(h, token)
			}
			id, err := authn.Chain{v}.Authenticate(r)
			var refused *authn.Error
			if (err == nil) != c.Expect.Accepted || err != nil && (!errors.As(err, &refused) || refused.Status != 401) {
				t.Fatalf("%s: %+v, %v", c.Case, id, err)
			}
			if err == nil {
				got := fmt.Sprintf("%q %q %q %#v %q", id.Issuer, id.Subject, id.Client, id.Scopes, id.Roles)
				if want := fmt.Sprintf("%q %q %q %#v %q", c.Expect.Issuer, c.Expect.Subject, c.Expect.Client, c.Expect.Scopes, c.Expect.Roles); got != want {
					t.Errorf("%s:\ngot  %s\nwant %s", c.Case, got, want)
				}
			}
		})
	}
	if len(ran) != len(presets) {
		t.Errorf("%d issuers, %d presets", len(ran), len(presets))
	}
}

// A preset alone gives nobody roles, and no client a user's full rights.
func TestPresetsGiveNothing(t *testing.T) {
	all, err := foreigntokens.All()
	schemetest.Must(t, err)
	for i := range all {
		c := &all[i]
		o := presets[c.Issuer](c).Options
		wired := c.Issuer == "keycloak" || c.Issuer == "zitadel" || c.Issuer == "vestibule" // by the table above, or one's own
		if !wired && o.Roles != nil || o.IgnoreFirstPartyScopes {
			t.Errorf("%s: %v", c.Issuer, o.Roles)
		}
		if own := c.Issuer == "clerk" || c.Issuer == "google"; !own && o.FirstPartyClients != nil { // an argument names them
			t.Errorf("%s: %v", c.Issuer, o.FirstPartyClients)
		}
	}
}

// Arguments that do not have the form of the issuer's are an error of Verifier.
func TestPresetMistakes(t *testing.T) {
	for name, p := range map[string]issuers.Preset{
		"a URL as a domain":       issuers.Auth0("https://acme.eu.auth0.com", "x"),
		"a domain with a path":    issuers.Auth0("acme.eu.auth0.com/", "x"),
		"no domain":               issuers.Okta("", "default", "x"),
		"no server":               issuers.Okta("acme.okta.com", "", "x"),
		"a server with a path":    issuers.Okta("acme.okta.com", "a/b", "x"),
		"no audience":             issuers.Okta("acme.okta.com", "default", ""),
		"a pool without a region": issuers.Cognito("Ab3dEf9gH", "c"),
		"a pool of another host":  issuers.Cognito("evil.example/_x", "c"),
		"no clients":              issuers.Cognito("eu-west-1_Ab3dEf9gH"),
		"an empty client":         issuers.Cognito("eu-west-1_Ab3dEf9gH", ""),
		"common":                  issuers.EntraID("common", "x"),
		"a tenant's domain":       issuers.EntraIDTenants("x", "acme.onmicrosoft.com"),
		"a tenant in capitals":    issuers.EntraID(strings.ToUpper(tenant), "x"),
		"http":                    issuers.Keycloak("http://sso.example", "acme", "x"),
		"a slash":                 issuers.Keycloak("https://sso.example/", "acme", "x"),
		"a realm with a path":     issuers.Keycloak("https://sso.example", "a/b", "x"),
		"no accounts":             issuers.GoogleServiceAccounts("x"),
		"no Workspace domain":     issuers.GooglePeople("x", ""),
		"a project with a path":   issuers.Firebase("a/b"),
		"no origins":              issuers.Clerk("clerk.acme.example"),
		"no service accounts":     issuers.Kubernetes("https://k.example", "x", "shop"),
		"a repository's name":     issuers.GitHubActions("x", "acme/shop", "1", "refs/heads/main", "push"),
		"a branch":                issuers.GitHubActions("x", "1", "1", "main", "push"),
		"no events":               issuers.GitHubActions("x", "1", "1", "refs/heads/main"),
		"a project's path":        issuers.GitLabCI("https://gitlab.com", "x", "acme/shop"),
		"a SPIFFE ID":             issuers.SPIFFE("spiffe://prod.acme.example", "x"),
		"keys of a bundle":        issuers.SPIFFE("prod.acme.example", "x"), // none are given
		"a team's domain":         issuers.CloudflareAccess("acme.cloudflareaccess.com", "x"),
		"no balancers":            issuers.AWSALB("https://idp.example", "x"),
		"a balancer's name":       issuers.AWSALB("https://idp.example", "x", "shop"),
		"keys of a balancer":      issuers.AWSALB("https://idp.example", "x", balancer),
		"no IAP domain":           issuers.GoogleIAP("/projects/1/apps/x", ""),
		"Hydra without https":     issuers.Hydra("hydra.acme.example", "x"),
		"Duende with a slash":     issuers.Duende("https://id.example/", "x"),
		"Zitadel's URL":           issuers.Zitadel("https://x.zitadel.cloud", "1"),
		"Supabase's URL":          issuers.Supabase("https://abc.supabase.co"),
		"Vestibule over http":     issuers.Vestibule("https://app.example", "x", "http://app.example/jwks"),
	} {
		if v, err := p.Verifier(nil); err == nil {
			t.Errorf("%s: %s", name, v.Name())
		}
	}
}

// Without keys, a preset fetches them from the issuer's address.
func TestPresetFetchesKeys(t *testing.T) {
	for name, c := range map[string]struct {
		p   issuers.Preset
		url string
	}{
		"auth0":      {issuers.Auth0("acme.eu.auth0.com", "x"), "https://acme.eu.auth0.com/.well-known/jwks.json"},
		"okta":       {issuers.Okta("acme.okta.com", "default", "x"), "https://acme.okta.com/oauth2/default/v1/keys"},
		"entra":      {issuers.EntraID(tenant, "x"), "https://login.microsoftonline.com/" + tenant + "/discovery/v2.0/keys"},
		"keycloak":   {issuers.Keycloak("https://sso.example/auth", "acme", "x"), "https://sso.example/auth/realms/acme/protocol/openid-connect/certs"},
		"cloudflare": {issuers.CloudflareAccess("acme", "x"), "https://acme.cloudflareaccess.com/cdn-cgi/access/certs"},
	} {
		if c.p.KeysURL != c.url {
			t.Errorf("%s: %s", name, c.p.KeysURL)
		}
		if _, err := c.p.Verifier(nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Presets of all issuers can be in one chain.
func TestPresetsInOneChain(t *testing.T) {
	all, err := foreigntokens.All()
	schemetest.Must(t, err)
	keys, err := foreigntokens.NewKeys()
	schemetest.Must(t, err)
	var chain authn.Chain
	seen := map[string]bool{}
	for i := range all {
		c := &all[i]
		if seen[c.Issuer] || c.Issuer == "entra-multi" {
			continue
		}
		seen[c.Issuer] = true
		source, err := keys.Source(c)
		schemetest.Must(t, err)
		p := presets[c.Issuer](c)
		p.Options.Clock = func() time.Time { return time.Unix(1_800_000_000, 0) }
		v, err := p.Verifier(source)
		schemetest.Must(t, err)
		chain = append(chain, v)
	}
	schemetest.Must(t, authn.Check(chain))
	for i := range all {
		c := &all[i]
		if !c.Expect.Accepted || c.Issuer == "entra-multi" || c.ID == "google-a4" || c.ID == "google-iap-a2" || c.ID == "aws-alb-a2" {
			continue // other arguments
		}
		token, err := keys.Token(c)
		schemetest.Must(t, err)
		r := httptest.NewRequest(http.MethodGet, "https://api.acme.example/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if h := c.Options.Header; h != "" {
			r.Header.Del("Authorization")
			r.Header.Set(h, token)
		}
		if id, err := chain.Authenticate(r); err != nil || id.Issuer != c.Expect.Issuer {
			t.Errorf("%s: %+v, %v", c.ID, id, err)
		}
	}
}

// A limited token of any issuer passes a route that requires its scopes, and no other.
func TestPresetScopesAtARoute(t *testing.T) {
	all, err := foreigntokens.All()
	schemetest.Must(t, err)
	keys, err := foreigntokens.NewKeys()
	schemetest.Must(t, err)
	for i := range all {
		c := &all[i]
		if !c.Expect.Accepted || c.Expect.Scopes == nil {
			continue
		}
		source, err := keys.Source(c)
		schemetest.Must(t, err)
		p := presets[c.Issuer](c)
		p.Options.Clock = c.Time
		v, err := p.Verifier(source)
		schemetest.Must(t, err)
		mux := authz.NewMux(authn.New(authn.Chain{v}, &authn.Options{Logger: schemetest.Quiet}))
		mux.HandleFunc("GET /other", func(http.ResponseWriter, *http.Request) {}, authz.HasScope("other:write"))
		want := map[string]int{"/other": 403}
		if len(c.Expect.Scopes) > 0 {
			mux.HandleFunc("GET /own", func(http.ResponseWriter, *http.Request) {}, authz.HasScope(c.Expect.Scopes...))
			want["/own"] = 200
		}
		token, err := keys.Token(c)
		schemetest.Must(t, err)
		for path, status := range want {
			r := httptest.NewRequest("GET", "https://api.acme.example"+path, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			if h := c.Options.Header; h != "" {
				r.Header.Del("Authorization")
				r.Header.Set(h, token)
			}
			rec := httptest.NewRecorder()
			if mux.ServeHTTP(rec, r); rec.Code != status {
				t.Errorf("%s %s: %d", c.ID, path, rec.Code)
			}
		}
	}
}
