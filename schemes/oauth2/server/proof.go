package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
)

// readProof returns the proof of a client's request at an endpoint, not yet verified.
func (s *Server) readProof(r *http.Request, endpoint string) (dpop.Proof, error) {
	if s.apiOpts.DPoP == nil {
		return dpop.Proof{}, nil
	}
	p, err := s.apiOpts.DPoP.Read(r, endpoint, "")
	return p, proofError(err)
}

// verifyProof verifies a proof and records its use. Without a proof it does nothing.
func (s *Server) verifyProof(ctx context.Context, p dpop.Proof) error {
	if p.Key == "" {
		return nil
	}
	return proofError(s.apiOpts.DPoP.Verify(ctx, p))
}

// proofError returns the error response for a rejected proof, and every other error unchanged.
func proofError(err error) error {
	var bad *dpop.Error
	if errors.As(err, &bad) {
		return oauth2.NewError(bad.Code, bad.Description()).WithCause(bad.Unwrap())
	}
	return err
}

// boundKey returns the key to which a pushed request binds its code: the key of its proof, or of
// its "dpop_jkt". If both are present, they must be the same (RFC 9449, section 10.1).
func boundKey(p dpop.Proof, requested string) (string, error) {
	switch {
	case p.Key == "":
		return requested, nil
	case requested != "" && requested != p.Key:
		return "", oauth2.NewError("invalid_dpop_proof", "The dpop_jkt and the proof belong to different keys.")
	}
	return p.Key, nil
}
