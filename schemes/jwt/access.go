package jwt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// Access is a verified token. Identities of this package have it as their Credential. It is
// read-only, because requests with the same token can share it.
type Access struct {
	// ID is the claim "jti" (or VerifierOptions.IDClaim), or "" if the token has none. Family is
	// the claim "sid".
	ID, Family string
	// Issuer is the issuer of the identity: "iss", or VerifierOptions.SameIssuer.
	Issuer  string
	Subject string
	// Client is the OAuth 2.0 client that uses the token, or "".
	Client string
	// Actors are the clients of the claim "act" that act for the user (RFC 8693), the outermost one
	// first; one that the issuer does not name is "".
	Actors   []string
	Audience []string
	// Scopes limit the token. nil means no limit (see [VerifierOptions]).
	Scopes []string
	Roles  []string
	// Version is the claim "ver": the subject's epoch at the login.
	Version  int64
	Issued   time.Time
	Expires  time.Time
	AuthTime time.Time
	// ACR and AMR are the claims "acr" and "amr" about the login, if the verifier uses them.
	ACR string
	AMR []string
	// RefreshUntil is the claim "refresh_exp" of a sliding token.
	RefreshUntil time.Time
	// Type is the header "typ" in lower case.
	Type string
	// Claims are all claims, including the application's own.
	Claims jose.Claims

	keys   storage.BlockKeys
	issued storage.IssuedToken // the same for the deny set of a store
}

// read returns the claims of RFC 9068 and of this package from a verified token of a [Scheme].
func (v *Verifier) read(t *jose.Token, checks jose.Checks) (*Access, error) {
	c := t.Claims
	reg, err := checks.Check(c)
	if err != nil {
		return nil, err
	}
	a := &Access{
		ID: reg.ID, Issuer: reg.Issuer, Subject: reg.Subject, Audience: reg.Audience, Issued: reg.IssuedAt, Expires: reg.Expires,
	}
	if err := v.common(t, a); err != nil {
		return nil, err
	}
	if _, ok := c.Get("roles"); ok {
		if err := c.Decode("roles", &a.Roles); err != nil {
			return nil, claimError("roles", errors.New("not a list of strings"))
		}
	}
	if err := ownParty(c, a); err != nil {
		return nil, err
	}
	a.finish(v.issuer, a.Subject, true)
	return a, nil
}

// common sets what is the same for tokens of all issuers.
func (v *Verifier) common(t *jose.Token, a *Access) (err error) {
	c := t.Claims
	a.Type, a.Claims = strings.ToLower(t.Header.Type), c
	if _, bound := c.Get("cnf"); bound {
		return claimError("cnf", errors.New("a sender-constrained token is not a bearer token"))
	}
	if a.Family, err = optionalText(c, "sid"); err != nil {
		return err
	}
	if a.AuthTime, err = optionalTime(c, "auth_time"); err != nil {
		return err
	}
	if v.own || v.opts.OwnIssuer || v.opts.LoginClaims {
		if err := loginClaims(c, a); err != nil {
			return err
		}
	}
	if a.RefreshUntil, err = optionalTime(c, "refresh_exp"); err != nil {
		return err
	}
	if raw, ok := c.Get("ver"); ok && (v.own || v.opts.OwnIssuer) {
		if err := c.Decode("ver", &a.Version); err != nil || string(raw) == "null" {
			return claimError("ver", errors.New("not an integer"))
		}
	} else if v.own {
		return claimError("ver", errors.New("missing"))
	}
	return nil
}

// loginClaims sets how the user logged in.
func loginClaims(c jose.Claims, a *Access) (err error) {
	if a.ACR, err = optionalText(c, "acr"); err != nil {
		return err
	}
	if _, ok := c.Get("amr"); ok {
		if err := c.Decode("amr", &a.AMR); err != nil {
			return claimError("amr", errors.New("not a list of strings"))
		}
	}
	return nil
}

// finish sets the keys of the blocklist. ours means that families belong to the store and not to
// an issuer.
func (a *Access) finish(issuer, subject string, ours bool) {
	a.Roles, a.Audience, a.AMR = slices.Clip(a.Roles), slices.Clip(a.Audience), slices.Clip(a.AMR) // so that append makes a copy
	sidIssuer := issuer
	if ours {
		sidIssuer = ""
	}
	a.keys = storage.BlockKeys{
		JTI:     storage.BlockKeyOf(storage.BlockJTI, issuer, a.ID),
		SID:     storage.BlockKeyOf(storage.BlockSID, sidIssuer, a.Family),
		Subject: storage.BlockKeyOf(storage.BlockSubject, issuer, subject),
	}
	a.issued = storage.IssuedToken{Subject: a.Subject, Keys: a.keys, Lifetime: a.Expires.Sub(a.Issued)}
}

// clone returns a copy that shares no list with a. Claims cannot be modified.
func (a *Access) clone() *Access {
	c := *a
	c.Audience, c.Scopes, c.Roles, c.AMR = slices.Clone(a.Audience), slices.Clone(a.Scopes), slices.Clone(a.Roles), slices.Clone(a.AMR)
	c.Actors = slices.Clone(a.Actors)
	return &c
}

// CloneCredential returns a copy of a that shares no list with it. Package authn calls it, so that
// an application cannot modify values that requests share.
func (a *Access) CloneCredential() any { return a.clone() }

func claimError(name string, why error) error {
	return fmt.Errorf("%w: claim %s: %w", jose.ErrInvalid, name, why)
}

func optionalText(c jose.Claims, name string) (string, error) {
	if _, ok := c.Get(name); !ok {
		return "", nil
	}
	s, ok := c.Text(name)
	if !ok || storage.CheckID(name, s) != nil {
		return "", claimError(name, errors.New("not an identifier"))
	}
	return s, nil
}

func optionalTime(c jose.Claims, name string) (time.Time, error) {
	if _, ok := c.Get(name); !ok {
		return time.Time{}, nil
	}
	t, err := c.Time(name)
	if err != nil {
		return time.Time{}, err
	}
	return t, nil
}

// ownParty sets the scopes of this application's own token. If it has none, it has the user's full
// rights. A password login has no client, so a token with a client belongs to another scheme that
// signs with the same keys. Only that scheme can check whether the client is still valid.
func ownParty(c jose.Claims, a *Access) (err error) {
	for _, name := range []string{"client_id", "act"} {
		if _, ok := c.Get(name); ok {
			return claimError(name, errors.New("the token belongs to another scheme"))
		}
	}
	if _, ok := c.Get("scope"); ok {
		if _, ok := c.Text("scope"); !ok {
			return claimError("scope", errors.New("not a string"))
		}
		a.Scopes, err = scopeList(c, "scope")
	}
	return err
}
