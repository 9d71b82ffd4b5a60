package oidclogin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// leeway is the allowed difference between the clocks of the provider and of this application.
const leeway = time.Minute

// failed returns the response to a login that did not succeed. The cause goes to the log only.
func failed(cause error) error {
	e := &authn.Error{Status: http.StatusBadRequest, Code: "login_failed", Detail: "The login was not completed, or was begun in another browser. Go back and log in again."}
	return e.WithCause(cause)
}

// noAccount returns the response to a user without an account. A disabled account gets the same
// response, so that it does not reveal whether the account exists.
func noAccount(cause error) error {
	e := &authn.Error{Status: http.StatusForbidden, Code: "no_account", Detail: "There is no account for this login. If you have an account, log in to it as before, and then link this provider."}
	return e.WithCause(cause)
}

// callback receives the response of a provider.
func (l *Login) callback(w http.ResponseWriter, r *http.Request, p *provider) error {
	err := l.complete(w, r, p)
	var refused *authn.Error
	if errors.As(err, &refused) && refused.Status < 500 {
		l.opts.Logger.LogAttrs(r.Context(), slog.LevelInfo, "openid login rejected", slog.String("provider", p.Name), slog.Any("error", err))
		l.opts.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.LoginFailed, Scheme: "session", Reason: refused.Code})
	}
	return err
}

func (l *Login) complete(w http.ResponseWriter, r *http.Request, p *provider) error {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return failed(errors.New("malformed query"))
	}
	for name, values := range v {
		if len(values) > 1 && slices.Contains([]string{"state", "code", "iss", "error"}, name) {
			return failed(fmt.Errorf("parameter %s occurs twice", name))
		}
	}
	f, err := l.open(r, p)
	if err != nil {
		return failed(err)
	}
	// A response with another state does not belong to this flow, so the flow stays usable.
	if subtle.ConstantTimeCompare([]byte(f.State), []byte(v.Get("state"))) != 1 {
		return failed(errors.New("state belongs to another browser or to an earlier login"))
	}
	d, err := p.configured(r.Context())
	if err != nil {
		return err
	}
	if iss, sent := v["iss"]; d.sendsIss && !sent || sent && iss[0] != p.Issuer { // RFC 9207, section 2.4
		return failed(errors.New("iss is missing or names another issuer"))
	}
	l.setCookie(w, l.cookieOf(p), "", 0)
	if code := v.Get("error"); code != "" || v.Get("code") == "" {
		return failed(fmt.Errorf("the provider returned an error: %.100q", code))
	}
	select {
	case l.calls <- struct{}{}:
		defer func() { <-l.calls }()
	default:
		return unavailable(errors.New("too many logins at the same time"))
	}
	t, err := l.exchange(r.Context(), p, d, f, v.Get("code"))
	if err != nil {
		return err
	}
	key := storage.BlockKeyOf("openid login", p.Issuer, f.State)
	switch err := l.replays.ConsumeJTI(r.Context(), key, l.opts.Clock(), f.Until); {
	case errors.Is(err, storage.ErrConflict):
		return failed(errors.New("the response was used before"))
	case err != nil:
		return err
	}
	if f.Subject != "" {
		return l.finishLink(w, r, p, f, t)
	}
	return l.finishLogin(w, r, p, f, t)
}

// verified is a verified ID token.
type verified struct {
	*oidc.IDToken
	authTime time.Time
	session  string // "sid"
	acr      string
	amr      []string
}

// exchange gets and verifies the ID token of a code.
func (l *Login) exchange(ctx context.Context, p *provider, d *discovered, f flow, code string) (verified, error) {
	tokens, err := d.oauth2.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(f.Verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
		return verified{}, failed(errors.New("the provider rejected the code"))
	case err != nil:
		return verified{}, unavailable(withoutBody(err))
	}
	text, _ := tokens.Extra("id_token").(string)
	var fault error
	t, err := d.verifier.Verify(context.WithValue(ctx, faultKey{}, &fault), text)
	switch {
	case fault != nil:
		return verified{}, fault
	case err != nil:
		return verified{}, failed(fmt.Errorf("ID token: %w", err))
	}
	out := verified{IDToken: t}
	if err := out.check(p, f, tokens.AccessToken, l.opts.Clock()); err != nil {
		return verified{}, failed(fmt.Errorf("ID token: %w", err))
	}
	return out, nil
}

// withoutBody removes the provider's response from an error, because the response can contain
// secrets.
func withoutBody(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return fmt.Errorf("token endpoint: status %d, error %.50q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return err
}

// check does what go-oidc leaves to its caller (OpenID Connect Core, section 3.1.3.7).
func (t *verified) check(p *provider, f flow, access string, now time.Time) error {
	var c struct {
		Authorized *string  `json:"azp"`
		Session    string   `json:"sid"`
		AuthTime   *int64   `json:"auth_time"`
		ACR        string   `json:"acr"`
		AMR        []string `json:"amr"`
	}
	if err := t.Claims(&c); err != nil {
		return errors.New("a claim has the wrong type")
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(f.Nonce)) != 1:
		return errors.New("nonce belongs to another login")
	case t.Subject == "":
		return errors.New("no sub")
	case c.Authorized != nil && *c.Authorized != p.ClientID, c.Authorized == nil && len(t.Audience) > 1:
		return errors.New("azp is another client")
	case t.IssuedAt.After(now.Add(leeway)):
		return errors.New("iat is in the future")
	}
	if t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(access); err != nil {
			return err
		}
	}
	if c.AuthTime != nil {
		if t.authTime = time.Unix(*c.AuthTime, 0); *c.AuthTime <= 0 || t.authTime.After(now.Add(leeway)) {
			return errors.New("auth_time is in the future or not positive")
		}
	}
	if !f.Fresh.IsZero() && t.authTime.Before(f.Fresh.Add(-leeway)) {
		return errors.New("auth_time is missing or older than max_age")
	}
	t.session, t.acr, t.amr = c.Session, c.ACR, c.AMR
	return nil
}

// claim decodes a claim of the ID token.
func (t *verified) claim(name string, v any) error {
	var all map[string]json.RawMessage
	if err := t.Claims(&all); err != nil {
		return err
	}
	raw, ok := all[name]
	if !ok {
		return fmt.Errorf("no claim %s", name)
	}
	return json.Unmarshal(raw, v)
}

// finishLogin starts the session.
func (l *Login) finishLogin(w http.ResponseWriter, r *http.Request, p *provider, f flow, t verified) error {
	u, err := l.accounts.AccountOf(audit.Context(r), p.Issuer, t.Subject, t.claim)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrStale), errors.Is(err, storage.ErrLimit):
		return noAccount(err)
	case err != nil:
		return err
	case !u.Active:
		return noAccount(errors.New("the account is disabled"))
	}
	in := authn.Login{Subject: u.ID, Name: u.Name, Roles: u.Roles, Epoch: u.Epoch, AuthTime: authn.UnknownAuthTime}
	if p.LoginClaims {
		in.ACR, in.AMR = p.ACR[t.acr], t.amr
		if !t.authTime.IsZero() {
			in.AuthTime = t.authTime
		}
	}
	in.SetStore(l.accounts.AccountStore())
	switch err := l.sessions.StartIn(w, r, in, groupOf(p, t.session)); {
	case errors.Is(err, storage.ErrStale):
		return noAccount(err)
	case err != nil:
		return err
	}
	l.opts.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.LoginSucceeded, Scheme: "session", Subject: u.ID, Epoch: u.Epoch})
	l.setCookie(w, l.viaCookie(), p.Name, viaTTL)
	http.Redirect(w, r, f.Next, http.StatusSeeOther)
	return nil
}

// groupOf returns the group of this application's sessions that began with one session at a
// provider. The first part of the group identifies the provider. Logins for which the provider sent
// no session ID ("sid") share one group.
func groupOf(p *provider, session string) string {
	return providerGroup(p) + hash("session", p.Issuer, session)
}

func providerGroup(p *provider) string { return "op-" + hash("provider", p.Issuer) + "-" }

// hash returns a hash of texts, as 16 characters.
func hash(texts ...string) string {
	sum := sha256.New()
	for _, s := range texts {
		_, _ = fmt.Fprintf(sum, "%d %s", len(s), s)
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
}
