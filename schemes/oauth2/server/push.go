package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// PushedAuthorization returns the endpoint for pushed authorization requests (RFC 9126). It accepts
// a POST of the parameters as a form, with client authentication. The response is 201 with
// {"request_uri", "expires_in"}. The browser then sends only "client_id" and that "request_uri",
// once, within a minute.
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
	c, err := s.client(r, f)
	if err != nil {
		return "", err
	}
	if f.Values.Has("request_uri") {
		return "", oauth2.NewError("invalid_request", "A pushed request has no request_uri.")
	}
	f.Values.Set("client_id", c.ID)
	q, err := s.ParseRequest(r.Context(), f.Values)
	if err != nil {
		return "", err
	}
	p, err := s.readProof(r, s.URL(s.opts.Endpoints.PushedAuthorization))
	if err != nil {
		return "", err
	}
	if q.Confirm, err = pushedKey(p, q.Confirm); err != nil {
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
		Digest: storage.DigestOf(text), Purpose: purposePushed, Client: q.Client, Data: data, Created: now, Expires: now.Add(parTTL),
	}))
}
