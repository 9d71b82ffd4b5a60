package issuers

import (
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// Auth0 accepts access tokens of Auth0. domain is the tenant's domain, such as "acme.eu.auth0.com",
// or a custom domain. audience is the identifier of the API.
//
// The API must sign with RS256. The claim "permissions" lists what the user may do, whatever the
// client was granted, so it is not read as scopes. Roles come from a claim of your own, such as
// "https://acme.example/roles": set Options.Roles. Tokens of both profiles are accepted, with and
// without "jti".
func Auth0(domain, audience string) Preset {
	if !hostName.MatchString(domain) {
		return invalid("Auth0", notHost, domain)
	}
	return Preset{
		Issuer: "https://" + domain + "/", Audience: audience, KeysURL: "https://" + domain + "/.well-known/jwks.json",
		Options: jwt.VerifierOptions{
			Name: "auth0", Algorithms: rs256, Types: []string{jwt.TypeAccess, "JWT"}, NoID: true, ClientClaims: []string{"client_id", "azp"},
			Machine: []jwt.Rule{jwt.Is("gty", "client-credentials"), jwt.Ends("sub", "@clients")}, MaxLifetime: day,
		},
	}
}

// Okta accepts access tokens of a custom authorization server of Okta. domain is the organization's
// domain, such as "acme.okta.com". server is the server's ID, such as "default". Tokens of the
// organization's own server are only for Okta.
//
// The subject is the claim "uid", because "sub" is the login name, which can change.
func Okta(domain, server, audience string) Preset {
	switch {
	case !hostName.MatchString(domain):
		return invalid("Okta", notHost, domain)
	case !label.MatchString(server):
		return invalid("Okta", "server %q is not the ID of an authorization server (such as default)", server)
	}
	issuer := "https://" + domain + "/oauth2/" + server
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/v1/keys",
		Options: jwt.VerifierOptions{
			Name: "okta", Algorithms: rs256, Types: []string{jwt.TypeAccess}, Untyped: true, ClientClaims: []string{"cid"}, SubjectClaim: "uid", NoSubject: true,
			ScopeClaims: []string{"scp"}, Leeway: 2 * time.Minute, MaxLifetime: day,
		},
	}
}

// Cognito accepts access tokens of a user pool of Amazon Cognito, such as "eu-west-1_Ab3dEf9gH".
// The tokens have no audience, so clients are the app clients that may call the API. At least one
// is required.
//
// If you bind tokens to a resource, set Audience. The groups are in "cognito:groups" (Options.Roles).
func Cognito(pool string, clients ...string) Preset {
	region, id, ok := strings.Cut(pool, "_")
	if !ok || !label.MatchString(region) || !label.MatchString(id) {
		return invalid("Cognito", "pool %q is not the ID of a user pool (such as eu-west-1_Ab3dEf9gH)", pool)
	}
	if !some(clients) {
		return invalid("Cognito", "no client (at least one, because the tokens have no audience)")
	}
	issuer := "https://cognito-idp." + region + ".amazonaws.com/" + pool
	return Preset{
		Issuer: issuer, KeysURL: issuer + "/.well-known/jwks.json",
		Options: jwt.VerifierOptions{
			Name: "cognito", Algorithms: rs256, Untyped: true, Clients: clients,
			Require: []jwt.Rule{jwt.Is("token_use", "access")}, MaxLifetime: day,
		},
	}
}

// Keycloak accepts access tokens of a realm. url is the server's address as in "iss", such as
// "https://sso.acme.example" ("/auth" at the end for versions before 17). audience is the client ID
// of the API, which an audience mapper must add to the tokens.
//
// For the roles of the realm and of a client, set Options.Roles to [KeycloakRoles] and
// Options.RoleMap. Tokens without "sub" (lightweight access tokens) are rejected. Old versions put
// "nonce" into access tokens: set Options.AllowIDTokens for them; "typ" must still be Bearer.
func Keycloak(url, realm, audience string) Preset {
	switch {
	case !baseURL.MatchString(url):
		return invalid("Keycloak", "url %q is not an https URL without a slash at the end", url)
	case !label.MatchString(realm):
		return invalid("Keycloak", "realm %q is malformed", realm)
	}
	issuer := url + "/realms/" + realm
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/protocol/openid-connect/certs",
		Options: jwt.VerifierOptions{
			Name: "keycloak", Algorithms: rs256, Types: []string{"JWT", jwt.TypeAccess}, Require: []jwt.Rule{jwt.Is("typ", "Bearer")},
			ClientClaims: []string{"azp", "client_id"}, Machine: []jwt.Rule{jwt.Has("client_id"), jwt.Has("clientId")}, FirstPartyRequire: []jwt.Rule{jwt.Has("sid")},
			MaxLifetime: time.Hour,
		},
	}
}

// KeycloakRoles returns the places of the realm's roles and of the roles of a client, for
// VerifierOptions.Roles. Set RoleMap too: otherwise "admin" of the realm is an administrator here.
func KeycloakRoles(client string) []string {
	return []string{"/realm_access/roles", "/resource_access/" + pointer(client) + "/roles"}
}

// pointer escapes a name for a JSON Pointer.
func pointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// Hydra accepts access tokens of Ory Hydra with the strategy "jwt". issuer is Hydra's issuer, byte
// for byte. Roles can be in "/ext/roles" (Options.Roles).
func Hydra(issuer, audience string) Preset {
	if !baseURL.MatchString(strings.TrimSuffix(issuer, "/")) {
		return invalid("Hydra", "issuer %q is not an https URL", issuer)
	}
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: strings.TrimSuffix(issuer, "/") + "/.well-known/jwks.json",
		Options: jwt.VerifierOptions{Name: "hydra", Algorithms: rs256, Types: typeJWT, ScopeClaims: []string{"scp", "scope"}, MaxLifetime: time.Hour},
	}
}

// Zitadel accepts access tokens of an application that issues JWTs. domain is the instance's domain.
// project is the project ID, which clients must request as an audience. For the roles of the
// project, set Options.Roles to [ZitadelRoles] and Options.RoleMap.
//
// ID tokens have the same audience. They are rejected because they have no "jti", or have
// "auth_time" or "amr". The tokens have no scopes.
func Zitadel(domain, project string) Preset {
	switch {
	case !hostName.MatchString(domain):
		return invalid("Zitadel", notHost, domain)
	case !label.MatchString(project):
		return invalid("Zitadel", "project %q is malformed", project)
	}
	return Preset{
		Issuer: "https://" + domain, Audience: project, KeysURL: "https://" + domain + "/oauth/v2/keys",
		Options: jwt.VerifierOptions{
			Name: "zitadel", Algorithms: rs256, Types: typeJWT, ClientClaims: []string{"client_id", "azp"},
			Require: []jwt.Rule{jwt.Lacks("auth_time"), jwt.Lacks("amr")}, MaxLifetime: 12 * time.Hour,
		},
	}
}

// ZitadelRoles returns the place of a project's roles, for VerifierOptions.Roles.
func ZitadelRoles(project string) []string {
	return []string{"/urn:zitadel:iam:org:project:" + pointer(project) + ":roles/*"}
}

// Supabase accepts the session tokens of a Supabase project, such as "abcdefghij", and the tokens of
// its OAuth clients. The project must use asymmetric signing keys (ES256): with the older shared
// secret, everyone who has it can sign tokens.
//
// A session has its user's full rights. Roles that only you can set are in "/app_metadata/roles"
// (Options.Roles). Never use "user_metadata", because users edit it themselves. Anonymous users and
// the keys "anon" and "service_role" are rejected.
func Supabase(project string) Preset {
	if !label.MatchString(project) {
		return invalid("Supabase", "project %q is not the reference of a project", project)
	}
	issuer := "https://" + project + ".supabase.co/auth/v1"
	return Preset{
		Issuer: issuer, Audience: "authenticated", KeysURL: issuer + "/.well-known/jwks.json",
		Options: jwt.VerifierOptions{
			Name: "supabase", Algorithms: es256, Types: typeJWT, NoID: true, FirstParty: true,
			Require:     []jwt.Rule{jwt.Is("role", "authenticated"), jwt.Is("is_anonymous", "false"), jwt.Has("session_id")},
			MaxLifetime: day,
		},
	}
}

// Clerk accepts session tokens of Clerk. domain is the Frontend API, such as "clerk.acme.example".
// origins are the origins of your pages, such as "https://app.acme.example", because the tokens
// have no audience. At least one is required.
//
// A session has its user's full rights. The role in the organization is in "/o/rol": set
// Options.Roles, and Options.RoleMap, because an organization's admin is not yours. Impersonated
// sessions ("act"), pending sessions and tokens of JWT templates are rejected.
func Clerk(domain string, origins ...string) Preset {
	switch {
	case !hostName.MatchString(domain):
		return invalid("Clerk", notHost, domain)
	case !some(origins):
		return invalid("Clerk", "no origin (at least one, because the tokens have no audience)")
	}
	return Preset{
		Issuer: "https://" + domain, KeysURL: "https://" + domain + "/.well-known/jwks.json",
		Options: jwt.VerifierOptions{
			Name: "clerk", Algorithms: rs256, Types: typeJWT, NoID: true, ClientClaims: []string{"azp"}, Clients: origins, FirstPartyClients: origins,
			Require: []jwt.Rule{jwt.Not("sts", "pending"), jwt.Has("sid"), jwt.Lacks("act")}, MaxLifetime: 5 * time.Minute,
		},
	}
}

// Duende accepts access tokens of Duende IdentityServer. audience is the name of the API resource.
// The audience "ISSUER/resources" is common to all APIs and is not accepted.
func Duende(issuer, audience string) Preset {
	if !baseURL.MatchString(issuer) {
		return invalid("Duende", "issuer %q is not an https URL without a slash at the end", issuer)
	}
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/.well-known/openid-configuration/jwks",
		Options: jwt.VerifierOptions{Name: "duende", Algorithms: rs256, NoSubject: true, MaxLifetime: time.Hour},
	}
}

// Vestibule accepts access tokens that another service of yours issues with this library. Its
// subjects are this application's accounts. issuer and audience are the issuer and the audience of
// the scheme that issues the tokens. keysURL is where it publishes its keys.
func Vestibule(issuer, audience, keysURL string) Preset {
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: keysURL,
		Options: jwt.VerifierOptions{
			Algorithms: []jose.Algorithm{jose.EdDSA, jose.ES256, jose.RS256}, OwnIssuer: true, Roles: []string{"roles"}, MaxLifetime: time.Hour,
		},
	}
}
