package issuers

import (
	"strings"

	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// CloudflareAccess accepts the token that Cloudflare Access adds to requests. team is the name of
// the team, such as "acme". audience is the application's AUD tag. A person has full rights. A
// service token is a client without a subject or scopes.
//
// The token is in a header that the proxy sets after a login with a cookie, so the verifier checks
// the origin of unsafe requests; set Options.Site to name your origin.
func CloudflareAccess(team, audience string) Preset {
	if !label.MatchString(team) {
		return invalid("CloudflareAccess", "team %q is malformed", team)
	}
	issuer := "https://" + team + ".cloudflareaccess.com"
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/cdn-cgi/access/certs",
		Options: jwt.VerifierOptions{
			Name: "cloudflare", Algorithms: rs256, Header: "Cf-Access-Jwt-Assertion", Types: typeJWT, NoID: true, NoSubject: true, FirstParty: true,
			ClientClaims: []string{"common_name"}, Require: []jwt.Rule{jwt.Is("type", "app")}, MaxLifetime: 31 * day,
		},
	}
}

// AWSALB accepts the token in which an Application Load Balancer of AWS sends the claims of its
// OpenID Connect login. issuer and client are the provider's issuer and the client ID of the
// listener rule. balancers are the ARNs of your load balancers. At least one is required: all load
// balancers of a region share their keys, so a stranger's load balancer could sign tokens for you.
//
// Pass the keys to Verifier. AWS serves each key as PEM at
// https://public-keys.auth.elb.REGION.amazonaws.com/KID. A source that fetches them must check that
// the key ID is a UUID, and must limit the number of fetches.
func AWSALB(issuer, client string, balancers ...string) Preset {
	switch {
	case client == "":
		return invalid("AWSALB", "no client")
	case !some(balancers):
		return invalid("AWSALB", "no load balancer (at least one ARN)")
	}
	for _, arn := range balancers {
		if !strings.HasPrefix(arn, "arn:") {
			return invalid("AWSALB", "load balancer %q is not an ARN", arn)
		}
	}
	return Preset{
		Issuer: issuer,
		Options: jwt.VerifierOptions{
			Name: "alb", Algorithms: es256, Header: "X-Amzn-Oidc-Data", Padded: true, Types: typeJWT, NoID: true, FirstParty: true,
			Require: []jwt.Rule{jwt.HeaderIs("signer", balancers...), jwt.HeaderIs("client", client)},
		},
	}
}
