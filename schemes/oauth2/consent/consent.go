package consent

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options configure [Pages]. A nil *Options means all defaults.
type Options struct {
	// Render writes the consent page after status and headers were set; see [Consent] for what the
	// page must contain. Nil writes a plain page. The page is sent when Render returns. If Render
	// panics, the response is 500.
	Render func(w http.ResponseWriter, r *http.Request, c Consent)
	// RenderDevice and RenderGrants write the pages for devices and grants like Render; see
	// DevicePage and GrantsView.
	RenderDevice func(w http.ResponseWriter, r *http.Request, d DevicePage)
	RenderGrants func(w http.ResponseWriter, r *http.Request, g GrantsView)
	// Remember is how long a consent is remembered. During this time, the user does not confirm the
	// same or fewer scopes and resources of a client again. 0 means that the user confirms each
	// time. A consent is forgotten when the last grant of the client ends. Consents are not
	// remembered for public clients with loopback addresses or private schemes, because any program
	// on the user's machine could be such a client.
	Remember time.Duration
	// Own reports whether an identity is an account of the server's store. Grants and RevokeGrant
	// reject other identities with 403. Set it if a scheme of the chain authenticates accounts of
	// another table, the stores have no name spaces ([storage.Spaced]), and the scheme does not
	// record its store ([authn.Identity.SetStore]). Otherwise two accounts with the same ID would
	// count as one. Nil accepts every identity whose Subject is in the store's name space. If the
	// identity has a recorded store, this store must have the same accounts
	// ([storage.SameAccounts]).
	Own func(authn.Identity) bool
}

// Pages are the pages of a server. They are safe for concurrent use.
type Pages struct {
	server   *server.Server
	store    server.Store
	sessions server.Sessions
	login    string
	log      *slog.Logger
	opts     Options
}

// New adds the pages to a server. login is the path on this origin to which anonymous visitors, and
// visitors with an expired session, are redirected, with "?next=". The page also gets the parameters
// "prompt=select_account", "login_hint" and "ui_locales" if the client's request has them; it should
// then let the user choose an account, fill in a name, or select a language. It returns an error if srv or
// sessions.Of is nil, login is "", or Remember is negative.
func New(srv *server.Server, sessions server.Sessions, login string, opts *Options) (*Pages, error) {
	if srv == nil || sessions.Of == nil || login == "" {
		return nil, errors.New("consent: New: srv, Sessions.Of and login are required")
	}
	p := &Pages{server: srv, store: srv.Store(), sessions: sessions, login: login, log: srv.Options().Logger}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Remember < 0 {
		return nil, errors.New("consent: New: Remember is negative (at least 0)")
	}
	o := srv.Options()
	routes := []server.Route{
		srv.Route(o.Endpoints.Authorize, p.Authorize(), server.ForVisitors),
		srv.Route(o.Endpoints.GrantsPage, p.GrantsPage(), server.ForVisitors),
	}
	if list := srv.Route(o.Endpoints.Grants, p.Grants(), server.ForAccounts); list.Pattern != "" {
		one := server.Route{Pattern: "DELETE " + list.Pattern + "/{id}", Handler: p.RevokeGrant(), Access: server.ForAccounts}
		list.Pattern = "GET " + list.Pattern
		routes = append(routes, list, one)
	}
	if o.Keys != nil {
		routes = append(routes, srv.Route(o.Endpoints.Device, p.Device(), server.ForVisitors))
	}
	return p, srv.Extend(server.Extension{Routes: routes})
}

const (
	// handlePrefix is the prefix of handles in forms. consentTTL is how long a user has to decide.
	handlePrefix = "vco"
	consentTTL   = 10 * time.Minute

	// The reasons of consent.given if no page was shown.
	reasonTrusted    = "trusted"
	reasonRemembered = "remembered"

	purposeConsent = "consent"
	purposeDevice  = "device"
)

// peek returns the stored request of a handle in a form.
func (p *Pages) peek(ctx context.Context, handle, purpose string, u server.SessionUser) (storage.AuthRequest, error) {
	a, err := p.server.Peek(ctx, handlePrefix, purpose, handle, u)
	if errors.Is(err, storage.ErrNotFound) {
		err = errAnswered
	}
	return a, err
}

var errAnswered = oauth2.PageError("This page is too old, or its form was already submitted. Go back to the application and try again.")

// once consumes a stored request and runs fn in one transaction. If fn or the store fails, the
// request remains, so the user can send the form again. used is the error for a request that was
// already consumed. If fn returns an *oauth2.Error, which is a decision and not a failure, the
// request is consumed.
func (p *Pages) once(ctx context.Context, d storage.Digest, used error, fn func(context.Context) error) error {
	var refused *oauth2.Error
	err := p.server.InTx(ctx, func(ctx context.Context) error {
		refused = nil
		// fn runs first because it locks the account and the client. Transactions that delete these
		// lock them before the request, too. If the request no longer exists, the changes of fn are
		// rolled back.
		if err := fn(ctx); err != nil && !errors.As(err, &refused) {
			return err
		}
		err := p.store.ConsumeAuthRequest(ctx, d)
		if errors.Is(err, storage.ErrNotFound) {
			refused = nil
			return used
		}
		return err
	})
	if err == nil && refused != nil {
		return refused
	}
	return err
}

// handler serves a page.
func (p *Pages) handler(get, post func(http.ResponseWriter, *http.Request) error) http.Handler {
	return page.Handler(p.log, oauth2.CheckQuery, get, post)
}

// own reports whether an identity is an account of the server's store. The error is a panic of
// Options.Own.
func (p *Pages) own(id authn.Identity) (bool, error) {
	switch {
	case !storage.BelongsTo(storage.SpaceOf(p.store), id.Subject):
		return false, nil
	case p.opts.Own == nil:
		return id.Store() == nil || storage.SameAccounts(id.Store(), p.store), nil
	}
	return audit.Call("consent.Options.Own", func() (bool, error) { return p.opts.Own(id), nil })
}

// form reads the form of a page. Only the user of a session can send it.
func (p *Pages) form(w http.ResponseWriter, r *http.Request) (oauth2.Form, server.SessionUser, error) {
	f, err := oauth2.ReadPageForm(w, r)
	if err != nil {
		return f, server.SessionUser{}, err
	}
	u, ok, err := p.sessions.User(r)
	if err == nil && !ok {
		err = forbidden("Log in first.")
	}
	return f, u, err
}

func forbidden(description string) error {
	return &oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: description, NoRedirect: true}
}
