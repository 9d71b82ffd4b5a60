package jwt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/jose"
)

// clientNames are claims in which issuers name a client, and clientSigns those that show that
// another party uses the token. scopeSigns are claims in which they limit
// a token. A token with its user's full rights that has one of them is rejected unless an option
// names the claim. Otherwise a limited token would be unlimited only because its issuer uses
// another claim.
var (
	clientNames = []string{"client_id", "azp", "cid", "appid"}
	clientSigns = append(slices.Clip(clientNames), "act", "may_act")
	scopeSigns  = []string{"scope", "scp", "scopes", "authorization_details"}
)

// idTokenSigns are claims of ID tokens and logout tokens.
var idTokenSigns = []string{"nonce", "at_hash", "c_hash", "s_hash", "events"}

// party sets the subject, the client, the scopes and the roles of another issuer's token. A missing
// claim never extends its rights: a token without scopes has no scopes, and only options make its
// user a first-party user.
func (v *Verifier) party(t *jose.Token, a *Access) error {
	c := t.Claims
	if err := v.clientOf(c, a); err != nil {
		return err
	}
	if v.opts.Clients != nil && !slices.Contains(v.opts.Clients, a.Client) {
		return v.clientError(errors.New("not in the list of clients"))
	}
	machine, err := v.isMachine(t)
	if err != nil {
		return err
	}
	if machine && a.Client == "" {
		return v.clientError(errors.New("the token of a machine names no client"))
	}
	if a.Client != "" && (a.Subject == a.Client || a.Subject == "") {
		machine = true // no user (RFC 9068, section 2.2)
	}
	if machine {
		a.Subject = ""
	}
	if a.Subject == "" && a.Client == "" {
		return claimError(v.subjectClaim(), errors.New("neither a subject nor a client"))
	}
	if raw, ok := c.Get("act"); ok {
		a.Actors = actors.Read(raw)
	}
	named, err := v.scopesOf(c, a, machine)
	if err != nil {
		return err
	}
	if a.Roles, err = v.roles(c); err != nil {
		return err
	}
	first, err := v.firstParty(t, a, named, machine)
	if err != nil {
		return err
	}
	if first {
		a.Client = ""
		if !named || v.opts.IgnoreFirstPartyScopes {
			a.Scopes = nil
		}
	}
	if a.Client != "" || a.Scopes != nil {
		a.Roles = nil
	}
	return v.ownSubject(a.Subject)
}

// clientOf sets Client. All claims that are there must agree.
func (v *Verifier) clientOf(c jose.Claims, a *Access) error {
	a.Client = ""
	for _, name := range v.opts.ClientClaims {
		client, err := optionalText(c, name)
		switch {
		case err != nil:
			return err
		case client != "" && a.Client != "" && client != a.Client:
			return claimError(name, errors.New("the client differs from an earlier claim"))
		case client != "":
			a.Client = client
		}
	}
	return nil
}

func (v *Verifier) clientError(why error) error {
	return claimError(strings.Join(v.opts.ClientClaims, ", "), fmt.Errorf("client: %w", why))
}

// scopesOf sets Scopes, which is never nil. named reports whether a claim contains scopes.
func (v *Verifier) scopesOf(c jose.Claims, a *Access, machine bool) (named bool, err error) {
	names := v.opts.ScopeClaims
	if machine && v.opts.MachineScopeClaims != nil {
		names = v.opts.MachineScopeClaims
	}
	a.Scopes = []string{}
	for _, name := range names {
		if _, ok := c.Get(name); ok {
			a.Scopes, err = scopeList(c, name)
			return true, err
		}
	}
	return false, nil
}

// firstParty reports whether the user uses the token directly, so that no limits of a client apply.
func (v *Verifier) firstParty(t *jose.Token, a *Access, named, machine bool) (bool, error) {
	c := t.Claims
	if v.opts.FirstParty {
		signs := slices.Concat(clientSigns, scopeSigns)
		if v.opts.OwnIssuer && a.Client != "" { // our server names the client and the scopes beside the actors
			signs = slices.DeleteFunc(signs, func(name string) bool { return name == "act" })
		}
		if err := v.unnamed(c, signs, ""); err != nil {
			return false, err
		}
	}
	for _, name := range []string{"act", "may_act"} {
		if _, ok := c.Get(name); ok {
			return false, nil // another party acts for the user
		}
	}
	if v.opts.FirstParty && a.Client == "" {
		return !named, nil
	}
	if machine || a.Client == "" || !slices.Contains(v.opts.FirstPartyClients, a.Client) {
		return false, nil
	}
	for _, r := range v.opts.FirstPartyRequire {
		if ok, err := r.met(t); err != nil || !ok {
			return false, ruleError("first party", r, err)
		}
	}
	signs := clientSigns
	if !v.opts.IgnoreFirstPartyScopes {
		signs = slices.Concat(clientSigns, scopeSigns)
	}
	return true, v.unnamed(c, signs, a.Client)
}

// unnamed returns an error if the token has one of the claims in names, and no option names the
// claim. It accepts a claim of clientSigns that contains the known client.
func (v *Verifier) unnamed(c jose.Claims, names []string, client string) error {
	for _, name := range names {
		if _, ok := c.Get(name); !ok || slices.Contains(v.opts.ClientClaims, name) || slices.Contains(v.opts.ScopeClaims, name) || slices.Contains(v.opts.NotClients, name) {
			continue
		}
		if text, ok := c.Text(name); !ok || text != client || client == "" || !slices.Contains(clientSigns, name) {
			return claimError(name, errors.New("limits a first-party token, but no option names the claim"))
		}
	}
	return nil
}

// ownSubject rejects subjects of another account table.
func (v *Verifier) ownSubject(subject string) error {
	if !v.opts.OwnIssuer || subject == "" {
		return nil
	}
	space, id, ok := strings.Cut(subject, ":")
	if !ok {
		space, id = "", subject
	}
	if space != v.opts.Space || id == "" {
		return claimError("sub", errors.New("the subject belongs to another account table"))
	}
	return nil
}

// refuseIDToken rejects tokens with the claims of an ID token, a refresh token or a logout token.
// If an issuer sends "typ": "JWT", only these claims distinguish them from access tokens.
func refuseIDToken(c jose.Claims) error {
	for _, name := range idTokenSigns {
		if _, ok := c.Get(name); ok {
			return claimError(name, errors.New("the token is an ID token or a logout token"))
		}
	}
	for name, others := range map[string][]string{"typ": {"ID", "Refresh", "Offline", "Logout"}, "token_use": {"id", "refresh"}} {
		use, ok := c.Text(name)
		if _, present := c.Get(name); present && !ok {
			return claimError(name, errors.New("not a string"))
		}
		if slices.ContainsFunc(others, func(s string) bool { return strings.EqualFold(s, use) }) {
			return claimError(name, errors.New("the token is not an access token"))
		}
	}
	return nil
}

// scopeList parses a claim with scopes: a string of scope tokens separated by single spaces (RFC
// 6749, section 3.3), or a list of them. An empty claim allows nothing.
func scopeList(c jose.Claims, name string) ([]string, error) {
	text, ok := c.Text(name)
	list := strings.Split(text, " ")
	switch {
	case ok && text == "":
		return []string{}, nil
	case !ok:
		if list, ok = c.Texts(name); !ok {
			return nil, claimError(name, errors.New("neither a string nor a list of strings"))
		}
	}
	if list == nil {
		list = []string{}
	}
	for _, s := range list {
		if !authn.IsScope(s) {
			return nil, claimError(name, errors.New("not a list of scope tokens"))
		}
	}
	return slices.Clip(list), nil
}
