package introspect

import (
	"errors"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/credential"
)

// mismatch is why an active token is not valid for this API.
type mismatch struct{ code, text string }

func (u *mismatch) Error() string { return u.text }

// check returns why an active token is not valid for this API, or nil. It runs at each request,
// also for cached responses.
func (i *Scheme) check(t *Token) error {
	now := i.opts.Clock()
	switch {
	case t == nil:
		return errors.New("not active")
	case t.Issuer != "" && t.Issuer != i.issuer:
		return &mismatch{"issuer", "of another issuer"}
	case t.Bound:
		return &mismatch{"bound", "sender-constrained token"}
	case t.Type == "" && !i.opts.InsecureNoType:
		return &mismatch{"type", "token_type missing"}
	case t.Type != "" && !strings.EqualFold(t.Type, "Bearer"):
		return &mismatch{"type", "token_type is not Bearer"}
	case t.Use != "" && t.Use != "access_token":
		return &mismatch{"type", "token_use is not access_token"}
	case t.Audience == nil && !i.opts.InsecureNoAudience:
		return &mismatch{"audience", "aud missing"}
	case t.Audience != nil && !slices.Contains(t.Audience, i.audience):
		return &mismatch{"audience", "for another audience"}
	case !t.Expires.IsZero() && !now.Before(t.Expires.Add(i.opts.Leeway)):
		return &mismatch{"expired", "expired"}
	case t.NotBefore.After(now.Add(i.opts.Leeway)):
		return &mismatch{"not_before", "not valid yet"}
	case t.Subject == "" && t.Client == "":
		return &mismatch{"subject", "neither sub nor client_id"}
	}
	return nil
}

// accepts reports whether text may be a token of the issuer.
func (i *Scheme) accepts(text string) bool {
	if p := i.opts.Prefix; p != "" {
		return len(text) > len(p) && strings.HasPrefix(text, p)
	}
	signed := text[0] == 'e' && strings.Count(text, ".") >= 2 // a JWS or a JWE
	own := credential.HasShippedPrefix(text) || credential.IsToken(text) ||
		slices.ContainsFunc(i.opts.OwnPrefixes, func(p string) bool { return strings.HasPrefix(text, p) })
	return !signed && !own
}
