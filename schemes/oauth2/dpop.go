package oauth2

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
)

// DPoP binds tokens to keys of the clients (RFC 9449): a stolen token is worth nothing
// without its key. Whoever sends a proof with a token request gets tokens of the type "DPoP";
// others get bearer tokens as before.
type DPoP struct {
	// Required refuses token requests without a proof.
	Required bool
	// Origin is scheme and host of this application's API as clients see it, such as
	// "https://api.example"; "" is that of Options.Audience, or the issuer's where there is
	// none. It is configured, never taken from a request.
	Origin string
	// Nonces, where not nil, makes nonces (RFC 9449 section 8), and then a proof is good for
	// no longer than 5 minutes after this server gave the one that it holds, whatever was
	// signed ahead. Replicas have the same ring.
	Nonces *keys.Ring
}

const (
	// nonceStep is how long a nonce is the newest one, nonceSteps how many older ones are taken.
	nonceStep  = time.Minute
	nonceSteps = 4
	nonceMAC   = 16
)

// check completes the options.
func (d *DPoP) check(issuer, audience string, e Endpoints) (*DPoP, error) {
	c := *d
	from := c.Origin
	if from == "" {
		from = audience
	}
	if from == "" {
		from = issuer
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && (isLoopback(u.Hostname()) || isInsecure(issuer))) ||
		c.Origin != "" && c.Origin != u.Scheme+"://"+u.Host {
		return nil, errors.New("oauth2: DPoP needs an Origin, https://host, where the audience does not begin with one")
	}
	c.Origin = u.Scheme + "://" + u.Host
	if e.Token == "-" {
		return nil, errors.New("oauth2: DPoP needs to know where the token endpoint is")
	}
	return &c, nil
}

// isInsecure reports whether an issuer was accepted by Options.InsecureHTTP.
func isInsecure(issuer string) bool { return checkIssuer(issuer, false) != nil }

// nonce returns the newest nonce: its minute, and a MAC of that and the issuer.
func (s *Server) nonce() string {
	_, k := s.opts.DPoP.Nonces.Newest(keys.DPoPNonce)
	return base64.RawURLEncoding.EncodeToString(s.nonceAt(k, s.now().Unix()/int64(nonceStep/time.Second)))
}

func (s *Server) nonceAt(k keys.Key, minute int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(minute))
	m := hmac.New(sha256.New, k[:])
	m.Write(b)
	m.Write([]byte(s.issuer))
	return append(b, m.Sum(nil)[:nonceMAC]...)
}

// fresh reports whether a nonce is one of the last minutes.
func (s *Server) fresh(nonce string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(raw) != 8+nonceMAC {
		return false
	}
	minute := int64(binary.BigEndian.Uint64(raw))
	age := s.now().Unix()/int64(nonceStep/time.Second) - minute
	if age < -1 || age > nonceSteps { // a replica's clock may be ahead
		return false
	}
	ring := s.opts.DPoP.Nonces
	for _, id := range ring.IDs() {
		if k, ok := ring.ByID(keys.DPoPNonce, id); ok && hmac.Equal(s.nonceAt(k, minute), raw) {
			return true
		}
	}
	return false
}

// giveNonce puts the newest nonce on an answer (RFC 9449 section 8.2).
func (s *Server) giveNonce(h http.Header) {
	if s.opts.DPoP != nil && s.opts.DPoP.Nonces != nil {
		h.Set("DPoP-Nonce", s.nonce())
	}
}

// claimed returns the proof of a client's request at an endpoint, as proof does.
func (s *Server) claimed(r *http.Request, endpoint string) (proof, error) {
	if s.opts.DPoP == nil {
		return proof{}, nil
	}
	p, err := s.proof(r, endpoint, "")
	return p, refusedProof(err)
}

// proved is prove for the endpoints of clients.
func (s *Server) proved(ctx context.Context, p proof) error { return refusedProof(s.prove(ctx, p)) }

// refusedProof makes a refusal of RFC 6749 of a bad proof, and leaves every other error.
func refusedProof(err error) error {
	var bad *badProof
	if errors.As(err, &bad) {
		return refuse(bad.code, bad.description()).with(bad.cause)
	}
	return err
}

// pushedKey is the key that a pushed request binds its code to: that of its proof, or of its
// "dpop_jkt", which must be the same if there are both (RFC 9449 section 10.1).
func pushedKey(p proof, asked string) (string, error) {
	switch {
	case p.key == "":
		return asked, nil
	case asked != "" && asked != p.key:
		return "", refuse("invalid_dpop_proof", "The dpop_jkt is another key's than the proof.")
	}
	return p.key, nil
}

// possessed checks the proof that comes with an access token that is bound to a key (RFC
// 9449 section 7.1), at an endpoint or, where that is "", at the API.
func (s *Server) possessed(r *http.Request, endpoint, token, key string) error {
	if endpoint == "" {
		endpoint = s.opts.DPoP.Origin + pathOf(r)
	}
	p, err := s.proof(r, endpoint, token)
	switch {
	case err != nil:
	case p.key == "":
		err = spoiled("no proof")
	case p.key != key:
		err = spoiled("a proof by another key than the token's")
	default:
		err = s.prove(r.Context(), p)
	}
	var bad *badProof
	if !errors.As(err, &bad) {
		return err
	}
	refused := authn.AuthenticationFailed(bad.description()).With(bad.cause)
	refused.Code, refused.Header = bad.code, make(http.Header)
	s.giveNonce(refused.Header)
	return refused
}

// pathOf is the path as it was sent, also where a handler around this one cut its beginning
// off.
func pathOf(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// Renew gives a client that proved its key the nonce for its next proof.
func (s *Server) Renew(w http.ResponseWriter, r *http.Request, _ authn.Identity) error {
	if s.opts.DPoP != nil && underDPoP(r) {
		s.giveNonce(w.Header())
	}
	return nil
}

func underDPoP(r *http.Request) bool { return strings.EqualFold(authn.Keyword(r), "DPoP") }
