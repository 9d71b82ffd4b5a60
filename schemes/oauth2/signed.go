package oauth2

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// accessClaims are those of RFC 9068 section 2.2; "sid" is the grant, "ver" the epoch of the
// account (RULES T1, T2).
type accessClaims struct {
	Issuer   string   `json:"iss"`
	Audience []string `json:"aud"`
	Subject  string   `json:"sub"`
	Client   string   `json:"client_id"`
	ID       string   `json:"jti"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	AuthTime int64    `json:"auth_time,omitempty"`
	Scope    string   `json:"scope"`
	Family   string   `json:"sid,omitempty"`
	Version  int64    `json:"ver,omitempty"`
	Confirm  *confirm `json:"cnf,omitempty"`
}

// signAccess makes the text of a signed access token. A token without a user has its client
// for a subject (RFC 9068 section 2.2): a user of that name can not have one.
func (s *Server) signAccess(ctx context.Context, a storage.AccessToken) (string, error) {
	c := accessClaims{
		Issuer: s.issuer, Audience: a.Resource, Subject: a.Subject, Client: a.Client, ID: a.ID, Issued: a.Created.Unix(), Expires: a.Expires.Unix(),
		Scope: strings.Join(a.Scopes, " "), Family: a.Family, Version: a.Epoch, Confirm: confirmOf(a.Confirm),
	}
	if len(c.Audience) == 0 {
		c.Audience = []string{s.opts.Audience}
	}
	if !a.AuthTime.IsZero() {
		c.AuthTime = a.AuthTime.Unix()
	}
	switch c.Subject {
	case "":
		c.Subject = a.Client
	case a.Client:
		return "", errors.New("oauth2: an account and a client have the same ID")
	}
	return s.sign(ctx, typeAccess, c, nil)
}

// errForeign: not a token of this server's.
var errForeign = errors.New("not a token of this server")

// load returns an access token, opaque or signed, with what decides about it. It is errForeign
// for a text of another shape or issuer, ErrNotFound for what is not known or not valid; both
// are ErrNotFound.
func (s *Server) load(ctx context.Context, text string) (storage.AccessState, error) {
	if s.opts.SignedAccess && looksSigned(text) {
		return s.loadSigned(ctx, text)
	}
	switch {
	case !tokentext.HasPrefix(accessPrefix, text):
		return storage.AccessState{}, errors.Join(errForeign, storage.ErrNotFound)
	case !tokentext.Valid(accessPrefix, text):
		return storage.AccessState{}, errors.Join(errors.New("malformed"), storage.ErrNotFound)
	}
	return s.store.AccessByDigest(ctx, storage.DigestOf(text))
}

// looksSigned reports whether text has the shape of a JWS.
func looksSigned(text string) bool {
	return len(text) > 2 && text[0] == 'e' && strings.Count(text, ".") == 2
}

func (s *Server) loadSigned(ctx context.Context, text string) (storage.AccessState, error) {
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
	if iss, ok := t.Claims.Text("iss"); !ok || iss != s.issuer { // selects the server, no more: the checks ask again
		return none, errors.Join(errForeign, storage.ErrNotFound)
	}
	if err := t.Verify(ctx, s.opts.SigningKeys, typeAccess); err != nil {
		return none, not(err)
	}
	a, err := s.readSigned(t.Claims)
	if err != nil {
		return none, not(err)
	}
	issuer := s.issuer
	u, st, err := s.store.SignedAccess(ctx, a.Client, a.Family, a.Subject, storage.BlockKeys{
		JTI: storage.BlockKeyOf(storage.BlockJTI, issuer, a.ID), SID: storage.BlockKeyOf(storage.BlockSID, "", a.Family),
		Subject: storage.BlockKeyOf(storage.BlockSubject, issuer, a.Subject),
	})
	return storage.AccessState{Access: a, User: u, Ended: st.Blocked}, err
}

// readSigned takes the claims of a verified token. Its expiry is the caller's to judge, as an
// opaque token's is.
func (s *Server) readSigned(c jose.Claims) (a storage.AccessToken, err error) {
	reg, err := s.own(c)
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
			return a, errors.Join(errors.New(name+" is no text"), jose.ErrInvalid)
		}
	}
	if scope != "" {
		a.Scopes = strings.Split(scope, " ") // this server writes one blank between two
	}
	if !allScopes(a.Scopes) {
		return a, errors.Join(errors.New("scope is no list of scopes"), jose.ErrInvalid)
	}
	a.ID, a.Subject, a.Resource, a.Created, a.Expires = reg.ID, reg.Subject, reg.Audience, reg.IssuedAt, reg.Expires
	if a.Family == "" {
		a.Subject = ""
	}
	if raw, ok := c.Get("ver"); ok && (c.Decode("ver", &a.Epoch) != nil || string(raw) == "null") {
		return a, errors.Join(errors.New("ver is no integer"), jose.ErrInvalid)
	}
	if _, ok := c.Get("auth_time"); ok {
		if a.AuthTime, err = c.Time("auth_time"); err != nil {
			return a, err
		}
	}
	if _, ok := c.Get("cnf"); ok {
		var bound confirm
		if c.Decode("cnf", &bound) != nil || bound.Thumbprint == "" {
			return a, errors.Join(errors.New("cnf is none that is known"), jose.ErrInvalid)
		}
		a.Confirm = bound.Thumbprint
	}
	return a, nil
}

func allScopes(list []string) bool {
	return !slices.ContainsFunc(list, func(name string) bool { return !isScope(name) })
}

// own returns the registered claims of a token of this server, for whichever audience, expired
// or not.
func (s *Server) own(c jose.Claims) (jose.Registered, error) {
	reg, err := c.Registered()
	if err != nil {
		return reg, err
	}
	if len(reg.Audience) == 0 {
		return reg, errors.Join(errors.New("no audience"), jose.ErrInvalid)
	}
	check := jose.Checks{Issuer: s.issuer, Audience: reg.Audience[0], Leeway: leeway, Clock: s.opts.Clock, IgnoreExpiry: true}
	return check.Check(c)
}

// leeway is how far the clocks of the servers that share an issuer may differ.
const leeway = time.Minute
