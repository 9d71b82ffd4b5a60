package jwt

import (
	"context"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// known is a token and its identity.
type known struct {
	identity authn.Identity
	access   *Access     // can be shared by requests
	own      *Access     // for this request
	lease    authn.Lease // lease of the account; nil: valid for this request only
}

// maxKept is the largest size in bytes of the claims of a token whose identity is kept.
const maxKept = 2 << 10

// identify is Authenticate for the text of a token.
func (v *Verifier) identify(ctx context.Context, text string) (authn.Identity, error) {
	a, generation, err := v.access(ctx, text)
	if err != nil {
		return authn.Identity{}, err
	}
	k := &known{access: a, own: a}
	if v.cache != nil { // later requests get the lists of a from the cache
		k.own = a.clone()
	}
	k.identity = authn.Identity{
		Subject: a.Subject, Client: a.Client, Scheme: v.opts.Name, Scopes: k.own.Scopes,
		Credential: k.own, Expires: a.Expires,
	}
	k.identity.SetActors(a.Actors)
	v.login(&k.identity, k.own)
	k.identity.SetStore(v.accounts)
	if !v.own && !v.opts.OwnIssuer {
		k.identity.Issuer = a.Issuer
	}
	if err := v.standing(ctx, k); err != nil {
		return authn.Identity{}, err
	}
	if v.cache == nil || a.Claims.Size() > maxKept {
		return k.identity, nil
	}
	// Claims are not copied. The verified token is kept together with them.
	keep := authn.Keep{Lease: k.lease, Clock: v.clock, Size: 600 + a.Claims.Size()}
	keep.Check = func(*http.Request) error {
		if v.generic() != generation {
			return authn.ErrAskAgain
		}
		return nil
	}
	return k.identity.Kept(v.self, keep), nil
}

// login sets how and when the user of a token logged in, as far as this application believes the issuer.
func (v *Verifier) login(id *authn.Identity, a *Access) {
	if v.own || v.opts.OwnIssuer {
		id.AuthTime, id.ACR, id.AMR = a.AuthTime, a.ACR, a.AMR
		return
	}
	if v.opts.LoginClaims {
		id.AuthTime, id.AMR = a.AuthTime, a.AMR
		id.ACR = v.opts.ACR[a.ACR]
	}
}

// always is the lease of a token that needs no store.
type always struct{}

func (always) Valid(context.Context) bool { return true }
