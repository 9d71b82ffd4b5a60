package oauth2

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// purposeLogout waits for the user's word, logoutPrefix is that of its handle.
	purposeLogout = "logout"
	logoutPrefix  = "vlo"
	logoutTTL     = 10 * time.Minute
)

// sessionOf is what ID tokens say of a user's login, if there are any.
func (s *Server) sessionOf(u user) string {
	if s.opts.OpenID == nil {
		return ""
	}
	return u.session
}

// Logout returns the endpoint that a client sends the browser to when its user logs out
// (OpenID Connect RP-Initiated Logout 1.0): GET with "id_token_hint", "client_id",
// "post_logout_redirect_uri" and "state", or POST of them as a form, which is sent on as a GET
// as by Authorize. Mount it for both methods, behind the chain and open to everyone
// (authz.AllowAny). It needs OpenID.EndSession.
//
// An ID token that was given in this very login ends the session at once; without one, or
// with another user's, the user is asked by a page, so that no other site can log anybody
// out. The browser then goes to the post_logout_redirect_uri where the client registered
// exactly that (storage.Client.LogoutURIs); any other is refused with a page, and nothing
// happens. Grants live on: a client that wants to end its own revokes its tokens.
//
// The page says that the user is logged out only after a session was ended. A request without a
// session is sent on to the post_logout_redirect_uri, or told that nothing was ended: a
// browser may have kept its cookie back, as it does in a frame of another site. A user who came
// by another credential than a session is refused with 403.
func (s *Server) Logout() http.Handler {
	if s.opts.OpenID == nil || s.opts.OpenID.EndSession == nil || s.opts.Session == nil {
		panic("oauth2: Logout without Options.OpenID, its EndSession, or Options.Session")
	}
	endpoint := s.at(s.opts.Endpoints.Logout, "/oauth2/logout")
	return authn.Page("", &carrier{s, endpoint, logoutParameters, s.pages(s.askLogout, s.decideLogout)})
}

// leaving is a logout that was asked for and checked.
type leaving struct {
	Client string `json:"client"`
	To     string `json:"to,omitempty"` // with the state; "" for a page
	Name   string `json:"name,omitempty"`
}

func (s *Server) askLogout(w http.ResponseWriter, r *http.Request) error {
	v, err := parameters(r)
	if err != nil {
		return err
	}
	to, h, err := s.leave(r, v)
	if err != nil {
		return err
	}
	u, ok := s.who(r)
	switch {
	case !ok:
		return s.nobodyLeft(w, r, to)
	case h.subject == u.subject && h.session != "" && h.session == u.session:
		if _, err := audit.Call("oauth2.OpenID.EndSession", func() (any, error) { return nil, s.opts.OpenID.EndSession(w, r) }); err != nil {
			return err
		}
		return s.left(w, to)
	}
	if err := s.admitUser(r.Context(), "page", u.subject, userPages, logoutTTL); err != nil {
		return err
	}
	data, err := json.Marshal(to)
	if err != nil {
		return err
	}
	handle, err := s.text(logoutPrefix)
	if err != nil {
		return err
	}
	now := s.now()
	waits := storage.AuthRequest{Digest: storage.DigestOf(handle), Purpose: purposeLogout, Client: to.Client, Subject: u.subject, Session: u.session, Data: data, Created: now, Expires: now.Add(logoutTTL)}
	if err := s.store.CreateAuthRequest(r.Context(), waits); err != nil {
		return err
	}
	form := logoutForm{Client: to.Name, User: u.name, Handle: handle}
	if s.opts.Token != nil {
		form.Token = s.opts.Token(authn.FromContext(r.Context()))
	}
	pageHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = logoutTemplate.Execute(w, form)
	return nil
}

// leave checks what a logout names. The hint is empty where there is none.
func (s *Server) leave(r *http.Request, v url.Values) (leaving, hint, error) {
	var h hint
	var err error
	if text := v.Get("id_token_hint"); text != "" {
		if h, err = s.hinted(r.Context(), text); err != nil {
			return leaving{}, h, fatalOr(err)
		}
	}
	id := v.Get("client_id")
	switch {
	case h.client != "" && id != "" && id != h.client:
		return leaving{}, h, fatally("The id_token_hint is one of another client.")
	case id == "":
		id = h.client
	}
	uri := v.Get("post_logout_redirect_uri")
	if id == "" {
		if uri != "" {
			return leaving{}, h, fatally("A post_logout_redirect_uri needs an id_token_hint or a client_id.")
		}
		return leaving{}, h, nil
	}
	c, err := s.store.ClientByID(r.Context(), id)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && c.Disabled:
		return leaving{}, h, fatally("The client is unknown.")
	case err != nil:
		return leaving{}, h, err
	case uri != "" && !slices.Contains(c.LogoutURIs, uri):
		return leaving{}, h, fatally("The client did not register that post_logout_redirect_uri.")
	case len(v.Get("state")) > maxState:
		return leaving{}, h, fatally("The state is too long.")
	}
	to := leaving{Client: c.ID, To: uri, Name: c.Name}
	if state := v.Get("state"); uri != "" && state != "" {
		mark := "?"
		if strings.Contains(uri, "?") {
			mark = "&"
		}
		to.To += mark + url.Values{"state": {state}}.Encode()
	}
	return to, h, nil
}

// fatalOr keeps a refusal from any redirect, and leaves a fault.
func fatalOr(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return fatal{e}
	}
	return err
}

func (s *Server) decideLogout(w http.ResponseWriter, r *http.Request) error {
	f, err := readBody(w, r)
	if err != nil {
		return err
	}
	u, ok := s.who(r)
	if !ok {
		return s.nobodyLeft(w, r, leaving{})
	}
	handle := f.get("handle")
	gone := fatally("This page is too old, or was answered already.")
	if !tokentext.Valid(logoutPrefix, handle) {
		return gone
	}
	ctx, d := r.Context(), storage.DigestOf(handle)
	a, err := s.store.AuthRequestByDigest(ctx, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return gone
	case err != nil:
		return err
	case a.Purpose != purposeLogout || a.Subject != u.subject || a.Session != u.session:
		return forbidden("This page was made for somebody else, or for another login.")
	}
	switch err := s.store.TakeAuthRequest(ctx, d); {
	case errors.Is(err, storage.ErrNotFound):
		return gone
	case err != nil:
		return err
	case a.Expired(s.now()):
		return gone
	}
	var to leaving
	if err := json.Unmarshal(a.Data, &to); err != nil {
		return err
	}
	switch f.get("decision") {
	case "logout":
		if _, err := audit.Call("oauth2.OpenID.EndSession", func() (any, error) { return nil, s.opts.OpenID.EndSession(w, r) }); err != nil {
			return err
		}
		return s.left(w, to)
	case "stay":
		return s.stayed(w)
	}
	return fatally("The decision is missing.")
}

// nobodyLeft answers a request without a session: none was ended.
func (s *Server) nobodyLeft(w http.ResponseWriter, r *http.Request, to leaving) error {
	if authn.FromContext(r.Context()).Authenticated() { // a session may be there beside it
		return forbidden("You are logged in by another credential than a session, which does not end here.")
	}
	// In a frame of another site the cookie stays away, and the session may live.
	if dest := r.Header.Get("Sec-Fetch-Dest"); to.To != "" && (dest == "" || dest == "document") {
		redirect(w, to.To)
		return nil
	}
	return message(w, "No login came with this request, so nothing was ended.")
}

// left sends the browser on after a session was ended, or says so.
func (s *Server) left(w http.ResponseWriter, to leaving) error {
	if to.To != "" {
		redirect(w, to.To)
		return nil
	}
	return message(w, "You are logged out.")
}

func (s *Server) stayed(w http.ResponseWriter) error { return message(w, "You are still logged in.") }

func message(w http.ResponseWriter, text string) error {
	textHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = messageTemplate.Execute(w, text)
	return nil
}
