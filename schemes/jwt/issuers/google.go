package issuers

import (
	"time"

	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// google has the settings for ID tokens of Google. Its access tokens are opaque.
func google(audience string) Preset {
	const issuer = "https://accounts.google.com"
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: "https://www.googleapis.com/oauth2/v3/certs",
		Options: jwt.VerifierOptions{
			Name: "google", Algorithms: rs256, Issuers: []string{"accounts.google.com"}, SameIssuer: issuer, Types: typeJWT, NoID: true,
			AllowIDTokens: true, ClientClaims: []string{"azp"}, MaxLifetime: time.Hour,
		},
	}
}

// GoogleServiceAccounts accepts ID tokens that service accounts requested for audience, such as
// "https://orders.acme.example". accounts are their numeric unique IDs. At least one is required,
// because every service account of Google can request a token for your audience. An accepted
// identity is a client without a subject or scopes.
func GoogleServiceAccounts(audience string, accounts ...string) Preset {
	if !some(accounts) {
		return invalid("GoogleServiceAccounts", "no account (at least one)")
	}
	p := google(audience)
	p.Options.Clients = accounts
	p.Options.Require = []jwt.Rule{jwt.Is("email_verified", "true")}
	return p
}

// GooglePeople accepts ID tokens of people of a Workspace domain who signed in at your client. Use
// it for your own client only, because its tokens have their user's full rights.
func GooglePeople(client, domain string) Preset {
	switch {
	case client == "":
		return invalid("GooglePeople", "no client")
	case !hostName.MatchString(domain):
		return invalid("GooglePeople", notHost, domain)
	}
	p := google(client)
	p.Options.Clients, p.Options.FirstPartyClients = []string{client}, []string{client}
	p.Options.Require = []jwt.Rule{jwt.Is("hd", domain)}
	return p
}

// Firebase accepts ID tokens of Firebase Authentication. project is the project's ID. A token has its
// user's full rights. Custom claims can be roles, such as "role" (Options.Roles).
//
// Anonymous users, and users of a tenant of Identity Platform, are rejected.
func Firebase(project string) Preset {
	if !label.MatchString(project) {
		return invalid("Firebase", "project %q is not the ID of a project", project)
	}
	return Preset{
		Issuer: "https://securetoken.google.com/" + project, Audience: project,
		KeysURL: "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
		Options: jwt.VerifierOptions{
			Name: "firebase", Algorithms: rs256, Types: typeJWT, NoID: true, AllowIDTokens: true, FirstParty: true,
			Require:     []jwt.Rule{jwt.Has("auth_time"), jwt.Not("/firebase/sign_in_provider", "anonymous"), jwt.Lacks("/firebase/tenant")},
			MaxLifetime: time.Hour,
		},
	}
}

// GoogleIAP accepts the assertion that Identity-Aware Proxy adds to requests. audience is
// "/projects/NUMBER/global/backendServices/ID" or "/projects/NUMBER/apps/PROJECT". domain is the
// Workspace domain of the accepted people.
//
// The assertion is in a header that the proxy sets after a login with a cookie, so the verifier
// checks the origin of unsafe requests; set Options.Site to name your origin.
func GoogleIAP(audience, domain string) Preset {
	if !hostName.MatchString(domain) {
		return invalid("GoogleIAP", notHost, domain)
	}
	return Preset{
		Issuer: "https://cloud.google.com/iap", Audience: audience, KeysURL: "https://www.gstatic.com/iap/verify/public_key-jwk",
		Options: jwt.VerifierOptions{
			Name: "iap", Algorithms: es256, Header: "X-Goog-Iap-Jwt-Assertion", Types: typeJWT, NoID: true, FirstParty: true,
			NotClients: []string{"azp"}, // the backend
			Require:    []jwt.Rule{jwt.Is("hd", domain)}, MaxLifetime: 11 * time.Minute,
		},
	}
}
