package grpc

import (
	"errors"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/vestibule-auth/vestibule/authn"
)

func TestFourOutcomes(t *testing.T) {
	s := &server{authn.New(authn.Func(func(r *http.Request) (authn.Identity, error) {
		switch text, err := authn.Credentials(r, "Token", "token"); {
		case err != nil:
			return authn.Identity{}, err
		case text == "down":
			return authn.Identity{}, errors.New("the database is down")
		case text == "bug":
			return authn.Identity{}, &authn.Error{Status: http.StatusInternalServerError}
		case text == "many":
			return authn.Identity{}, &authn.Error{Status: http.StatusTooManyRequests}
		case text == "elsewhere":
			return authn.Identity{}, &authn.Error{Status: http.StatusForbidden}
		case text != "good":
			return authn.Identity{}, authn.AuthenticationFailed("")
		}
		return authn.Identity{Subject: "1", Scheme: "token"}, nil
	}), nil)}
	for header, want := range map[string]struct {
		code    codes.Code
		subject string
	}{
		"": {codes.OK, ""}, "Token good": {codes.OK, "1"}, "Token bad": {codes.Unauthenticated, ""}, "Token down": {codes.Unavailable, ""},
		"Token bug": {codes.Internal, ""}, "Token many": {codes.ResourceExhausted, ""}, "Token elsewhere": {codes.PermissionDenied, ""},
	} {
		md := metadata.MD{}
		if header != "" {
			md.Set("authorization", header)
		}
		ctx, err := s.authenticate(t.Context(), "/notes.Notes/List", md, "203.0.113.1:5000")
		if status.Code(err) != want.code {
			t.Errorf("%q: %v", header, err)
		} else if err == nil && authn.FromContext(ctx).Subject != want.subject {
			t.Errorf("%q: %+v", header, authn.FromContext(ctx))
		}
	}
}
