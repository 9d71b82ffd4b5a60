package oauth2

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// errForeign means that the text is not a token of this issuer.
var errForeign = errors.New("not a token of this server")

// Lookup returns the state of an access token, opaque or signed, active or not; see
// [Scheme.Inactive]. It returns storage.ErrNotFound if the token is unknown or is not a valid token
// of this issuer. Any other error is a server error.
func (s *Scheme) Lookup(ctx context.Context, text string) (storage.AccessState, error) {
	if s.opts.SignedAccess != nil && looksSigned(text) {
		return s.lookupSigned(ctx, text)
	}
	switch {
	case !accessFormat.HasPrefix(text):
		return storage.AccessState{}, errors.Join(errForeign, storage.ErrNotFound)
	case !accessFormat.Valid(text):
		return storage.AccessState{}, errors.Join(errors.New("malformed"), storage.ErrNotFound)
	}
	st, err := s.store.AccessByDigest(ctx, storage.DigestOf(text))
	if err == nil && !s.issued(st.Access.ID) {
		return storage.AccessState{}, errors.Join(errors.New("of another issuer over the same store"), storage.ErrNotFound)
	}
	return st, err
}

const (
	markSize   = 12 // of base64url
	randomSize = 22
)

// markOf distinguishes an issuer's access tokens from others' in one store.
func markOf(issuer string) string {
	key := storage.BlockKeyOf("access", issuer, "oauth2")
	return base64.RawURLEncoding.EncodeToString(key[:markSize*6/8])
}

// TokenID returns an ID for an access token. The ID names this issuer and contains the argument
// random: 128 random bits in base64url.
func (s *Scheme) TokenID(random string) string { return s.mark + "." + random }

// issued reports whether an ID is one of this issuer. One that names no issuer is of an earlier
// version, or imported, and counts as one of this issuer.
func (s *Scheme) issued(id string) bool {
	return len(id) != markSize+1+randomSize || id[markSize] != '.' || id[:markSize] == s.mark
}

// looksSigned reports whether text looks like a JWS.
func looksSigned(text string) bool {
	return len(text) > 2 && text[0] == 'e' && strings.Count(text, ".") == 2
}

func (s *Scheme) lookupSigned(ctx context.Context, text string) (storage.AccessState, error) {
	none := storage.AccessState{}
	not := func(err error) error {
		if errors.Is(err, jose.ErrInvalid) {
			return errors.Join(err, storage.ErrNotFound)
		}
		return err
	}
	t, err := jose.Decode(text)
	if err != nil {
		return none, not(err)
	}
	if iss, ok := t.Claims.Text("iss"); !ok || iss != s.issuer { // not verified yet; OwnClaims checks it again
		return none, errors.Join(errForeign, storage.ErrNotFound)
	}
	if err := t.Verify(ctx, s.opts.SignedAccess, TypeAccess); err != nil {
		return none, not(err)
	}
	a, err := s.readSigned(t.Claims)
	if err != nil {
		return none, not(err)
	}
	issuer := s.issuer
	issued := storage.IssuedToken{Subject: a.Subject, Client: a.Client, Lifetime: a.Expires.Sub(a.Created), Keys: storage.BlockKeys{
		JTI: storage.BlockKeyOf(storage.BlockJTI, issuer, a.ID), SID: storage.BlockKeyOf(storage.BlockSID, "", a.Family),
		Subject: storage.BlockKeyOf(storage.BlockSubject, issuer, a.Subject),
	}}
	if s.recent != nil {
		if _, most := s.recent.TokenLifetime(); issued.Lifetime > most { // the store may have forgotten its revocation
			return none, errors.Join(errors.New("the token lives longer than any that this application issues"), storage.ErrNotFound)
		}
		if u, known, err := s.recent.UnchangedUser(ctx, &issued); known {
			if a.Subject == "" {
				a.Epoch = 0
			}
			return storage.AccessState{Access: a, User: u}, err
		}
	}
	u, st, err := s.store.SignedAccessStatus(ctx, a.Client, a.Family, a.Subject, issued.Keys)
	if a.Subject == "" { // "ver" is the client's epoch; see server.signAccess
		st.Blocked = st.Blocked || a.Epoch != st.Epoch
		a.Epoch = 0
	}
	return storage.AccessState{Access: a, User: u, Ended: st.Blocked}, err
}

// readSigned reads the claims of a verified token, expired or not.
func (s *Scheme) readSigned(c jose.Claims) (a storage.AccessToken, err error) {
	reg, err := OwnClaims(c, s.issuer, s.opts.Clock)
	if err != nil {
		return a, err
	}
	var scope string
	for name, to := range map[string]*string{"client_id": &a.Client, "sid": &a.Family, "scope": &scope} {
		if _, there := c.Get(name); !there {
			continue
		}
		var ok bool
		if *to, ok = c.Text(name); !ok {
			return a, errors.Join(errors.New(name+" is not a string"), jose.ErrInvalid)
		}
	}
	if scope != "" {
		a.Scopes = strings.Split(scope, " ") // the server separates scopes by one space
	}
	if slices.ContainsFunc(a.Scopes, func(name string) bool { return !syntax.IsScope(name) }) {
		return a, errors.Join(errors.New("scope is not a list of scopes"), jose.ErrInvalid)
	}
	a.ID, a.Subject, a.Resource, a.Created, a.Expires = reg.ID, reg.Subject, reg.Audience, reg.IssuedAt, reg.Expires
	if a.Family == "" {
		a.Subject = ""
	}
	if raw, ok := c.Get("ver"); ok && (c.Decode("ver", &a.Epoch) != nil || string(raw) == "null") {
		return a, errors.Join(errors.New("ver is not an integer"), jose.ErrInvalid)
	}
	if _, ok := c.Get("auth_time"); ok {
		if a.AuthTime, err = c.Time("auth_time"); err != nil {
			return a, err
		}
	}
	if raw, ok := c.Get("act"); ok {
		if a.Actors = actors.Read(raw); len(a.Actors) > storage.MaxActors || slices.Contains(a.Actors, "") || a.Actors[0] != a.Client || a.Subject == "" {
			return a, errors.Join(errors.New("act is not a chain of clients that begins with the token's client"), jose.ErrInvalid)
		}
	}
	if _, ok := c.Get("acr"); ok {
		if a.ACR, ok = c.Text("acr"); !ok {
			return a, errors.Join(errors.New("acr is not a string"), jose.ErrInvalid)
		}
	}
	if _, ok := c.Get("amr"); ok && c.Decode("amr", &a.AMR) != nil {
		return a, errors.Join(errors.New("amr is not a list of strings"), jose.ErrInvalid)
	}
	if _, ok := c.Get("cnf"); ok {
		var bound Confirmation
		if c.Decode("cnf", &bound) != nil || bound.Thumbprint == "" {
			return a, errors.Join(errors.New("cnf has no jkt"), jose.ErrInvalid)
		}
		a.Confirm = bound.Thumbprint
	}
	return a, nil
}

// Confirmation is the claim "cnf" of a sender-constrained token (RFC 9449, section 6).
type Confirmation struct {
	Thumbprint string `json:"jkt"`
}

// ConfirmationOf returns the claim for the thumbprint of a key. It returns nil if key is "".
func ConfirmationOf(key string) *Confirmation {
	if key == "" {
		return nil
	}
	return &Confirmation{key}
}

// Leeway is the allowed difference between the clocks of servers that share an issuer.
const Leeway = time.Minute

// OwnClaims returns the registered claims of a verified token of issuer, for any audience, expired
// or not. The error wraps jose.ErrInvalid.
func OwnClaims(c jose.Claims, issuer string, clock func() time.Time) (jose.Registered, error) {
	reg, err := c.Registered()
	if err != nil {
		return reg, err
	}
	if len(reg.Audience) == 0 {
		return reg, errors.Join(errors.New("no audience"), jose.ErrInvalid)
	}
	return jose.Checks{Issuer: issuer, Audience: reg.Audience[0], Leeway: Leeway, Clock: clock, IgnoreExpiry: true}.Check(c)
}
