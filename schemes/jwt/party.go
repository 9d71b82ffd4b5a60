package jwt

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
)

// clientSigns are claims in which issuers name a client. scopeSigns are claims in which they limit
// a token. A token with its user's full rights that has one of them is rejected unless an option
// names the claim. Otherwise a limited token would be unlimited only because its issuer uses
// another claim.
var (
	clientSigns = []string{"client_id", "azp", "cid", "appid", "act", "may_act"}
	scopeSigns  = []string{"scope", "scp", "scopes", "authorization_details"}
)

// idTokenSigns are claims of ID tokens and logout tokens.
var idTokenSigns = []string{"nonce", "at_hash", "c_hash", "s_hash", "events"}

var spaceName = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// checkForeign returns an error if options for another issuer are invalid or contradict each other.
func (o *VerifierOptions) checkForeign() error {
	for _, l := range []struct {
		name  string
		names []string
	}{{"Audiences", o.Audiences}, {"ScopeClaims", o.ScopeClaims}, {"ClientClaims", o.ClientClaims}, {"FirstPartyClients", o.FirstPartyClients}} {
		if slices.Contains(l.names, "") {
			return fmt.Errorf("jwt: NewVerifier: %s contains an empty entry", l.name)
		}
	}
	switch {
	case o.OwnIssuer && o.AllowIDTokens:
		return errors.New("jwt: NewVerifier: OwnIssuer and AllowIDTokens cannot be combined (ID tokens are for clients, not for APIs)")
	case o.OwnIssuer && (o.NoID || o.IDClaim != "" || o.Untyped):
		return errors.New("jwt: NewVerifier: OwnIssuer cannot be combined with NoID, IDClaim and Untyped (tokens of this library have a jti and a typ)")
	case o.Space != "" && !o.OwnIssuer:
		return errors.New("jwt: NewVerifier: Space requires OwnIssuer")
	case o.Space != "" && !spaceName.MatchString(o.Space):
		return fmt.Errorf("jwt: NewVerifier: Space %q is invalid (1 to 32 of a-z, 0-9 and _)", o.Space)
	case o.IgnoreFirstPartyScopes && len(o.FirstPartyClients) == 0:
		return errors.New("jwt: NewVerifier: IgnoreFirstPartyScopes requires FirstPartyClients")
	}
	return nil
}

// party sets the client and the limits of another issuer's token. A missing claim never extends its
// rights: a token without scopes has no scopes, and only options make its user a first-party user.
func (v *Verifier) party(t *jose.Token, a *Access) error {
	c := t.Claims
	if a.Type != TypeAccess && !v.opts.AllowIDTokens {
		if err := refuseIDToken(c); err != nil {
			return err
		}
	}
	named, err := v.clientAndScopes(c, a)
	if err != nil {
		return err
	}
	machine := a.Client != "" && a.Client == a.Subject
	if machine { // no user (RFC 9068, section 2.2)
		a.Subject = ""
	}
	first, err := v.firstParty(c, a, named, machine)
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

// clientAndScopes sets Client and Scopes, which is never nil. named reports whether a claim
// contains scopes.
func (v *Verifier) clientAndScopes(c jose.Claims, a *Access) (named bool, err error) {
	a.Client = ""
	for _, name := range v.opts.ClientClaims {
		client, err := optionalText(c, name)
		switch {
		case err != nil:
			return false, err
		case client != "" && a.Client != "" && client != a.Client:
			return false, claimError(name, errors.New("the client differs from an earlier claim"))
		case client != "":
			a.Client = client
		}
	}
	a.Scopes = []string{}
	for _, name := range v.opts.ScopeClaims {
		if _, ok := c.Get(name); ok {
			a.Scopes, err = scopeList(c, name)
			return true, err
		}
	}
	return false, nil
}

// firstParty reports whether the user uses the token directly, so that no limits of a client apply.
func (v *Verifier) firstParty(c jose.Claims, a *Access, named, machine bool) (bool, error) {
	if v.opts.FirstParty {
		if err := v.unnamed(c, slices.Concat(clientSigns, scopeSigns), ""); err != nil {
			return false, err
		}
		if a.Client == "" {
			return !named, nil
		}
	}
	for _, name := range []string{"act", "may_act"} {
		if _, ok := c.Get(name); ok {
			return false, nil // another party acts for the user
		}
	}
	if machine || a.Client == "" || !slices.Contains(v.opts.FirstPartyClients, a.Client) {
		return false, nil
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
		if _, ok := c.Get(name); !ok || slices.Contains(v.opts.ClientClaims, name) || slices.Contains(v.opts.ScopeClaims, name) {
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
		use, _ := c.Text(name)
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

// audienceOf returns the accepted audience in the token, or "".
func (v *Verifier) audienceOf(c jose.Claims) string {
	one, ok := c.Text("aud")
	list := []string{one}
	if !ok {
		list, _ = c.Texts("aud")
	}
	for _, want := range v.audiences {
		if slices.Contains(list, want) {
			return want
		}
	}
	return ""
}
