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

// Access is a verified token: Identity.Credential of this package. Requests with the same
// token may share it, so read it only.
type Access struct {
	// ID is "jti" (or VerifierOptions.IDClaim; "" if the token has none), Family "sid".
	ID, Family string
	Issuer     string
	Subject    string
	// Client is the client that acts, or "".
	Client   string
	Audience []string
	// Scopes limit the token; nil: not limited (see VerifierOptions).
	Scopes []string
	Roles  []string
	// Version is "ver": the subject's epoch at the login.
	Version  int64
	Issued   time.Time
	Expires  time.Time
	AuthTime time.Time
	// RefreshUntil is "refresh_exp" of a sliding token.
	RefreshUntil time.Time
	// Type is "typ".
	Type string
	// Claims are all of them, for the application's own.
	Claims jose.Claims

	keys storage.BlockKeys
}

// read takes the claims of RFC 9068 and of this package from a verified token.
func (v *Verifier) read(t *jose.Token, reg jose.Registered) (*Access, error) {
	c := t.Claims
	if _, bound := c.Get("cnf"); bound {
		return nil, claimError("cnf", errors.New("a bound token is no bearer token"))
	}
	a := &Access{
		ID: reg.ID, Issuer: reg.Issuer, Subject: reg.Subject, Audience: reg.Audience,
		Issued: reg.IssuedAt, Expires: reg.Expires, Type: strings.ToLower(t.Header.Type), Claims: c,
	}
	var err error
	if claim := v.opts.IDClaim; claim != "" {
		if a.ID, err = optionalText(c, claim); err == nil && a.ID == "" && !v.opts.NoID {
			err = claimError(claim, errors.New("missing"))
		}
		if err != nil {
			return nil, err
		}
	}
	if a.Family, err = optionalText(c, "sid"); err != nil {
		return nil, err
	}
	if a.AuthTime, err = optionalTime(c, "auth_time"); err != nil {
		return nil, err
	}
	if a.RefreshUntil, err = optionalTime(c, "refresh_exp"); err != nil {
		return nil, err
	}
	if raw, ok := c.Get("ver"); ok && v.own {
		if err := c.Decode("ver", &a.Version); err != nil || string(raw) == "null" {
			return nil, claimError("ver", errors.New("no integer"))
		}
	} else if v.own {
		return nil, claimError("ver", errors.New("missing"))
	}
	if _, ok := c.Get(v.opts.Roles); ok && v.opts.Roles != "" {
		if err := c.Decode(v.opts.Roles, &a.Roles); err != nil {
			return nil, claimError(v.opts.Roles, errors.New("no list of strings"))
		}
	}
	if v.own {
		err = ownParty(c, a)
	} else {
		err = v.party(t, a)
	}
	if err != nil {
		return nil, err
	}
	a.Roles, a.Audience = slices.Clip(a.Roles), slices.Clip(a.Audience) // who appends makes a copy
	issuer := v.issuer
	sidIssuer := issuer
	if v.own {
		sidIssuer = "" // families are the store's own
	}
	a.keys = storage.BlockKeys{
		JTI:     storage.BlockKeyOf(storage.BlockJTI, issuer, a.ID),
		SID:     storage.BlockKeyOf(storage.BlockSID, sidIssuer, a.Family),
		Subject: storage.BlockKeyOf(storage.BlockSubject, issuer, reg.Subject),
	}
	return a, nil
}

// clone returns a copy that shares no list with a; Claims gives nobody a way to change it.
func (a *Access) clone() *Access {
	c := *a
	c.Audience, c.Scopes, c.Roles = slices.Clone(a.Audience), slices.Clone(a.Scopes), slices.Clone(a.Roles)
	return &c
}

// CloneCredential returns a copy of a that shares no list with it. Package authn calls it
// so that code of an application does not modify what requests share.
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
		return "", claimError(name, errors.New("no identifier"))
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

// ownParty reads the scopes of this application's own token, whose absence says that it has the user's
// full rights. A login with a password has no client: a token that names one is of another scheme that
// signs with the same keys, and only that scheme knows whether the client is still good.
func ownParty(c jose.Claims, a *Access) (err error) {
	if _, ok := c.Get("client_id"); ok {
		return claimError("client_id", errors.New("a token of another scheme"))
	}
	if _, ok := c.Get("scope"); ok {
		if _, ok := c.Text("scope"); !ok {
			return claimError("scope", errors.New("no string"))
		}
		a.Scopes, err = scopeList(c, "scope")
	}
	return err
}
