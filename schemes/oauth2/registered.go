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
// ends the client with all its grants and tokens (204). A client may change its registration
// 12 times an hour, 6 of them at once, and its network is limited as by Register (429). The
// path's {id} names the client; the path is Endpoints.Register with /{id}. A missing and a wrong
// token, and a client that is unknown or disabled, are refused alike. Mount it outside the
// chain.
//
//	mux.Handle("/oauth2/register/{id}", server.Registered())
func (s *Server) Registered() http.Handler {
	s.mayRegister("Registered")
	return s.cors("GET, PUT, DELETE", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
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
	c, err := s.registrant(ctx, r.PathValue("id"), token)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPut || r.Method == http.MethodDelete {
		if err := s.admitChange(r, c); err != nil {
			return nil, err
		}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return s.describe(c, "", token), nil
	case http.MethodPut:
		return s.change(ctx, w, r, c.ID, token)
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

// registrant returns the client whose registration the token manages.
func (s *Server) registrant(ctx context.Context, id, token string) (storage.Client, error) {
	c, err := s.store.ClientByID(ctx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return c, errToken.with(err)
	case err != nil:
		return c, err
	case c.Disabled || !isDigest(token, c.Registration):
		return c, errToken.with(errors.New("of another client, or of one that is disabled"))
	}
	return c, nil
}

// change replaces the metadata of a client. The client is read when the whole request is
// here, and nobody else changes it then: who sends the body slowly does not take back what the
// administrator did meanwhile.
func (s *Server) change(ctx context.Context, w http.ResponseWriter, r *http.Request, id, token string) (*registered, error) {
	m, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	var c storage.Client
	var secret string
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		if c, err = s.registrant(ctx, id, token); err != nil {
			return err
		}
		if m.ID != c.ID || m.Secret != "" && !isDigest(m.Secret, c.Secret) {
			return refuse("invalid_request", "The client_id is missing or another one, or the client_secret is not the present one.")
		}
		if c.Trusted || len(c.Serves) > 0 { // rights that an administrator gave to what it was
			return &Error{Status: http.StatusForbidden, Code: "access_denied", Description: "This client is changed by its administrator alone."}
		}
		if secret, err = s.apply(m, &c); err != nil {
			return err
		}
		return s.store.UpdateClient(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	s.tell(ctx, Event{Kind: ClientChanged, Client: c.ID})
	return s.describe(c, secret, token), nil
}
