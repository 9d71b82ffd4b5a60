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

// Access is a verified token: Identity.Credential of this package. It is shared
// between requests and read-only.
type Access struct {
	// ID is "jti", Family "sid".
	ID, Family string
	Issuer     string
	Subject    string
	// Client is "client_id", or "".
	Client   string
	Audience []string
	// Scopes are those of "scope"; nil where it is absent and no client acts.
	Scopes []string
	Roles  []string
	// Version is "ver": the subject's epoch at the login (RULES T1).
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
	if a.Family, err = optionalText(c, "sid"); err != nil {
		return nil, err
	}
	if a.Client, err = optionalText(c, "client_id"); err != nil {
		return nil, err
	}
	if a.AuthTime, err = optionalTime(c, "auth_time"); err != nil {
		return nil, err
	}
	if a.RefreshUntil, err = optionalTime(c, "refresh_exp"); err != nil {
		return nil, err
	}
	if a.Scopes, err = scopes(c); err != nil {
		return nil, err
	}
	if a.Client != "" && a.Scopes == nil {
		a.Scopes = []string{}
	}
	if a.Client == a.Subject && a.Client != "" { // no user (RFC 9068 section 2.2, RULES C5)
		a.Subject = ""
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

// scopes takes "scope" apart: one blank between scope tokens of RFC 6749 section
// 3.3. An empty text allows nothing.
func scopes(c jose.Claims) ([]string, error) {
	if _, ok := c.Get("scope"); !ok {
		return nil, nil
	}
	text, ok := c.Text("scope")
	if !ok {
		return nil, claimError("scope", errors.New("no string"))
	}
	if text == "" {
		return []string{}, nil
	}
	list := strings.Split(text, " ")
	for _, s := range list {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, claimError("scope", errors.New("no list of scope tokens"))
		}
	}
	return list, nil
}
