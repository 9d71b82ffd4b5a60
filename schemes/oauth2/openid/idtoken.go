package openid

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// idClaims are the claims of OpenID Connect Core, section 2, and "sid" for logout.
type idClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	AuthTime int64  `json:"auth_time"`
	// ACR and AMR describe the login (section 2, RFC 8176).
	ACR     string   `json:"acr,omitempty"`
	AMR     []string `json:"amr,omitempty"`
	Nonce   string   `json:"nonce,omitempty"`
	Access  string   `json:"at_hash,omitempty"`
	Session string   `json:"sid,omitempty"`
}

// ownClaims are the claims that Options.Claims cannot set.
var ownClaims = []string{"iss", "sub", "aud", "jti", "iat", "exp", "nbf", "auth_time", "nonce", "at_hash", "c_hash", "sid", "azp", "acr", "amr", "cnf", "scope", "client_id", "events"}

// Requested implements [server.IDTokens].
func (p *Provider) Requested(scopes []string) bool { return slices.Contains(scopes, scopeOpenID) }

// IDToken implements [server.IDTokens].
func (p *Provider) IDToken(ctx context.Context, g server.Grant) (string, error) {
	id, err := p.server.NewID()
	if err != nil {
		return "", err
	}
	now := p.server.Now()
	c := idClaims{
		Issuer: p.scheme.Issuer(), Subject: g.Family.Subject, Audience: g.Family.Client, ID: id, Issued: now.Unix(), Expires: now.Add(p.opts.TTL).Unix(),
		AuthTime: g.Family.AuthTime.Unix(), ACR: g.Family.ACR, AMR: g.Family.AMR, Nonce: g.Nonce, Session: g.Session,
	}
	if algs, err := p.server.SigningAlgorithms(ctx); err != nil {
		return "", err
	} else if len(algs) == 1 { // with several it is unknown which one signs
		c.Access = halfHash(algs[0], g.Access)
	}
	return p.server.Sign(ctx, typeID, c, g.Claims)
}

// halfHash returns "at_hash": the left half of the digest that the algorithm uses (OpenID Connect
// Core, section 3.1.3.6). For EdDSA, clients use SHA-512.
func halfHash(alg, access string) string {
	var h hash.Hash
	switch {
	case alg == string(jose.EdDSA), strings.HasSuffix(alg, "512"):
		h = sha512.New()
	case strings.HasSuffix(alg, "384"):
		h = sha512.New384()
	default:
		h = sha256.New()
	}
	h.Write([]byte(access))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Claims implements [server.IDTokens]. It returns the claims about a user that these scopes allow
// and that ID tokens contain.
func (p *Provider) Claims(ctx context.Context, u storage.User, scopes []string) (map[string]any, error) {
	if len(p.opts.IDTokenClaims) == 0 {
		return nil, nil
	}
	all, err := p.userClaims(ctx, u, scopes)
	maps.DeleteFunc(all, func(name string, _ any) bool { return !slices.Contains(p.opts.IDTokenClaims, name) })
	return all, err
}

// userClaims returns the claims about a user that these scopes allow.
func (p *Provider) userClaims(ctx context.Context, u storage.User, scopes []string) (map[string]any, error) {
	if p.opts.Claims == nil {
		more := map[string]any{}
		if slices.Contains(scopes, "profile") {
			more["preferred_username"] = u.Name
		}
		if slices.Contains(scopes, "email") && u.Email != "" {
			more["email"] = u.Email
			more["email_verified"] = false // the store does not verify addresses, and clients link accounts by verified ones
		}
		return more, nil
	}
	given, err := audit.Call("openid.Options.Claims", func() (map[string]any, error) { return p.opts.Claims(ctx, u.Clone(), slices.Clone(scopes)) })
	if err != nil {
		return nil, err
	}
	more := make(map[string]any, len(given))
	for name, value := range given {
		if !slices.ContainsFunc(ownClaims, func(own string) bool { return strings.EqualFold(own, name) }) {
			more[name] = value
		}
	}
	return more, nil
}

// ReadHint implements [server.IDTokens]. It accepts ID tokens of this server, expired or not.
func (p *Provider) ReadHint(ctx context.Context, text string) (server.Hint, error) {
	text, err := p.server.OpenHint(text)
	if err != nil {
		return server.Hint{}, err
	}
	t, err := jose.Verify(ctx, text, p.server.Options().SigningKeys, typeID)
	switch {
	case errors.Is(err, jose.ErrInvalid):
		return server.Hint{}, errHint.WithCause(err)
	case err != nil:
		return server.Hint{}, err
	}
	reg, err := oauth2.OwnClaims(t.Claims, p.scheme.Issuer(), p.scheme.Options().Clock)
	if err != nil || len(reg.Audience) != 1 {
		return server.Hint{}, errHint.WithCause(cmp.Or(err, errors.New("no single audience")))
	}
	session, _ := t.Claims.Text("sid")
	return server.Hint{Client: reg.Audience[0], Subject: reg.Subject, Session: session, Issued: reg.IssuedAt}, nil
}

var errHint = oauth2.NewError("invalid_request", "The id_token_hint is not an ID token of this server.")
