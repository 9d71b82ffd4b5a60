package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// Keys sign the server's tokens and verify them: a *jose.KeySet, or a *jose.ReloadingKeySet over a
// store. No other issuer may use the same keys.
type Keys interface {
	jose.KeySource
	Sign(ctx context.Context, typ string, claims []byte) (string, error)
	JWKS(ctx context.Context) ([]byte, error)
}

// Sign returns a signed token with the members of claims, followed by the members in the argument
// more. The two arguments must not have a name in common.
func (s *Server) Sign(ctx context.Context, typ string, claims any, more map[string]any) (string, error) {
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

// JWKS returns the endpoint that publishes the public keys (RFC 7517, section 5). It panics without
// Options.SigningKeys. If the keys cannot be read, it responds with 503.
func (s *Server) JWKS() http.Handler {
	if s.opts.SigningKeys == nil {
		panic("server: JWKS requires Options.SigningKeys")
	}
	return oauth2.PublicDocument(func(w http.ResponseWriter, r *http.Request) {
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

// SigningAlgorithms returns the algorithms of the signing keys. If the key source has no single
// algorithm, such as a source over a store, it returns the algorithms of the published keys.
func (s *Server) SigningAlgorithms(ctx context.Context) ([]string, error) {
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
		return nil, errors.New("server: no key is published")
	}
	return list, nil
}
