package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// PushedAuthorization returns the endpoint for pushed authorization requests (RFC 9126). It accepts
// a POST of the parameters as a form, with client authentication. The response is 201 with
// {"request_uri", "expires_in"}. The browser then sends only "client_id" and that "request_uri"
// within a minute. It can open the URI again until the user has decided.
func (s *Server) PushedAuthorization() http.Handler {
	return s.CORS("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri, err := s.push(w, r)
		s.apiOpts.DPoP.SetNonce(w.Header())
		if err != nil {
			s.fail(w, r, err)
			return
		}
		oauth2.WriteJSON(w, http.StatusCreated, struct {
			URI     string `json:"request_uri"`
			Expires int    `json:"expires_in"`
		}{uri, int(parTTL / time.Second)})
	}))
}

func (s *Server) push(w http.ResponseWriter, r *http.Request) (string, error) {
	f, err := oauth2.ReadForm(w, r)
	if err != nil {
		return "", err
	}
	q := AuthorizationRequest{MaxAge: -1}
	c, err := s.authenticate(r, f, func(ctx context.Context, id string) (storage.Client, error) {
		c, body, err := s.clientOfRequest(ctx, id, s.opts.Proxies.ClientAddr(r), nil, func() error { return s.checkAlone(f.Values) })
		q.withDocument(c, body)
		return c, err
	})
	if err != nil {
		return "", err
	}
	q.Registered = c
	switch {
	case f.Values.Has("request_uri"):
		return "", oauth2.NewError("invalid_request", "A pushed request has no request_uri.")
	case !f.Values.Has("redirect_uri"):
		return "", oauth2.NewError("invalid_request", "A pushed request has a redirect_uri.")
	}
	if q, err = s.address(q, f.Values); err != nil {
		return "", err
	}
	if q, err = s.rest(r.Context(), q, f.Values); err != nil {
		return "", err
	}
	p, err := s.readProof(r, s.URL(s.opts.Endpoints.PushedAuthorization))
	if err != nil {
		return "", err
	}
	if q.Confirm, err = boundKey(p, q.Confirm); err != nil {
		return "", err
	}
	if q.Implicit && q.Confirm != "" {
		return "", errImplicitKey
	}
	if err := s.admitPending(r, workPush, c, parTTL); err != nil {
		return "", err
	}
	if c.Public() { // not recorded, because anyone can be this client; a repetition only helps the owner of the key
		err = proofError(p.Verify())
	} else {
		err = s.verifyProof(r.Context(), p)
	}
	if err != nil {
		return "", err
	}
	text, err := s.text(parPrefix)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	now := s.now()
	return requestURI + text, invalidRequest(s.store.CreateAuthRequest(r.Context(), storage.AuthRequest{
		Digest: storage.DigestOf(text), Purpose: purposePushed, Client: q.record(), Data: data, Created: now, Expires: now.Add(parTTL),
	}))
}
