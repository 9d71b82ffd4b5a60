package oauth2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
)

// Keys sign the server's tokens and verify them: a *jose.Ring, or a *jose.Rotating over a
// store. They are this issuer's alone (RULES C3).
type Keys interface {
	jose.KeySource
	Sign(ctx context.Context, typ string, claims []byte) (string, error)
	JWKS(ctx context.Context) ([]byte, error)
}

// The types of what is signed ("typ"). A token of one is never taken for another.
const (
	typeID     = "JWT"
	typeAccess = "at+jwt" // RFC 9068
)

// sign makes a token of claims; more are those of the application, of which none replaces
// one of ours.
func (s *Server) sign(ctx context.Context, typ string, claims any, more map[string]any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	if len(more) > 0 {
		tail, err := json.Marshal(more)
		if err != nil {
			return "", err
		}
		text = append(append(text[:len(text)-1], ','), tail[1:]...)
	}
	return s.opts.SigningKeys.Sign(ctx, typ, text)
}

// JWKS returns the endpoint that publishes the public keys (RFC 7517 section 5). It needs
// Options.SigningKeys. Keys that can not be had are a 503.
func (s *Server) JWKS() http.Handler {
	if s.opts.SigningKeys == nil {
		panic("oauth2: JWKS without Options.SigningKeys")
	}
	return public(func(w http.ResponseWriter, r *http.Request) {
		set, err := s.opts.SigningKeys.JWKS(r.Context())
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(set)
	})
}

// algorithms are those that the signing keys make tokens with. A source that names none, as
// one over a store does, is asked for its published set.
func (s *Server) algorithms(ctx context.Context) ([]string, error) {
	if ring, ok := s.opts.SigningKeys.(interface{ SigningAlgorithm() jose.Algorithm }); ok {
		return []string{string(ring.SigningAlgorithm())}, nil
	}
	set, err := s.opts.SigningKeys.JWKS(ctx)
	if err != nil {
		return nil, err
	}
	var published struct {
		Keys []struct {
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(bytes.NewReader(set)).Decode(&published); err != nil {
		return nil, err
	}
	var list []string
	for _, k := range published.Keys {
		if !slices.Contains(list, k.Alg) {
			list = append(list, k.Alg)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("oauth2: no key is published")
	}
	return list, nil
}
