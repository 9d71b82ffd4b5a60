package oidclogin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/backchannel"
	"github.com/vestibule-auth/vestibule/storage"
)

// viaTTL is the lifetime of the cookie that records at which provider the user logged in.
const viaTTL = 30 * 24 * time.Hour

// viaCookie returns the name of the cookie that contains the Name of the provider. The cookie
// decides only to which of the configured providers the browser is sent at the logout.
func (l *Login) viaCookie() string {
	if l.site.IsLoopback() {
		return "oidclogin-via"
	}
	return "__Host-oidclogin-via"
}

// logout ends the session, and sends the browser to the end_session_endpoint of the provider at
// which the user logged in (OpenID Connect RP-Initiated Logout 1.0). The request contains the
// client ID and the address to return to. It has no id_token_hint, because an ID token must not be
// in a URL. Therefore the provider may ask the user to confirm the logout.
func (l *Login) logout(w http.ResponseWriter, r *http.Request) error {
	if err := l.fromOwnPage(r); err != nil {
		return err
	}
	if err := l.sessions.EndCurrent(w, r); err != nil {
		return err
	}
	to := l.opts.Next
	if c, err := r.Cookie(l.viaCookie()); err == nil {
		l.setCookie(w, l.viaCookie(), "", 0)
		for _, p := range l.providers {
			if p.Name == c.Value {
				to = l.logoutAt(r.Context(), p, to)
			}
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// logoutAt returns the URL of the logout at a provider. If the provider does not respond, it
// returns next, because the user is already logged out here.
func (l *Login) logoutAt(ctx context.Context, p *provider, next string) string {
	d, err := p.configured(ctx)
	if err != nil || d.logout == "" {
		return next
	}
	u, err := url.Parse(d.logout)
	if err != nil {
		return next
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	q.Set("post_logout_redirect_uri", l.origin+next)
	u.RawQuery = q.Encode()
	return u.String()
}

// lateKeys are the keys of a provider whose configuration is read at the first use.
type lateKeys struct{ p *provider }

func (k lateKeys) Keys(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error) {
	d, err := k.p.configured(ctx)
	if err != nil {
		return nil, err
	}
	return d.keys.Keys(ctx, kid, alg)
}

// backchannel receives logout messages (OpenID Connect Back-Channel Logout 1.0). A message with "sid"
// ends the user's sessions that began with this session at the provider. A message without "sid"
// ends all sessions that the user began at the provider. A message must have "sub", because the
// account is found by it.
func (l *Login) backchannel(p *provider) (http.Handler, error) {
	end := func(ctx context.Context, out backchannel.Logout) error {
		if out.Subject == "" {
			return errNoSub
		}
		subject, err := l.accounts.Linked(ctx, p.Issuer, out.Subject)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		group := providerGroup(p)
		if out.Session != "" {
			group = groupOf(p, out.Session)
		}
		_, err = l.sessions.EndGroup(ctx, subject, group)
		return err
	}
	return backchannel.New(p.Issuer, p.ClientID, lateKeys{p}, l.replays, end, &backchannel.Options{Leeway: leeway, Audit: l.opts.Audit, Logger: l.opts.Logger, Clock: l.opts.Clock})
}

var errNoSub = errors.New("oidclogin: a logout token without sub (configure the provider to send it)")
