package oauth2

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// handlePrefix is that of the handle in the consent form (RULES C9), consentTTL how long
	// the user may think.
	handlePrefix = "vco"
	consentTTL   = 10 * time.Minute
)

// Authorize returns the authorization endpoint (RFC 6749 section 3.1) with its consent page:
// GET with the client's request, POST of the page's form. Mount it for both methods, behind
// the chain and open to everyone (authz.AllowAny). Only users of a session can consent
// (Options.Session). A visitor who is not logged in, or whose session has ended (see
// authn.Page), is sent to the page at login, a path of this origin, with "?next=".
//
// A client may send its request by POST too (OpenID Connect Core, section 3.1.2.1): a form
// without "handle" and "decision", of at most 64 KiB, is sent on (303) as a GET of
// Options.Endpoints.Authorize, whose path and query may have 8 KiB. It must not have a query
// of its own, and no secret of a client or a user. An "id_token_hint" goes on sealed, for 2
// minutes, by Options.Keys; without them by a key of this process, so that behind several
// processes the hint is refused by the others.
//
// A request of an unknown client, or for a redirect URI that is not exactly a registered one,
// is answered with a page and never with a redirect. Everything else goes to the redirect
// URI, with 303, "state" and "iss" (RFC 9207). A code lives for Options.CodeTTL.
//
// The form of the page holds nothing but a handle, good for one use, of what was asked: it is
// bound to user, session, client, scopes, challenge and redirect URI (RULES B5).
func (s *Server) Authorize(login string) http.Handler {
	if s.opts.Session == nil {
		panic("oauth2: Authorize without Options.Session")
	}
	pages := s.pages(func(w http.ResponseWriter, r *http.Request) error { return s.ask(w, r, login) }, s.decide)
	return authn.Page(login, &carrier{s, s.at(s.opts.Endpoints.Authorize, "/oauth2/authorize"), authorizeParameters, pages})
}

// user is who is asked: a session's user with all rights of the account.
type user struct {
	subject, session, name string
	epoch                  int64
	authTime               time.Time
}

// who returns the user of a request, if a session is there. The error is a panic of the hook.
func (s *Server) who(r *http.Request) (_ user, ok bool, err error) {
	id := authn.FromContext(r.Context())
	var session string
	epoch, err := audit.Call("oauth2.Options.Session", func() (epoch int64, _ error) {
		session, epoch, ok = s.opts.Session(id)
		return epoch, nil
	})
	if err != nil || !ok || id.Subject == "" || id.Issuer != "" || id.Delegated() {
		return user{}, false, err
	}
	u := user{id.Subject, session, id.Subject, epoch, id.AuthTime}
	if account, ok := id.User.(*storage.User); ok {
		u.name = account.Name
	}
	return u, true, nil
}

// formToken returns what a form of the request's session carries, "" without Options.Token.
func (s *Server) formToken(r *http.Request) (string, error) {
	if s.opts.Token == nil {
		return "", nil
	}
	return audit.Call("oauth2.Options.Token", func() (string, error) { return s.opts.Token(authn.FromContext(r.Context())), nil })
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request, login string) error {
	ctx := r.Context()
	v, err := parameters(r)
	if err != nil {
		return err
	}
	q, err := s.parse(ctx, v)
	if err != nil {
		return s.send(w, r, q, nil, err)
	}
	u, ok, err := s.who(r)
	if err != nil {
		return err
	}
	if !ok || s.tooOld(q, u) {
		if q.Prompt == "none" {
			return s.send(w, r, q, nil, refuse("login_required", "The user is not logged in, or too long ago."))
		}
		return s.toLogin(w, r, login, q)
	}
	if q.Hint != "" && q.Hint != u.subject {
		return s.send(w, r, q, nil, refuse("login_required", "Another user is logged in than the one that the client expects."))
	}
	if q.Consents {
		q.Prompt = "consent" // the login that it wants too was
	}
	silent := q.client.Trusted && q.Prompt != "consent"
	if !silent {
		if silent, err = s.remembered(ctx, q, u); err != nil {
			return err
		}
	}
	// Any site can make the browser send such requests. Too many bring the page back, never a
	// refusal.
	silent = silent && s.admitUser(ctx, "silent code", u.subject+"\x00"+q.Client, silentCodes, time.Hour) == nil
	if q.Prompt == "none" && !silent {
		return s.send(w, r, q, nil, refuse("consent_required", "The user has to be asked."))
	}
	var page *authn.Draft
	var waits storage.AuthRequest
	if !silent { // before anything is stored or used up
		if page, waits, err = s.consent(w, r, q, u); err != nil {
			return err
		}
	}
	if !q.pushed.IsZero() {
		err := s.store.TakeAuthRequest(ctx, q.pushed)
		if errors.Is(err, storage.ErrNotFound) {
			err = fatal{refuse("invalid_request_uri", "The request_uri was used.")}
		}
		if err != nil {
			return err
		}
	}
	if silent {
		return s.grant(w, r, q, u)
	}
	if err := invalidRequest(s.await(r, waits)); err != nil {
		return err
	}
	page.Send()
	return nil
}

// tooOld reports whether the request wants a newer login than the user's. What a pushed one
// says can not be left out of it by toLogin: a login since it was pushed is a new one.
func (s *Server) tooOld(q request, u user) bool {
	if (q.Prompt == "login" || q.MaxAge == 0) && (q.pushed.IsZero() || u.authTime.Before(q.pushedAt)) {
		return true
	}
	return q.MaxAge > 0 && s.now().Sub(u.authTime) > q.MaxAge
}

// toLogin sends the browser to the login page, and back to the same request. What asked for a
// new login is left out of it: it has its login then.
func (s *Server) toLogin(w http.ResponseWriter, r *http.Request, login string, q request) error {
	if len(r.URL.RawQuery) > maxNext {
		return s.send(w, r, q, nil, refuse("invalid_request", "The request is too long."))
	}
	v := r.URL.Query()
	if hint := v.Get("id_token_hint"); strings.HasPrefix(hint, sealedPrefix) {
		again, err := s.sealHint(hint, loginTTL)
		if err != nil {
			return err
		}
		v.Set("id_token_hint", again)
	}
	if q.Prompt == "login" {
		v.Del("prompt")
		if q.Consents {
			v.Set("prompt", "consent")
		}
	}
	if q.MaxAge == 0 {
		v.Del("max_age")
	}
	redirect(w, loginAt(login, r, v))
	return nil
}

func (s *Server) decide(w http.ResponseWriter, r *http.Request) error {
	f, err := readBody(w, r)
	if err != nil {
		return err
	}
	u, ok, err := s.who(r)
	if err != nil {
		return err
	}
	if !ok {
		return forbidden("Log in first.")
	}
	ctx := r.Context()
	a, err := s.takeHandle(ctx, f.get("handle"), purposeConsent, u)
	if err != nil {
		return err
	}
	var q request
	if err := json.Unmarshal(a.Data, &q); err != nil {
		return err
	}
	if q.client, err = s.store.ClientByID(ctx, a.Client); errors.Is(err, storage.ErrNotFound) || err == nil && (q.client.Disabled || !q.addressed()) {
		return fatally("The client is unknown.")
	} else if err != nil {
		return err
	}
	switch f.get("decision") {
	case "allow":
		if err := s.admitUser(ctx, "code", u.subject, userCodes, time.Hour); err != nil {
			return err
		}
		if err := s.remember(ctx, q, u); err != nil {
			return err
		}
		return s.grant(w, r, q, u)
	case "deny":
		return s.send(w, r, q, nil, refuse("access_denied", "The user refused."))
	}
	return fatally("The decision is missing.")
}

// takeHandle takes the request that a page's handle stands for, for the user and the session
// that the page was made for.
func (s *Server) takeHandle(ctx context.Context, handle, purpose string, u user) (storage.AuthRequest, error) {
	gone := fatally("This page is too old, or was answered already. Go back to the application and try again.")
	if !tokentext.Valid(handlePrefix, handle) {
		return storage.AuthRequest{}, gone
	}
	d := storage.DigestOf(handle)
	a, err := s.store.AuthRequestByDigest(ctx, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return a, gone
	case err != nil:
		return a, err
	case a.Purpose != purpose || a.Subject != u.subject || a.Session != u.session:
		return a, forbidden("This page was made for somebody else, or for another login.")
	}
	switch err := s.store.TakeAuthRequest(ctx, d); {
	case errors.Is(err, storage.ErrNotFound):
		return a, gone
	case err != nil:
		return a, err
	case a.Expired(s.now()):
		return a, gone
	}
	return a, nil
}

// grant makes a code and sends the browser on with it.
func (s *Server) grant(w http.ResponseWriter, r *http.Request, q request, u user) error {
	if q.Implicit {
		return s.implicit(w, r, q, u)
	}
	text, err := s.text(codePrefix)
	if err != nil {
		return err
	}
	now := s.now()
	err = s.store.CreateCode(r.Context(), storage.Code{
		Digest: storage.DigestOf(text), Client: q.Client, Subject: u.subject, Epoch: u.epoch, RedirectURI: q.RedirectURI, Scopes: q.Scopes, Resource: q.Resource,
		Challenge: q.Challenge, Nonce: q.Nonce, Confirm: q.Confirm, Session: s.sessionOf(u), AuthTime: u.authTime, Created: now, Expires: now.Add(s.opts.CodeTTL), Kept: now.Add(s.opts.AbsoluteTTL),
	})
	if errors.Is(err, storage.ErrStale) { // logged out everywhere, or disabled, in this moment
		return s.send(w, r, q, nil, refuse("access_denied", "The login has ended.").with(err))
	}
	if err != nil {
		return err
	}
	s.tell(r.Context(), Event{Kind: Authorized, Client: q.Client, Subject: u.subject})
	return s.send(w, r, q, url.Values{"code": {text}}, nil)
}

func forbidden(description string) error {
	return fatal{&Error{Status: http.StatusForbidden, Code: "access_denied", Description: description}}
}
