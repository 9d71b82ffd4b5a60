package issuers

import (
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

// Kubernetes accepts projected service account tokens of a cluster. issuer is the cluster's issuer.
// audience is the audience of the projected volume; never use the API server's audience. accounts
// are the names of the accepted service accounts of namespace. At least one is required. An
// identity is a client "system:serviceaccount:NAMESPACE:NAME" without scopes.
//
// Many clusters serve their keys only to authenticated callers: pass a key source with a suitable
// client to Verifier. The token of a deleted pod stays valid until it expires.
func Kubernetes(issuer, audience, namespace string, accounts ...string) Preset {
	switch {
	case !baseURL.MatchString(issuer):
		return invalid("Kubernetes", "issuer %q is not an https URL without a slash at the end", issuer)
	case !label.MatchString(namespace):
		return invalid("Kubernetes", "namespace %q is malformed", namespace)
	case !some(accounts):
		return invalid("Kubernetes", "no service account (at least one)")
	}
	var clients []string
	for _, name := range accounts {
		clients = append(clients, "system:serviceaccount:"+namespace+":"+name)
	}
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/openid/v1/jwks",
		Options: jwt.VerifierOptions{
			Name: "kubernetes", Algorithms: rs256, Untyped: true, NoID: true, ClientClaims: []string{"sub"}, Clients: clients,
			Require: []jwt.Rule{jwt.Is("/kubernetes.io/namespace", namespace)}, MaxLifetime: day,
		},
	}
}

// GitHubActions accepts tokens of the workflows of one repository on one ref, such as
// "refs/heads/main". repository and owner are numeric IDs, because names can be registered again by
// others. events are the accepted events, such as "push". At least one is required. Do not accept
// "pull_request_target", which runs for pull requests of strangers.
//
// The workflow must request a token for audience, which must be your own. An identity is a client
// without scopes.
func GitHubActions(audience, repository, owner, ref string, events ...string) Preset {
	switch {
	case !digits(repository) || !digits(owner):
		return invalid("GitHubActions", "repository %q and owner %q must be numeric IDs", repository, owner)
	case !strings.HasPrefix(ref, "refs/"):
		return invalid("GitHubActions", "ref %q is not a full ref (such as refs/heads/main)", ref)
	case !some(events):
		return invalid("GitHubActions", "no event (at least one, such as push)")
	}
	const issuer = "https://token.actions.githubusercontent.com"
	return Preset{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/.well-known/jwks",
		Options: jwt.VerifierOptions{
			Name: "github", Algorithms: rs256, Types: typeJWT, ClientClaims: []string{"sub"}, MaxLifetime: time.Hour,
			Require: []jwt.Rule{jwt.Is("repository_id", repository), jwt.Is("repository_owner_id", owner), jwt.Is("ref", ref), jwt.Is("event_name", events...)},
		},
	}
}

// GitLabCI accepts ID tokens of the CI jobs of one project on protected branches. url is the
// instance's address. audience is the "aud" that the job requests, which must be your own, because
// the instance's sign-in has the same issuer. project is the numeric ID. A token
// must name it twice: as the project of the code and as the project that runs the job. So jobs for
// merge requests from forks are rejected. This requires GitLab 18.4.
//
// If you customized "sub" so that it can be longer than 255 bytes, set Options.SubjectClaim and
// Options.ClientClaims to another claim.
func GitLabCI(url, audience, project string) Preset {
	switch {
	case !baseURL.MatchString(url):
		return invalid("GitLabCI", "url %q is not an https URL without a slash at the end", url)
	case !digits(project):
		return invalid("GitLabCI", "project %q must be a numeric ID", project)
	}
	return Preset{
		Issuer: url, Audience: audience, KeysURL: url + "/oauth/discovery/keys",
		Options: jwt.VerifierOptions{
			Name: "gitlab", Algorithms: rs256, Types: typeJWT, ClientClaims: []string{"sub"}, MaxLifetime: day,
			Require: []jwt.Rule{jwt.Is("project_id", project), jwt.Is("job_project_id", project), jwt.Is("ref_protected", "true"), jwt.Is("ref_type", "branch")},
		},
	}
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// SPIFFE accepts JWT-SVIDs of a trust domain, such as "prod.acme.example". audience is the audience
// of this service. The keys come from the trust bundle: pass them to Verifier. An identity is a
// client, the SPIFFE ID, without scopes. Set Options.Clients to accept only some workloads.
func SPIFFE(trustDomain, audience string) Preset {
	if !hostName.MatchString(trustDomain) {
		return invalid("SPIFFE", "trust domain %q is malformed", trustDomain)
	}
	return Preset{
		Issuer: "spiffe://" + trustDomain, Audience: audience,
		Options: jwt.VerifierOptions{
			Name: "spiffe", Algorithms: []jose.Algorithm{jose.ES256, jose.RS256}, NoIssuer: true, Types: []string{"JWT", "JOSE"}, Untyped: true, NoID: true,
			ClientClaims: []string{"sub"}, Require: []jwt.Rule{jwt.Under("sub", "spiffe://"+trustDomain+"/")}, MaxLifetime: time.Hour,
		},
	}
}
