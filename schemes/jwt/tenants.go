package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
)

// tenantPart stands for the tenant in an issuer.
const tenantPart = "{tenant}"

// TenantList returns a function for VerifierOptions.Tenants that accepts the given tenants, compared
// byte by byte. Without names it accepts none.
func TenantList(names ...string) func(context.Context, string) (bool, error) {
	names = slices.Clone(names)
	return func(_ context.Context, tenant string) (bool, error) { return slices.Contains(names, tenant), nil }
}

// tenantOf returns the tenant in iss, if iss matches the template. The tenant is one segment of a
// path in unreserved characters, so that a name in the token cannot have two readings.
func tenantOf(template, iss string) (string, bool) {
	before, after, ok := strings.Cut(template, tenantPart)
	rest, ok2 := strings.CutPrefix(iss, before)
	tenant, ok3 := strings.CutSuffix(rest, after)
	if !ok || !ok2 || !ok3 || tenant == "" || tenant == "." || tenant == ".." {
		return "", false
	}
	for _, c := range []byte(tenant) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0) {
			return "", false
		}
	}
	return tenant, true
}

// checkTenants returns an error if the options for tenants are incomplete. A template must be a
// whole segment of the path, because a tenant in the host could be a part of a domain's name.
func (o *VerifierOptions) checkTenants(issuer string) error {
	template := strings.Contains(issuer, tenantPart)
	switch {
	case slices.ContainsFunc(o.Issuers, func(s string) bool { return strings.Contains(s, tenantPart) }):
		return mistake("Issuers contains {tenant} (only the issuer argument can)")
	case !template && (o.Tenants != nil || o.TenantClaim != ""):
		return mistake("Tenants and TenantClaim require {tenant} in the issuer")
	case !template:
		return nil
	case o.Tenants == nil || o.TenantClaim == "":
		return errors.New("{tenant} in the issuer requires Tenants and TenantClaim")
	case len(o.Issuers) > 0 || o.NoIssuer || o.OwnIssuer:
		return errors.New("{tenant} in the issuer cannot be combined with Issuers, NoIssuer or OwnIssuer")
	}
	before, after, _ := strings.Cut(issuer, tenantPart)
	_, host, ok := strings.Cut(before, "://")
	if !ok || !strings.Contains(host, "/") || !strings.HasSuffix(before, "/") || after != "" && after[0] != '/' || strings.Contains(after, tenantPart) {
		return fmt.Errorf("issuer %q: {tenant} must be one whole segment of the path of a URL", issuer)
	}
	return nil
}

// sameTenant checks that the tenant claim has the tenant of the issuer.
func (v *Verifier) sameTenant(c jose.Claims) error {
	if v.opts.Tenants == nil {
		return nil
	}
	iss, _ := c.Text("iss")
	tenant, ok := tenantOf(v.issuer, iss)
	if claim, ok2 := c.Text(v.opts.TenantClaim); !ok || !ok2 || claim != tenant {
		return claimError(v.opts.TenantClaim, errors.New("not the tenant of the issuer"))
	}
	return nil
}

// allowedTenant calls Tenants. It is called for each request, because its result can change while a
// verified token is cached.
func (v *Verifier) allowedTenant(ctx context.Context, a *Access) error {
	if v.opts.Tenants == nil {
		return nil
	}
	tenant, ok := tenantOf(v.issuer, a.Issuer)
	if ok {
		var err error
		ok, err = audit.Call("jwt.VerifierOptions.Tenants", func() (bool, error) { return v.opts.Tenants(ctx, tenant) })
		if err != nil {
			return tenantsError{err}
		}
	}
	if !ok {
		return v.invalid.WithCause(claimError("iss", errors.New("the tenant is not in the list")))
	}
	return nil
}

// tenantsError is a failure of Tenants. It has no Unwrap, so that an [authn.Error] of the function
// is not taken for a decision.
type tenantsError struct{ cause error }

func (e tenantsError) Error() string {
	return "jwt: VerifierOptions.Tenants: " + e.cause.Error()
}
