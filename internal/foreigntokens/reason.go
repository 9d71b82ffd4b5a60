package foreigntokens

import "strings"

// Named reports whether the logged reason of a refusal names the check of the vector, and its claim.
func (v *Vector) Named(reason string) bool {
	if rule, ok := strings.CutPrefix(v.Expect.Why, "require "); ok {
		return strings.Contains(reason, "require "+rule+":")
	}
	subject, id := "sub", "jti"
	if v.Options.SubjectClaim != "" {
		subject = v.Options.SubjectClaim
	}
	if v.Options.IDClaim != "" {
		id = v.Options.IDClaim
	}
	want, ok := map[string][]string{
		"alg": {"alg"}, "iss": {"claim iss:"}, "aud": {"claim aud:"}, "client": {"client"}, "sub": {"claim " + subject + ":"},
		"exp": {"exp"}, "kind": {"ID token", "not an access token"}, "scope": {"claim scope:", "claim scp:"}, "lifetime": {"lifetime"},
		"typ": {"typ"}, "kid": {"kid"}, "tenant": {"claim " + v.Options.TenantClaim + ": not the tenant"}, "id": {"claim " + id + ":"},
		"cnf": {"claim cnf:"}, "auth_time": {"claim auth_time:"}, "roles": {"roles"}, "iat": {"iat"}, "nbf": {"nbf"},
	}[v.Expect.Why]
	for _, text := range want {
		if strings.Contains(reason, text) {
			return true
		}
	}
	return !ok && v.Expect.Why == ""
}
