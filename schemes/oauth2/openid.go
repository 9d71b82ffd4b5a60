package oauth2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// OpenID makes the server an OpenID Provider (OpenID Connect Core 1.0): who asks for the
// scope "openid" gets an ID token, which tells the client who the user is. It needs
// Options.SigningKeys.
type OpenID struct {
	// TTL is how long an ID token is good; 0 is an hour.
	TTL time.Duration
	// Claims are further claims of a user, for those scopes; nil gives
	// "preferred_username" for "profile" and "email" for "email". They are in the ID token
	// and in the answer of Userinfo. Names of OpenID Connect's own are reserved: they win.
	// Its error is a fault.
	Claims func(ctx context.Context, u storage.User, scopes []string) (map[string]any, error)
	// EndSession ends the session of a request: session.Scheme.LogOut. Logout needs it.
	EndSession func(http.ResponseWriter, *http.Request) error
}

// scopeOpenID is the scope that asks for an ID token.
const scopeOpenID = "openid"

// idClaims are those of OpenID Connect Core section 2, and "sid" of its logout.
type idClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	AuthTime int64  `json:"auth_time"`
	Nonce    string `json:"nonce,omitempty"`
	Access   string `json:"at_hash,omitempty"`
	Session  string `json:"sid,omitempty"`
}

// ownClaims are those that OpenID.Claims can not set.
var ownClaims = []string{"iss", "sub", "aud", "jti", "iat", "exp", "nbf", "auth_time", "nonce", "at_hash", "c_hash", "sid", "azp", "acr", "amr", "cnf", "scope", "client_id", "events"}

// login is what a family remembers of the login that it came of, in its Data.
type login struct {
	Session string `json:"session,omitempty"`
}

func (l login) data() []byte {
	if l.Session == "" {
		return nil
	}
	text, _ := json.Marshal(l) // a text
	return text
}

// loginOf reads a family's data; what is not there is "".
func loginOf(f storage.Family) (l login) {
	_ = json.Unmarshal(f.Data, &l)
	return l
}

// identifies reports whether a grant comes with ID tokens.
func (s *Server) identifies(f storage.Family) bool {
	return s.opts.OpenID != nil && slices.Contains(f.Scopes, scopeOpenID)
}

// idToken makes the ID token of a family beside an access token, or "" where none was asked
// for. nonce is that of the authorization request.
func (s *Server) idToken(ctx context.Context, f storage.Family, u storage.User, nonce, access string) (string, error) {
	if !s.identifies(f) {
		return "", nil
	}
	id, err := s.id()
	if err != nil {
		return "", err
	}
	more, err := s.claimsOf(ctx, u, f.Scopes)
	if err != nil {
		return "", err
	}
	now := s.now()
	c := idClaims{
		Issuer: s.issuer, Subject: f.Subject, Audience: f.Client, ID: id, Issued: now.Unix(), Expires: now.Add(s.opts.OpenID.TTL).Unix(),
		AuthTime: f.AuthTime.Unix(), Nonce: nonce, Session: loginOf(f).Session,
	}
	if algs, err := s.algorithms(ctx); err != nil {
		return "", err
	} else if len(algs) == 1 { // with several it is not known which one signs
		c.Access = halfHash(algs[0], access)
	}
	return s.sign(ctx, typeID, c, more)
}

// halfHash is "at_hash": the left half of the digest that the algorithm signs (OpenID Connect
// Core section 3.1.3.6). EdDSA's is SHA-512, as clients agree on.
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

// claimsOf are the claims about a user that scopes open.
func (s *Server) claimsOf(ctx context.Context, u storage.User, scopes []string) (map[string]any, error) {
	if s.opts.OpenID.Claims == nil {
		more := map[string]any{}
		if slices.Contains(scopes, "profile") {
			more["preferred_username"] = u.Name
		}
		if slices.Contains(scopes, "email") && u.Email != "" {
			more["email"] = u.Email
		}
		return more, nil
	}
	given, err := audit.Call("oauth2.OpenID.Claims", func() (map[string]any, error) { return s.opts.OpenID.Claims(ctx, u.Clone(), slices.Clone(scopes)) })
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

// hint is what an ID token tells that somebody brings back (OpenID Connect Core section
// 3.1.2.1, RP-Initiated Logout section 2).
type hint struct{ client, subject, session string }

// hinted reads an ID token of this server, expired or not. Its refusal says nothing more.
func (s *Server) hinted(ctx context.Context, text string) (hint, error) {
	bad := errHint
	if s.opts.OpenID == nil {
		return hint{}, bad
	}
	if strings.HasPrefix(text, sealedPrefix) {
		opened, err := s.openHint(text)
		if err != nil {
			return hint{}, bad.with(err)
		}
		text = opened
	}
	t, err := jose.Verify(ctx, text, s.opts.SigningKeys, typeID)
	switch {
	case errors.Is(err, jose.ErrInvalid):
		return hint{}, bad.with(err)
	case err != nil:
		return hint{}, err
	}
	reg, err := s.own(t.Claims)
	if err != nil || len(reg.Audience) != 1 {
		return hint{}, bad.with(cmp.Or(err, errors.New("no single audience")))
	}
	session, _ := t.Claims.Text("sid")
	return hint{reg.Audience[0], reg.Subject, session}, nil
}
