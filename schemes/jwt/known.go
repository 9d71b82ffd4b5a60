package jwt

import (
	"context"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

// known is whom a token belongs to.
type known struct {
	identity   authn.Identity
	access     *Access
	account    storage.Loaded
	lease      storage.Lease
	generation uint64 // of the keys, when it was verified
}

// sighting is a text and the keys at that time.
type sighting struct {
	digest     storage.Digest
	generation uint64
}

func (v *Verifier) sight(text string) (s sighting) {
	if v.generic != nil {
		s.generation = v.generic()
	}
	if v.cache != nil {
		s.digest = storage.DigestOf(text)
	}
	return s
}

// remembered returns whom a text that was accepted before belongs to, if that holds.
func (v *Verifier) remembered(ctx context.Context, s *sighting) *known {
	k, now := v.recall.GetNow(ctx, &s.digest, v.clock)
	if k != nil && k.generation == s.generation && now.Before(k.access.Expires.Add(v.opts.Leeway)) {
		return k
	}
	return nil
}

// identify is authenticate for the text of a token that is not remembered.
func (v *Verifier) identify(ctx context.Context, text string, s sighting) (*authn.Identity, error) {
	a, err := v.access(ctx, text, s)
	if err != nil {
		return nil, err
	}
	k := &known{access: a, generation: s.generation}
	k.identity = authn.Identity{
		Subject: a.Subject, Client: a.Client, Scheme: v.opts.Name, Scopes: a.Scopes,
		Credential: a, AuthTime: a.AuthTime, Expires: a.Expires,
	}
	if !v.own && !v.opts.OwnIssuer {
		k.identity.Issuer = v.issuer
	}
	if err := v.standing(ctx, k); err != nil {
		return nil, err
	}
	if v.cache == nil || k.lease == nil || a.Claims.Size() > maxShared {
		k.identity.Credential = a.clone()
		return &k.identity, nil
	}
	account := k.identity.User
	if u, ok := account.(*storage.User); ok {
		account = u.CloneUser().(*storage.User)
	}
	k.identity = k.identity.ForHandlers(account, a.clone())
	v.recall.Put(&s.digest, k.lease, k)
	return &k.identity, nil
}

// always is the lease of what the token says by itself.
type always struct{}

func (always) Holds(context.Context) bool { return true }
func (always) Of(any) bool                { return true }
