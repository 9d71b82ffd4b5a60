package issuers

import (
	"time"

	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// entra has the options for tokens of Entra ID of all tenants. Tokens can live for 28 hours with
// continuous access evaluation.
func entra() jwt.VerifierOptions {
	return jwt.VerifierOptions{
		Name: "entra", Algorithms: rs256, Types: typeJWT, NoID: true, IDClaim: "uti", ClientClaims: []string{"azp", "appid"}, SubjectClaim: "oid",
		ScopeClaims: []string{"scp"}, MachineScopeClaims: []string{"roles"}, Machine: []jwt.Rule{jwt.Is("idtyp", "app")}, FirstPartyRequire: []jwt.Rule{jwt.Has("scp")}, MaxLifetime: 29 * time.Hour,
	}
}

// EntraID accepts access tokens of one tenant of Microsoft Entra ID, of both versions. tenant is the
// tenant's ID (a GUID in lower case). audience is the client ID of the API's registration. If it
// issues tokens of version 1, add the application ID URI to Options.Audiences.
//
// The subject is "oid", which is stable in the tenant. Identity.Issuer is the issuer of version 2 for
// both versions. Application roles of users are in "roles" (Options.Roles).
//
// Add the optional claim "idtyp" to the registration. Without it, a token that an application
// obtained for itself cannot be recognized and gets no scopes, also if FirstPartyClients contains the
// application: only users' tokens have "scp". Do not share a registration between
// a page and the API, because ID tokens then have the audience of the API.
//
// Tokens for Microsoft Graph cannot be verified. National clouds have other hosts and need a
// verifier with options of your own.
func EntraID(tenant, audience string) Preset {
	if !guid.MatchString(tenant) {
		return invalid("EntraID", "tenant %q is not the ID of a tenant (a GUID in lower case)", tenant)
	}
	p := Preset{
		Issuer: "https://login.microsoftonline.com/" + tenant + "/v2.0", Audience: audience,
		KeysURL: "https://login.microsoftonline.com/" + tenant + "/discovery/v2.0/keys", Options: entra(),
	}
	p.Options.Issuers, p.Options.SameIssuer = []string{"https://sts.windows.net/" + tenant + "/"}, p.Issuer
	p.Options.Require = []jwt.Rule{jwt.Is("tid", tenant), jwt.Is("ver", "1.0", "2.0"), jwt.Has("/oid")}
	return p
}

// EntraIDTenants accepts access tokens of version 2 of several tenants, for an API that other
// organizations use. tenants are the IDs of the tenants that you accept. To load them from a
// database, set Options.Tenants afterwards; tenants can then be empty.
//
// Equal "oid" of two tenants are two subjects, because Identity.Issuer names the tenant. Store both.
func EntraIDTenants(audience string, tenants ...string) Preset {
	for _, t := range tenants {
		if !guid.MatchString(t) {
			return invalid("EntraIDTenants", "tenant %q is not the ID of a tenant (a GUID in lower case)", t)
		}
	}
	p := Preset{
		Issuer: "https://login.microsoftonline.com/{tenant}/v2.0", Audience: audience,
		KeysURL: "https://login.microsoftonline.com/common/discovery/v2.0/keys", Options: entra(),
	}
	p.Options.Tenants, p.Options.TenantClaim = jwt.TenantList(tenants...), "tid"
	p.Options.Require = []jwt.Rule{jwt.Is("ver", "2.0"), jwt.Has("azp")}
	return p
}
