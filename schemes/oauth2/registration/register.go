package registration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/params"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Register returns the registration endpoint (RFC 7591). It accepts a POST of a JSON object with
// the client's metadata. The response is 201 with the "client_id", the token for
// ClientConfiguration and, for a confidential client, the "client_secret", which cannot be
// retrieved again. oauth2.CheckClient determines what can be registered. Unknown members are
// ignored, and no URL in them is fetched. Mount it outside the chain.
func (g *Registration) Register() http.Handler {
	return g.server.CORS("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := g.register(w, r)
		if err != nil {
			oauth2.RespondError(w, r, err, g.log)
			return
		}
		oauth2.WriteJSON(w, http.StatusCreated, answer)
	}))
}

func (g *Registration) register(w http.ResponseWriter, r *http.Request) (*registered, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &oauth2.Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The request is not a POST."}
	}
	_, err := audit.Call("registration.New allow", func() (any, error) { return nil, g.allow(r) })
	if err := refused(err); err != nil {
		return nil, err
	}
	m, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	id, err := g.server.NewID()
	if err != nil {
		return nil, err
	}
	token, err := g.server.NewText(registrationPrefix)
	if err != nil {
		return nil, err
	}
	c := storage.Client{ID: id, Created: g.server.Now(), Registration: storage.DigestOf(token), Resources: slices.Clone(g.opts.Resources)}
	secret, err := g.apply(m, &c)
	if err != nil {
		return nil, err
	}
	if err := g.server.AdmitRegistration(r); err != nil {
		return nil, err
	}
	err = g.server.Change(r.Context(), func(ctx context.Context) error {
		err := g.store.CreateClient(ctx, c)
		if err == nil {
			g.server.Notify(ctx, audit.Event{Kind: audit.ClientCreated, Client: c.ID})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return g.describe(c, secret, token), nil
}

// refused returns the error response of RFC 6750 for an error of a chain.
func refused(err error) error {
	var e *authn.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusTooManyRequests:
		return err
	case errors.As(err, &e) && e.Status == http.StatusForbidden:
		return (&oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "Registration was refused."}).WithCause(err)
	case errors.As(err, &e), errors.Is(err, authn.ErrNoCredentials):
		return errToken.WithCause(err)
	}
	return err
}

var errToken = &oauth2.Error{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is missing or invalid.", Challenge: `Bearer error="invalid_token"`}

func badMetadata(description string) *oauth2.Error {
	return oauth2.NewError("invalid_client_metadata", description)
}

// readMetadata reads the JSON object of a registration.
func readMetadata(w http.ResponseWriter, r *http.Request) (metadata, error) {
	var m metadata
	if kind, _, err := params.MediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return m, badMetadata("The body is not application/json.")
	}
	body, err := oauth2.ReadBody(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return m, &oauth2.Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_client_metadata", Description: "The body is too large."}
		}
		return m, badMetadata("The body could not be read.")
	}
	switch err := m.decode([]byte(body)); {
	case errors.Is(err, errTooMany):
		return m, badMetadata(fmt.Sprintf("There are too many redirect URIs (at most %d), grant types or response types (at most %d).", maxRedirects, maxTypes))
	case err != nil:
		return m, badMetadata("The body is no JSON object, or a member is not of its type.").WithCause(err)
	}
	return m, nil
}
