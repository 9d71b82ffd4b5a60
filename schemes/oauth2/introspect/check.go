package introspect

import (
	"errors"
	"slices"
	"strings"
)

// unfit is why an active token is not valid here.
type unfit struct{ code, text string }

func (u *unfit) Error() string { return u.text }

// check returns why an active token is not valid here, or nil. It runs at each request, also
// for cached responses.
func (i *Scheme) check(t *Token) error {
	now := i.opts.Clock()
	switch {
	case t == nil:
		return errors.New("not active")
	case t.Issuer != "" && t.Issuer != i.issuer:
		return &unfit{"issuer", "of another issuer"}
	case t.Bound:
		return &unfit{"bound", "a bound token is no bearer token"}
	case t.Type == "" && !i.opts.InsecureNoType:
		return &unfit{"type", "token_type missing"}
	case t.Type != "" && !strings.EqualFold(t.Type, "Bearer"):
		return &unfit{"type", "token_type is not Bearer"}
	case t.Use != "" && t.Use != "access_token":
		return &unfit{"type", "token_use is not access_token"}
	case t.Audience == nil && !i.opts.InsecureNoAudience:
		return &unfit{"audience", "aud missing"}
	case t.Audience != nil && !slices.Contains(t.Audience, i.audience):
		return &unfit{"audience", "for another audience"}
	case !t.Expires.IsZero() && !now.Before(t.Expires.Add(i.opts.Leeway)):
		return &unfit{"expired", "expired"}
	case t.NotBefore.After(now.Add(i.opts.Leeway)):
		return &unfit{"not_before", "not valid yet"}
	case t.Subject == "" && t.Client == "":
		return &unfit{"subject", "neither sub nor client_id"}
	}
	return nil
}
