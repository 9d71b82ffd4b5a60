package server

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
)

// Errors that several endpoints return. All problems of a code or a token have the same
// description, so that it reveals nothing about them.
var (
	errGrant   = oauth2.NewError("invalid_grant", "The grant is invalid, expired, revoked, or was issued to another client.")
	errClient  = &oauth2.Error{Status: http.StatusUnauthorized, Code: "invalid_client", Description: "Client authentication failed."}
	errRequest = oauth2.NewError("invalid_request", "The request is malformed.")

	errUnauthorized = oauth2.NewError("unauthorized_client", "The client may not use this grant type.")
	errUnsupported  = oauth2.NewError("unsupported_grant_type", "The grant type is not supported.")

	errScope  = oauth2.NewError("invalid_scope", "The scope is unknown or malformed, or the client may not request it.")
	errTarget = oauth2.NewError("invalid_target", "The resource is unknown, or the client may not request it.")
)

// fail responds with err.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	oauth2.RespondError(w, r, err, s.opts.Logger)
}
