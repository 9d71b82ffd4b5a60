package jwt

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// clone returns a copy that shares no list with o.
func (o *VerifierOptions) clone() VerifierOptions {
	c := *o
	for _, l := range c.lists() {
		*l.list = slices.Clone(*l.list)
	}
	c.Algorithms, c.Require, c.Machine, c.FirstPartyRequire = slices.Clone(c.Algorithms), slices.Clone(c.Require), slices.Clone(c.Machine), slices.Clone(c.FirstPartyRequire)
	c.RoleMap, c.ACR = maps.Clone(c.RoleMap), maps.Clone(c.ACR)
	return c
}

type namedList struct {
	name string
	list *[]string
}

func (o *VerifierOptions) lists() []namedList {
	return []namedList{
		{"Issuers", &o.Issuers}, {"Audiences", &o.Audiences}, {"Types", &o.Types}, {"ScopeClaims", &o.ScopeClaims},
		{"MachineScopeClaims", &o.MachineScopeClaims}, {"ClientClaims", &o.ClientClaims}, {"NotClients", &o.NotClients},
		{"Clients", &o.Clients}, {"FirstPartyClients", &o.FirstPartyClients}, {"Roles", &o.Roles},
	}
}

// defaults sets the defaults for another issuer.
func (o *VerifierOptions) defaults() {
	if o.Types == nil {
		o.Types = []string{TypeAccess}
	}
	if o.ScopeClaims == nil {
		o.ScopeClaims = []string{"scope"}
	}
	if o.ClientClaims == nil {
		o.ClientClaims = []string{"client_id"}
	}
	switch {
	case o.Leeway == LeewayOff || o.Leeway == 0 && o.OwnIssuer:
		o.Leeway = 0
	default:
		o.Leeway = cmp.Or(o.Leeway, DefaultLeeway)
	}
	o.FirstParty = o.FirstParty || o.OwnIssuer
}

// checkForeign returns an error if options for another issuer are invalid or contradict each other.
func (o *VerifierOptions) checkForeign(issuer, audience string) error {
	for _, l := range o.lists() {
		switch {
		case slices.Contains(*l.list, ""):
			return fmt.Errorf("%s contains an empty entry", l.name)
		case *l.list != nil && len(*l.list) == 0 && (l.name == "Types" || l.name == "Clients"):
			return fmt.Errorf("empty %s (at least one, or nil for the default)", l.name)
		}
	}
	for _, name := range o.NotClients {
		if !slices.Contains(clientNames, name) || slices.Contains(o.ClientClaims, name) {
			return mistake("NotClients contains %q (one of %q that is not in ClientClaims)", name, clientNames)
		}
	}
	for _, a := range o.Algorithms {
		if !a.Valid() || strings.HasPrefix(string(a), "HS") {
			return fmt.Errorf("algorithm %q is not for published keys (RS, PS, ES or EdDSA)", a)
		}
	}
	for name, rules := range map[string][]Rule{"Require": o.Require, "Machine": o.Machine, "FirstPartyRequire": o.FirstPartyRequire} {
		for _, r := range rules {
			if err := r.check(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if err := o.checkNames(issuer, audience); err != nil {
		return err
	}
	if err := o.checkTenants(issuer); err != nil {
		return err
	}
	if err := o.checkAccounts(); err != nil {
		return err
	}
	if err := o.checkOwn(audience); err != nil {
		return err
	}
	if err := (authn.BearerChallenge{ResourceMetadata: o.ResourceMetadata}).Check(); err != nil {
		return err
	}
	switch {
	case o.ResourceMetadata != "" && o.Header != "":
		return mistake("ResourceMetadata cannot be combined with Header (a token in the header of a proxy has no challenge)")
	case o.MaxLifetime < 0:
		return mistake("MaxLifetime %v is negative", o.MaxLifetime)
	case o.IgnoreFirstPartyScopes && len(o.FirstPartyClients) == 0:
		return mistake("IgnoreFirstPartyScopes requires FirstPartyClients")
	case o.RoleMap != nil && len(o.Roles) == 0:
		return mistake("RoleMap requires Roles")
	case o.ACR != nil && (!o.LoginClaims || o.OwnIssuer):
		return mistake("ACR requires LoginClaims, and cannot be combined with OwnIssuer")
	}
	return o.checkHeader()
}

// checkNames checks the issuers and audiences.
func (o *VerifierOptions) checkNames(issuer, audience string) error {
	for _, iss := range append([]string{issuer}, o.Issuers...) {
		for _, aud := range append([]string{cmp.Or(audience, "none")}, o.Audiences...) {
			checks := jose.Checks{Issuer: iss, Audience: aud, Leeway: o.Leeway, Clock: time.Now}
			if err := checks.Validate(); err != nil {
				return err
			}
		}
	}
	signed := slices.ContainsFunc(o.Require, func(r Rule) bool { return r.kind == ruleHeaderIs })
	switch {
	case audience == "" && o.Clients == nil && !signed:
		return errors.New("no audience (with the audience \"\", set Clients or require HeaderIs)")
	case audience == "" && len(o.Audiences) > 0:
		return mistake("Audiences cannot be combined with the audience \"\"")
	case o.SameIssuer != "" && o.SameIssuer != issuer && !slices.Contains(o.Issuers, o.SameIssuer):
		return mistake("SameIssuer %q is not one of the issuers", o.SameIssuer)
	}
	return nil
}

// checkOwn checks OwnIssuer.
func (o *VerifierOptions) checkOwn(audience string) error {
	switch {
	case o.OwnIssuer && o.AllowIDTokens:
		return mistake("OwnIssuer and AllowIDTokens cannot be combined (ID tokens are for clients, not for APIs)")
	case o.OwnIssuer && (o.NoID || o.IDClaim != "" || o.Untyped):
		return mistake("OwnIssuer cannot be combined with NoID, IDClaim and Untyped (tokens of this library have a jti and a typ)")
	case o.OwnIssuer && (audience == "" || o.NoIssuer || len(o.Issuers) > 0 || o.SubjectClaim != "" || o.Header != ""):
		return mistake("OwnIssuer requires an audience, and cannot be combined with NoIssuer, Issuers, SubjectClaim or Header")
	case o.Space != "" && !o.OwnIssuer:
		return mistake("Space requires OwnIssuer")
	case o.Space != "" && storage.CheckSpace(o.Space) != nil:
		return mistake("Space %q is invalid (1 to 32 of a-z, 0-9 and _)", o.Space)
	}
	return nil
}

// mistake returns the error for an option, whose name begins the text.
func mistake(format string, args ...any) error { return fmt.Errorf(format, args...) }
