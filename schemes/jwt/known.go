package jwt

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// known is whom a token belongs to.
type known struct {
	identity authn.Identity
	access   *Access     // shared by requests
	own      *Access     // of this request
	lease    authn.Lease // of the standing; nil: it holds for this request only
}

// maxKept is the most bytes of claims of a token whose identity is kept.
const maxKept = 2 << 10

// identify is Authenticate for the text of a token.
func (v *Verifier) identify(ctx context.Context, text string) (authn.Identity, error) {
	a, generation, err := v.access(ctx, text)
	if err != nil {
		return authn.Identity{}, err
	}
	k := &known{access: a, own: a}
	if v.cache != nil { // which has a: later requests get its lists too
		k.own = a.clone()
	}
	k.identity = authn.Identity{
		Subject: a.Subject, Client: a.Client, Scheme: v.opts.Name, Scopes: k.own.Scopes,
		Credential: k.own, AuthTime: a.AuthTime, Expires: a.Expires,
	}
	if !v.own && !v.opts.OwnIssuer {
		k.identity.Issuer = v.issuer
	}
	if err := v.standing(ctx, k); err != nil {
		return authn.Identity{}, err
	}
	if v.cache == nil || a.Claims.Size() > maxKept {
		return k.identity, nil
	}
	// Claims are not copied, and the verified token is kept beside them.
	keep := authn.Keep{Lease: k.lease, Clock: v.clock, Size: 600 + a.Claims.Size()}
	keep.Check = func(*http.Request) error {
		if v.generic() != generation {
			return authn.ErrAskAgain
		}
		return nil
	}
	return k.identity.Kept(v.self, keep), nil
}

// always is the lease of what the token says by itself.
type always struct{}

func (always) Valid(context.Context) bool { return true }
