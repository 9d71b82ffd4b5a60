package registration

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// ClientConfiguration returns the endpoint with which a client manages its own registration (RFC
// 7592), using the token that Register returned. GET reads the registration, PUT replaces the
// metadata, and DELETE deletes the client with all its grants and tokens (204). A client that is
// trusted or serves a resource gets 403 for PUT and DELETE, because only an administrator can
// change or delete it. Mount the endpoint outside the chain, at server.Endpoints.Register with
// /{id}, which is the client's ID.
//
// A missing or wrong token, and an unknown or disabled client, get the same response. A client may
// change its registration 12 times per hour, 6 of them immediately, and each network has a limit,
// too (429).
func (g *Registration) ClientConfiguration() http.Handler {
	return g.server.CORS("GET, PUT, DELETE", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := g.manage(w, r)
		switch {
		case err != nil:
			oauth2.RespondError(w, r, err, g.log)
		case answer == nil:
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
		default:
			oauth2.WriteJSON(w, http.StatusOK, answer)
		}
	}))
}

func (g *Registration) manage(w http.ResponseWriter, r *http.Request) (*registered, error) {
	token, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return nil, refused(err)
	}
	if !registrationFormat.Valid(token) {
		return nil, errToken.WithCause(errors.New("malformed"))
	}
	ctx := r.Context()
	c, err := g.registrant(ctx, r.PathValue("id"), token)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPut || r.Method == http.MethodDelete {
		if err := g.server.AdmitChange(r, c); err != nil {
			return nil, err
		}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return g.describe(c, "", token), nil
	case http.MethodPut:
		return g.change(ctx, w, r, c.ID, token)
	case http.MethodDelete:
		if err := ownChange(&c); err != nil {
			return nil, err
		}
		return nil, g.server.Change(ctx, func(ctx context.Context) error {
			if err := g.store.DeleteClient(ctx, c.ID); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			g.server.Notify(ctx, audit.Event{Kind: audit.ClientDisabled, Reason: "deleted", Client: c.ID})
			return nil
		})
	}
	w.Header().Set("Allow", "GET, PUT, DELETE")
	return nil, &oauth2.Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The method is not GET, PUT or DELETE."}
}

// registrant returns the client whose registration the token manages.
func (g *Registration) registrant(ctx context.Context, id, token string) (storage.Client, error) {
	c, err := g.store.ClientByID(ctx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return c, errToken.WithCause(err)
	case err != nil:
		return c, err
	case c.Disabled || !isDigest(token, c.Registration):
		return c, errToken.WithCause(errors.New("for another client, or a disabled one"))
	}
	return c, nil
}

// change replaces the metadata of a client. It reads the client after it received the whole
// request, in the transaction that changes it, so that a slow request cannot overwrite a concurrent
// change by an administrator.
func (g *Registration) change(ctx context.Context, w http.ResponseWriter, r *http.Request, id, token string) (*registered, error) {
	m, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	var c storage.Client
	var secret string
	err = g.server.InTx(ctx, func(ctx context.Context) (err error) {
		if c, err = g.registrant(ctx, id, token); err != nil {
			return err
		}
		if m.ID != c.ID || m.Secret != "" && !isDigest(m.Secret, c.Secret) {
			return oauth2.NewError("invalid_request", "The client_id is missing or wrong, or the client_secret is not the current one.")
		}
		if err := ownChange(&c); err != nil {
			return err
		}
		had := c
		if secret, err = g.apply(m, &c); err != nil {
			return err
		}
		// An administrator may have removed some. A client can keep its scopes and grant types or
		// reduce them.
		c.Scopes, c.Grants = common(c.Scopes, had.Scopes), common(c.Grants, had.Grants)
		if len(c.Grants) == 0 {
			return badMetadata("The client may use none of these grant types.")
		}
		if err := g.store.UpdateClient(ctx, c); err != nil {
			return err
		}
		g.server.Notify(ctx, audit.Event{Kind: audit.ClientChanged, Client: c.ID})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return g.describe(c, secret, token), nil
}

// ownChange returns an error unless the client can change or delete its registration itself. It
// cannot once an administrator granted it rights: an API with Serves, for example, would lose all
// its users with it.
func ownChange(c *storage.Client) error {
	if c.Trusted || len(c.Serves) > 0 {
		return &oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "Only an administrator can change this client."}
	}
	return nil
}

// common returns the elements of list that are also in had.
func common(list, had []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return !slices.Contains(had, one) })
}
