package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"

	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// verifier checks that the client that exchanges the code is the client that requested it (RFC
// 7636). A wrong verifier invalidates the code. A missing verifier is rejected by s.code and leaves
// the code valid.
func (s *Server) verifier(ctx context.Context, x exchange, code storage.Code) error {
	verifier := x.form.Get("code_verifier")
	var why error
	switch {
	case code.Challenge == "" && verifier == "":
		if !x.client.Public() {
			return nil
		}
		why = errors.New("public client without a challenge")
	case code.Challenge == "":
		why = errors.New("verifier without a challenge in the authorization request")
	case !syntax.IsVerifier(verifier):
		why = errors.New("malformed verifier")
	default:
		sum := sha256.Sum256([]byte(verifier))
		if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(code.Challenge)) == 1 {
			return nil
		}
		why = errors.New("wrong verifier")
	}
	err := s.store.ConsumeCode(ctx, code.Digest, "", s.now().Add(s.opts.AbsoluteTTL))
	switch {
	case errors.Is(err, storage.ErrConflict):
		return s.reused(ctx, code)
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return errGrant.WithCause(why)
}
