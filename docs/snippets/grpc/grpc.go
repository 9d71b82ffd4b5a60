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
	var e *authn.Error
	if errors.As(err, &e) && e.Status == http.StatusServiceUnavailable {
		return nil, status.Error(codes.Unavailable, e.Detail)
	} else if err != nil {
		return nil, status.Error(codes.Unauthenticated, "invalid credentials")
	}
	return ctx, nil // authn.FromContext(ctx) is the caller, anonymous without credentials
}

// #endregion authenticate
