package oauth2

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// Registered returns the endpoint by which a client manages its own registration (RFC 7592),
// with the token that Register gave: GET reads it, PUT replaces what Register took, DELETE
// ends the client with all its grants and tokens (204). The path's {id} names the client; it
// is Endpoints.Register with /{id}. A missing and a wrong token, and a client that is unknown
// or disabled, are refused alike. Mount it outside the chain.
//
//	mux.Handle("/oauth2/register/{id}", server.Registered())
func (s *Server) Registered() http.Handler {
	s.mayRegister("Registered")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.manage(w, r)
		switch {
		case err != nil:
			s.fail(w, r, err)
		case answer == nil:
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
		default:
			write(w, http.StatusOK, answer)
		}
	})
}

func (s *Server) manage(w http.ResponseWriter, r *http.Request) (*registered, error) {
	token, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return nil, allowed(err)
	}
	if !tokentext.Valid(registrationPrefix, token) {
		return nil, errToken.with(errors.New("malformed"))
	}
	ctx := r.Context()
	c, err := s.store.ClientByID(ctx, r.PathValue("id"))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, errToken.with(err)
	case err != nil:
		return nil, err
	case c.Disabled || !isDigest(token, c.Registration):
		return nil, errToken.with(errors.New("of another client, or of one that is disabled"))
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return s.describe(c, "", token), nil
	case http.MethodPut:
		return s.change(ctx, w, r, c, token)
	case http.MethodDelete:
		if err := s.store.DeleteClient(ctx, c.ID); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		s.tell(ctx, Event{Kind: ClientDeleted, Client: c.ID})
		return nil, nil
	}
	w.Header().Set("Allow", "GET, PUT, DELETE")
	return nil, &Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The method is not GET, PUT or DELETE."}
}

// change replaces the metadata of a client.
func (s *Server) change(ctx context.Context, w http.ResponseWriter, r *http.Request, c storage.Client, token string) (*registered, error) {
	m, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	if m.ID != c.ID || m.Secret != "" && !isDigest(m.Secret, c.Secret) {
		return nil, refuse("invalid_request", "The client_id is missing or another one, or the client_secret is not the present one.")
	}
	if c.Trusted {
		return nil, &Error{Status: http.StatusForbidden, Code: "access_denied", Description: "This client is changed by its administrator alone."}
	}
	secret, err := s.apply(m, &c)
	if err != nil {
		return nil, err
	}
	switch err := s.store.UpdateClient(ctx, c); {
	case errors.Is(err, storage.ErrNotFound):
		return nil, errToken.with(err)
	case err != nil:
		return nil, err
	}
	s.tell(ctx, Event{Kind: ClientChanged, Client: c.ID})
	return s.describe(c, secret, token), nil
}
