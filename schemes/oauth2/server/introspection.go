package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// introspection is the response about a token (RFC 7662, section 2.2).
type introspection struct {
	Active   bool                 `json:"active"`
	Scope    string               `json:"scope,omitempty"`
	Client   string               `json:"client_id,omitempty"`
	Username string               `json:"username,omitempty"`
	Type     string               `json:"token_type,omitempty"`
	Expires  int64                `json:"exp,omitempty"`
	Issued   int64                `json:"iat,omitempty"`
	Subject  string               `json:"sub,omitempty"`
	Audience []string             `json:"aud,omitempty"`
	Issuer   string               `json:"iss,omitempty"`
	ID       string               `json:"jti,omitempty"`
	Confirm  *oauth2.Confirmation `json:"cnf,omitempty"`
	Actor    *actors.Claim        `json:"act,omitempty"`
	// RFC 9470, section 6.2. "amr" is of RFC 8176.
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
}

// Introspect returns the introspection endpoint for resource servers (RFC 7662). It accepts a POST
// of a form with "token". Confidential clients can introspect their own tokens, and access tokens
// of any client for a resource that they serve (storage.Client.Serves). The right to request tokens
// for a resource does not include the right to introspect. For other clients, and for inactive
// tokens, the response is only {"active":false}. A form that a page of another site makes a browser
// send is rejected.
func (s *Server) Introspect() http.Handler {
	return s.noForeignForms(audited(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about, err := s.introspect(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		oauth2.WriteJSON(w, http.StatusOK, about)
	})))
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) (introspection, error) {
	none := introspection{}
	c, text, err := s.tokenRequest(w, r)
	if err != nil {
		return none, err
	}
	if c.Public() {
		s.Notify(r.Context(), audit.Event{Kind: audit.IntrospectionRefused, Reason: reasonPublicClient, Client: c.ID})
		return none, errClient.WithCause(errors.New("introspection by a public client"))
	}
	switch {
	case !refreshFormat.HasPrefix(text):
		return s.aboutAccess(r.Context(), c, text)
	case refreshFormat.Valid(text):
		st, err := s.rotator.Inspect(r.Context(), rotation.Use{Secret: text, Purpose: s.purpose, Client: c.ID})
		switch {
		case errors.Is(err, rotation.ErrMismatch):
			s.Notify(r.Context(), audit.Event{Kind: audit.IntrospectionRefused, Reason: reasonOtherClient, Client: c.ID})
			return none, nil
		case s.refusal(err) != nil:
			return none, nil
		case err != nil:
			return none, err
		}
		f := st.Family
		if !s.issued(f) {
			return none, nil
		}
		return introspection{
			Active: true, Scope: strings.Join(s.stillAllowed(f.Scopes, c), " "), Client: f.Client, Username: st.User.Name, Expires: st.Refresh.Expires.Unix(),
			Issued: st.Refresh.Created.Unix(), Subject: f.Subject, Audience: f.Resource, Issuer: s.issuer, Confirm: oauth2.ConfirmationOf(f.Confirm),
		}, nil
	}
	return none, nil
}

func (s *Server) aboutAccess(ctx context.Context, c storage.Client, text string) (introspection, error) {
	st, err := s.api.Lookup(ctx, text)
	a := st.Access
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return introspection{}, nil
	case err != nil:
		return introspection{}, err
	case s.api.Inactive(&st) != nil:
		return introspection{}, nil
	case a.Client != c.ID && !slices.ContainsFunc(a.Resource, func(uri string) bool { return slices.Contains(c.Serves, uri) }):
		s.Notify(ctx, audit.Event{Kind: audit.IntrospectionRefused, Reason: reasonOtherClient, Client: c.ID, Subject: a.Subject, Family: a.Family, Epoch: a.Epoch})
		return introspection{}, nil
	}
	if err := s.api.Used(ctx, &a); err != nil { // the resource server received it from the client
		return introspection{}, err
	}
	var authTime int64
	if !a.AuthTime.IsZero() {
		authTime = a.AuthTime.Unix()
	}
	return introspection{
		AuthTime: authTime, ACR: a.ACR, AMR: a.AMR,
		Active: true, Scope: strings.Join(a.Scopes, " "), Client: a.Client, Username: st.User.Name, Type: typeOf(a.Confirm), Expires: a.Expires.Unix(),
		Issued: a.Created.Unix(), Subject: a.Subject, Audience: a.Resource, Issuer: s.issuer, ID: a.ID, Confirm: oauth2.ConfirmationOf(a.Confirm),
		Actor: actors.ClaimOf(a.Actors),
	}, nil
}
