package openid

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Logout returns the endpoint to which a client sends the browser when its user logs out (OpenID
// Connect RP-Initiated Logout 1.0). It accepts a GET with "id_token_hint", "client_id",
// "post_logout_redirect_uri" and "state". It also accepts a POST of these parameters as a form, and
// redirects it to a GET. Mount it for both methods, behind the chain, with authz.AllowAny. It
// panics without Options.EndSession.
//
// If the request has an ID token that was issued in the current session, the session ends
// immediately. Otherwise a page asks the user first, so that no other site can log the user out.
// The browser then goes to the post_logout_redirect_uri if the client registered exactly that URI
// (storage.Client.LogoutURIs). Any other URI is rejected with a page, and the session continues.
// Grants stay valid; a client revokes its own tokens.
//
// The page reports a logout only after a session ended. A request without a session is redirected
// to the post_logout_redirect_uri, or gets a page that says that no session ended. The reason may
// be that the browser did not send the session cookie, for example in a frame of another site. A
// user who was authenticated by anything but a session gets 403.
func (p *Provider) Logout() http.Handler {
	if p.opts.EndSession == nil {
		panic("openid: Logout requires Options.EndSession")
	}
	return authn.Page("", &page.Carrier{
		Endpoint: p.server.URL(p.server.Options().Endpoints.Logout), Parameters: logoutParameters,
		Read: oauth2.ReadRawForm, Check: func(v url.Values) error { return oauth2.OnPage(oauth2.CheckParameters(v)) },
		Seal:   func(hint string) (string, error) { return p.server.SealHint(hint, server.HintRedirect) },
		Refuse: oauth2.PageError, Log: p.log, Next: page.Handler(p.log, oauth2.CheckQuery, p.askLogout, p.decideLogout),
	})
}

var logoutParameters = []string{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}

const (
	// purposeLogout names the page. logoutPrefix is the prefix of its handles.
	purposeLogout = "logout"
	logoutPrefix  = "vlo"
	logoutTTL     = 10 * time.Minute
)

// logoutRequest is a validated request.
type logoutRequest struct {
	Client string `json:"client"`
	To     string `json:"to,omitempty"` // including the state; "" shows a page
	Name   string `json:"name,omitempty"`
}

func (p *Provider) askLogout(w http.ResponseWriter, r *http.Request) error {
	v, err := oauth2.ReadQuery(r)
	if err != nil {
		return err
	}
	to, h, err := p.checkLogout(r, v)
	if err != nil {
		return err
	}
	u, ok, err := p.opts.Sessions.User(r)
	switch {
	case err != nil:
		return err
	case !ok:
		return p.withoutSession(w, r, to)
	case h.Subject == u.Subject && h.Session != "" && h.Session == u.Session:
		if err := p.endSession(w, r, to, u, "id_token_hint"); err != nil {
			return err
		}
		return p.ended(w, to)
	}
	token, err := p.opts.Sessions.FormToken(r)
	if err != nil {
		return err
	}
	data, err := json.Marshal(to)
	if err != nil {
		return err
	}
	handle, err := p.server.NewText(logoutPrefix)
	if err != nil {
		return err
	}
	shown := LogoutPage{Client: to.Name, User: u.Name, Handle: handle, Token: token}
	d, err := authn.Draw(w, "openid.Options.RenderLogout", func(w http.ResponseWriter) {
		page.Headers(w.Header())
		w.WriteHeader(http.StatusOK)
		if p.opts.RenderLogout != nil {
			p.opts.RenderLogout(w, r, shown)
			return
		}
		_ = logoutTemplate.Execute(w, shown)
	})
	if err != nil {
		return err
	}
	if err := p.server.Keep(r, handle, purposeLogout, to.Client, data, u, logoutTTL); err != nil {
		return err
	}
	d.Send()
	return nil
}

// checkLogout checks the parameters of a request. The hint is zero if there is none.
func (p *Provider) checkLogout(r *http.Request, v url.Values) (logoutRequest, server.Hint, error) {
	var h server.Hint
	var err error
	if text := v.Get("id_token_hint"); text != "" {
		if h, err = p.ReadHint(r.Context(), text); err != nil {
			return logoutRequest{}, h, oauth2.OnPage(err)
		}
	}
	id := v.Get("client_id")
	switch {
	case h.Client != "" && id != "" && id != h.Client:
		return logoutRequest{}, h, oauth2.PageError("The id_token_hint belongs to another client.")
	case id == "":
		id = h.Client
	}
	uri := v.Get("post_logout_redirect_uri")
	if id == "" {
		if uri != "" {
			return logoutRequest{}, h, oauth2.PageError("A post_logout_redirect_uri needs an id_token_hint or a client_id.")
		}
		return logoutRequest{}, h, nil
	}
	c, err := p.server.Store().ClientByID(r.Context(), id)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && c.Disabled:
		return logoutRequest{}, h, oauth2.PageError("The client is unknown.")
	case err != nil:
		return logoutRequest{}, h, err
	case h.Client != "" && !h.IsOf(c):
		return logoutRequest{}, h, oauth2.PageError("The id_token_hint belongs to another client.")
	case uri != "" && !slices.Contains(c.LogoutURIs, uri):
		return logoutRequest{}, h, oauth2.PageError("The client did not register that post_logout_redirect_uri.")
	case len(v.Get("state")) > server.MaxState:
		return logoutRequest{}, h, oauth2.PageError("The state is too long.")
	}
	to := logoutRequest{Client: c.ID, To: uri, Name: c.Name}
	if state := v.Get("state"); uri != "" && state != "" {
		mark := "?"
		if strings.Contains(uri, "?") {
			mark = "&"
		}
		to.To += mark + url.Values{"state": {state}}.Encode()
	}
	return to, h, nil
}

func (p *Provider) decideLogout(w http.ResponseWriter, r *http.Request) error {
	f, err := oauth2.ReadPageForm(w, r)
	if err != nil {
		return err
	}
	u, ok, err := p.opts.Sessions.User(r)
	if err != nil {
		return err
	}
	if !ok {
		return p.withoutSession(w, r, logoutRequest{})
	}
	a, err := p.server.Peek(r.Context(), logoutPrefix, purposeLogout, f.Get("handle"), u)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return oauth2.PageError("This page is too old, or its form was already submitted.")
	case err != nil:
		return err
	}
	var to logoutRequest
	if err := json.Unmarshal(a.Data, &to); err != nil {
		return err
	}
	switch f.Get("decision") {
	case "logout":
		if err := p.endSession(w, r, to, u, "confirmed"); err != nil { // the user can send the form again
			return err
		}
		if err := p.server.Store().ConsumeAuthRequest(r.Context(), a.Digest); err != nil && !errors.Is(err, storage.ErrNotFound) { // the request belongs to the ended session and expires
			p.log.LogAttrs(r.Context(), slog.LevelWarn, "logout form not consumed", slog.Any("error", err))
		}
		return p.ended(w, to)
	case "stay":
		if err := p.server.Store().ConsumeAuthRequest(r.Context(), a.Digest); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return page.Message(w, "You are still logged in.")
	}
	return oauth2.PageError("The decision is missing.")
}

// withoutSession responds to a request without a session. No session ended.
func (p *Provider) withoutSession(w http.ResponseWriter, r *http.Request, to logoutRequest) error {
	if authn.FromContext(r.Context()).Authenticated() { // there may also be a session
		return &oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "You are not logged in with a session, so you cannot log out here.", NoRedirect: true}
	}
	// In a frame of another site the browser withholds the cookie, so a session may exist.
	if dest := r.Header.Get("Sec-Fetch-Dest"); to.To != "" && (dest == "" || dest == "document") {
		page.Redirect(w, to.To)
		return nil
	}
	return page.Message(w, "This request has no session, so nobody was logged out.")
}

// ended redirects the browser after a session ended, or shows a page.
func (p *Provider) ended(w http.ResponseWriter, to logoutRequest) error {
	if to.To != "" {
		page.Redirect(w, to.To)
		return nil
	}
	return page.Message(w, "You are logged out.")
}

// endSession ends the session of a request and reports the logout. The session scheme reports a
// logout, too; this event has the client that requested it. If it fails, w has no cookies of
// Options.EndSession: the browser needs the session's cookie to try again.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request, to logoutRequest, u server.SessionUser, reason string) error {
	h := w.Header()
	before := h.Clone()
	err := p.server.Change(r.Context(), func(ctx context.Context) error {
		_, err := audit.Call("openid.Options.EndSession", func() (any, error) { return nil, p.opts.EndSession(w, r.WithContext(ctx)) })
		if err == nil {
			p.server.Notify(ctx, audit.Event{Kind: audit.Logout, Reason: reason, Client: to.Client, Subject: u.Subject, Session: u.Session, Epoch: u.Epoch})
		}
		return err
	})
	if err != nil {
		clear(h)
		maps.Copy(h, before)
	}
	return err
}

// LogoutPage contains the values for the page that asks a user whether to log out.
type LogoutPage struct {
	// Client is the name of the application that requests the logout, or ""; User is the user's
	// name.
	Client, User string
	// Handle goes into a hidden field with the name "handle". The form sends it to its own address
	// by POST, together with "decision", which is "logout" or "stay".
	Handle string
	// Token, if not "", goes into a hidden field with the name csrf.Field.
	Token string
}

var logoutTemplate = page.Template("logout", "Log out?", `<p>{{with .Client}}{{.}} asks to log you out, {{else}}You are logged in as {{end}}<strong>{{.User}}</strong>.</p>
<form method="post">
	<input type="hidden" name="handle" value="{{.Handle}}">
	{{with .Token}}<input type="hidden" name="`+csrf.Field+`" value="{{.}}">{{end}}
	<div class="buttons">
		<button class="main" name="decision" value="logout">Log out</button>
		<button name="decision" value="stay">Stay logged in</button>
	</div>
</form>
`)
