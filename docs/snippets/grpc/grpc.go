// Package grpc authenticates the calls of a gRPC server.
package grpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/vestibule-auth/vestibule/authn"
)

type server struct{ auth *authn.Middleware }

// #region authenticate

func (s *server) authenticate(ctx context.Context, method string, md metadata.MD, peer string) (context.Context, error) {
	r := (&http.Request{
		Method: "POST", URL: &url.URL{Path: method}, RemoteAddr: peer,
		Header: http.Header{"Authorization": md["authorization"]}, Body: http.NoBody,
	}).WithContext(ctx)
	ctx, err := s.auth.Authenticate(r)
	if err != nil {
		return nil, status.Error(codeOf(err), "not authenticated") // details are for HTTP clients
	}
	return ctx, nil // authn.FromContext(ctx) is the caller, anonymous without credentials
}

// codeOf returns the code for an error of Authenticate. Clients discard their credentials after
// Unauthenticated, so only a rejected credential has that code.
func codeOf(err error) codes.Code {
	var e *authn.Error
	switch {
	case !errors.As(err, &e):
		return codes.Internal
	case e.Status == http.StatusBadRequest, e.Status == http.StatusUnauthorized:
		return codes.Unauthenticated
	case e.Status == http.StatusForbidden:
		return codes.PermissionDenied
	case e.Status == http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case e.Status == http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Internal
}

// #endregion authenticate
