package consent

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Authorize returns the authorization endpoint (RFC 6749, section 3.1) with its consent page. It
// accepts a GET with the client's request, and a POST with the form of the page. Mount it for both
// methods, behind the chain, and with authz.AllowAny.
//
// A client can also send its request by POST (OpenID Connect Core, section 3.1.2.1), as a form of
// at most 16 KiB without "handle" and "decision". It is redirected (303) to a GET of
// server.Endpoints.Authorize, whose path and query can have at most 8 KiB. The request must have no
// query of its own, and no secret of a client or a user. An "id_token_hint" in it is encrypted for
// 2 minutes with server.Options.Keys. Without Keys a random key of this process encrypts it, so
// other processes reject the hint.
//
// A request of an unknown client, or with a redirect URI that is not exactly a registered one, gets
// an error page, never a redirect. Every other result goes to the redirect URI, with status 303,
// "state" and "iss" (RFC 9207). A code is valid for server.Lifetimes.CodeTTL.
//
// The form of the page contains only a handle of the stored request. The handle can be used once,
// and is bound to user, session, client, scopes, challenge and redirect URI.
func (p *Pages) Authorize() http.Handler {
	return authn.Page(p.login, &page.Carrier{
		Endpoint: p.server.URL(p.server.Options().Endpoints.Authorize), Parameters: authorizeParameters,
		Read: oauth2.ReadRawForm, Check: func(v url.Values) error { return oauth2.OnPage(oauth2.CheckParameters(v)) },
		Seal:   func(hint string) (string, error) { return p.server.SealHint(hint, server.HintRedirect) },
		Refuse: oauth2.PageError, Log: p.log, Next: p.handler(p.show, p.decide),
	})
}

// authorizeParameters are the parameters that a request by POST carries over into the query.
var authorizeParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "response_mode", "prompt", "max_age",
	"id_token_hint", "login_hint", "ui_locales", "acr_values", "display", "claims", "claims_locales", "request", "request_uri", "resource", "dpop_jkt",
}

// errForgotten means that the user withdrew a consent while it was used.
var errForgotten = errors.New("consent withdrawn")

func (p *Pages) show(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := oauth2.ReadQuery(r)
	if err != nil {
		return err
	}
	q, err := p.server.ParseRequest(r, v)
	if err != nil {
		return p.send(w, r, q, nil, err)
	}
	u, ok, err := p.sessions.User(r)
	if err != nil {
		return err
	}
	weak := ok && !p.server.MeetsACR(q, u)
	if !ok || p.tooOld(q, u) || q.SelectsAccount && !v.Has(selectedParameter) || weak && !v.Has(strongerParameter) {
		if q.Prompt == "none" {
			return p.send(w, r, q, nil, oauth2.NewError("login_required", "The user is not logged in, logged in too long ago, or logged in at a lower level."))
		}
		return p.toLogin(w, r, q)
	}
	if q.Hint != "" && q.Hint != u.Subject {
		return p.send(w, r, q, nil, oauth2.NewError("login_required", "The logged-in user is not the one that the client expects."))
	}
	if weak && p.server.Options().StrictACR {
		return p.send(w, r, q, nil, oauth2.NewError("unmet_authentication_requirements", "The user did not log in at a requested level."))
	}
	if q.Consents {
		q.Prompt = "consent" // the required login is done
	}
	silent, reason := q.Registered.Trusted && q.Prompt != "consent" && rememberable(q), reasonTrusted
	consented := false
	if !silent {
		if consented, err = p.remembered(ctx, q, u); err != nil {
			return err
		}
		silent, reason = consented, reasonRemembered
	}
	// Any site can make the browser send such requests. Too many of them show the page again; they
	// are never rejected.
	silent = silent && p.server.AdmitSilent(ctx, u.Subject, q.Client)
	if q.Prompt == "none" && !silent {
		return p.send(w, r, q, nil, oauth2.NewError("consent_required", "The user must give consent first."))
	}
	var handle string
	var shown *authn.Draft
	if !silent { // before anything is stored or consumed, because the hook may panic
		if handle, err = p.server.NewText(handlePrefix); err != nil {
			return err
		}
		if shown, err = p.drawConsent(w, r, q, u, handle); err != nil {
			return err
		}
	}
	var answer url.Values
	decide := func(ctx context.Context) (err error) {
		if consented && silent { // read again in the transaction, so that RevokeGrant cannot come in between
			if still, err := p.remembered(ctx, q, u); err != nil || !still {
				return cmp.Or(err, errForgotten)
			}
		}
		if silent {
			if err := p.spend(ctx, q, errSpent); err != nil {
				return err
			}
			answer, err = p.approve(ctx, q, u, reason)
			return err
		}
		return p.server.KeepRequest(r.WithContext(ctx), handle, purposeConsent, q, u, consentTTL)
	}
	switch {
	case silent && (consented || !q.Pushed.IsZero()):
		if err = p.server.InTx(ctx, decide); errors.Is(err, errSpent) {
			return err
		}
	default:
		err = decide(ctx)
	}
	switch {
	case errors.Is(err, errForgotten):
		return p.show(w, r) // shows the page
	case silent:
		return p.send(w, r, q, answer, err)
	case err != nil:
		return err
	}
	shown.Send()
	return nil
}

// tooOld reports whether the request requires a newer login than the user's. toLogin cannot remove
// a parameter of a pushed request, so for such a request a login after it was pushed is new enough.
func (p *Pages) tooOld(q server.AuthorizationRequest, u server.SessionUser) bool {
	if (q.Prompt == "login" || q.MaxAge == 0) && (q.Pushed.IsZero() || u.AuthTime.Before(q.PushedAt)) {
		return true
	}
	now := p.server.Now() // the age of a login is unknown if the clock was ahead
	return q.MaxAge > 0 && (now.Sub(u.AuthTime) > q.MaxAge || storage.Ahead(now, u.AuthTime))
}

// toLogin redirects the browser to the login page. From there it returns to the same request,
// without the parameters that require a new login.
func (p *Pages) toLogin(w http.ResponseWriter, r *http.Request, q server.AuthorizationRequest) error {
	if len(r.URL.RawQuery) > page.MaxAddress {
		return p.send(w, r, q, nil, oauth2.NewError("invalid_request", "The request is too long."))
	}
	v := r.URL.Query()
	if hint := v.Get("id_token_hint"); server.IsSealedHint(hint) {
		again, err := p.server.SealHint(hint, server.HintLogin)
		if err != nil {
			return err
		}
		v.Set("id_token_hint", again)
	}
	if q.Prompt == "login" || q.SelectsAccount {
		v.Del("prompt")
		if q.Consents || q.Prompt == "consent" {
			v.Set("prompt", "consent")
		}
	}
	if q.MaxAge == 0 {
		v.Del("max_age")
	}
	more := url.Values{}
	if q.SelectsAccount {
		v.Set(selectedParameter, "1")
		more.Set("prompt", "select_account")
	}
	if len(q.ACR) > 0 {
		v.Set(strongerParameter, "1")
		more.Set("acr_values", strings.Join(q.ACR, " "))
	}
	if q.LoginHint != "" {
		more.Set("login_hint", q.LoginHint)
	}
	if len(q.Locales) > 0 {
		more.Set("ui_locales", strings.Join(q.Locales, " "))
	}
	to := page.LoginURL(p.login, r, v)
	if len(more) > 0 {
		to += "&" + more.Encode()
	}
	page.Redirect(w, to)
	return nil
}

// selectedParameter is in the address to which the login page returns after the user selected an
// account. A pushed request keeps its prompt, so the address must tell that it was followed. Another
// site that adds the parameter only skips the selection.
const selectedParameter = "account_selected"

// strongerParameter is in the address to which the login page returns after it was asked for a
// stronger login, so that a user who has no stronger one is asked once. Another site that adds the
// parameter only skips the login page; the tokens still say which class the login reached.
const strongerParameter = "acr_requested"

func (p *Pages) decide(w http.ResponseWriter, r *http.Request) error {
	f, u, err := p.form(w, r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	a, err := p.peek(ctx, f.Get("handle"), purposeConsent, u)
	if err != nil {
		return err
	}
	q, err := p.server.ContinueRequest(ctx, a.Client, a.Data)
	if err != nil {
		return err
	}
	decision := f.Get("decision")
	if decision == "allow" {
		if err := p.server.AdmitApproval(ctx, u.Subject); err != nil {
			return err
		}
		if err := p.server.PrepareApproval(ctx, &q, u); err != nil {
			return err
		}
	}
	var v url.Values
	err = p.once(ctx, a.Digest, errAnswered, func(ctx context.Context) (err error) {
		if decision == "allow" || decision == "deny" {
			if err := p.spend(ctx, q, errAnswered); err != nil {
				return err
			}
		}
		switch decision {
		case "allow":
			if err := p.server.RecordClient(ctx, &q); err != nil {
				return err
			}
			if err := p.remember(ctx, q, u); err != nil {
				return err
			}
			v, err = p.approve(ctx, q, u, "")
			return err
		case "deny":
			return errDenied
		}
		return oauth2.PageError("The decision is missing.")
	})
	return p.send(w, r, q, v, err)
}

// errSpent rejects a pushed request that was used before.
var errSpent = oauth2.OnPage(oauth2.NewError("invalid_request_uri", "The request_uri was already used."))

// spend uses up a pushed request. used is the error if it was used before.
func (p *Pages) spend(ctx context.Context, q server.AuthorizationRequest, used error) error {
	err := p.server.SpendRequest(ctx, q)
	if errors.Is(err, storage.ErrConflict) {
		return used
	}
	return err
}

// errDenied is what a client receives if the user denied its request.
var errDenied = oauth2.NewError("access_denied", "The user refused.")

// approve issues what was requested and reports it. reason is "" if the user has just decided.
func (p *Pages) approve(ctx context.Context, q server.AuthorizationRequest, u server.SessionUser, reason string) (url.Values, error) {
	v, err := p.server.Approve(ctx, q, u)
	if err == nil {
		p.report(ctx, audit.ConsentGiven, reason, q.Client, u)
	}
	return v, err
}

// report reports a user's decision about a client.
func (p *Pages) report(ctx context.Context, kind audit.Kind, reason, client string, u server.SessionUser) {
	p.server.Notify(ctx, audit.Event{Kind: kind, Reason: reason, Client: client, Subject: u.Subject, Session: u.Session, Epoch: u.Epoch})
}
