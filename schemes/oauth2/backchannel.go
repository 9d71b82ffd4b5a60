package oauth2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// LoggedOut is what another provider says in a logout token: the sessions that its user
// has here, by Subject, or the one that came of its Session, where that is not "", are over.
// One of the two may be "".
type LoggedOut struct{ Issuer, Subject, Session string }

// LogoutReceiverOptions change a LogoutReceiver; nil is fine.
type LogoutReceiverOptions struct {
	// MaxAge is how old a logout token may be; 0 is 5 minutes.
	MaxAge time.Duration
	// Leeway is how far clocks may differ, up to 5 minutes.
	Leeway time.Duration
	// Logger is told why a token was refused; nil is slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// eventLogout is the event of OpenID Connect Back-Channel Logout 1.0 section 2.4.
const (
	eventLogout = "http://schemas.openid.net/event/backchannel-logout"
	typeLogout  = "logout+jwt"
)

// LogoutReceiver returns the endpoint that an OpenID Provider calls when its user logs out
// there (OpenID Connect Back-Channel Logout 1.0), for an application whose users log in by
// that provider: POST of a form with "logout_token", answered with 200 when end returned nil.
// issuer and client are "iss" and "aud" of the token, byte for byte; keys are the provider's,
// such as a jose.Remote. Mount it outside the chain.
//
// A token is taken once: one of another type, without the event, with a nonce (an ID token
// has one), without "sub" and "sid", too old, or used before is answered with 400. Where it
// could not be told, or end returned an error, the answer is 503; the provider sends another
// token then.
func LogoutReceiver(issuer, client string, keys jose.KeySource, uses storage.Replays, end func(context.Context, LoggedOut) error, opts *LogoutReceiverOptions) (http.Handler, error) {
	var o LogoutReceiverOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxAge == 0 {
		o.MaxAge = 5 * time.Minute
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	l := &logoutReceiver{keys: keys, uses: uses, end: end, opts: o, checks: jose.Checks{Issuer: issuer, Audience: client, Leeway: o.Leeway, Clock: o.Clock}}
	if keys == nil || uses == nil || end == nil || o.MaxAge < 0 {
		return nil, errors.New("oauth2: LogoutReceiver wants keys, a store of what was used, what to do, and no age below 0")
	}
	if err := l.checks.Validate(); err != nil {
		return nil, fmt.Errorf("oauth2: LogoutReceiver: %w", err)
	}
	return l, nil
}

type logoutReceiver struct {
	keys   jose.KeySource
	uses   storage.Replays
	end    func(context.Context, LoggedOut) error
	opts   LogoutReceiverOptions
	checks jose.Checks
}

func (l *logoutReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := l.receive(w, r); err != nil {
		fail(w, r, err, loggerOr(l.opts.Logger))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (l *logoutReceiver) receive(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	bad := refuse("invalid_request", "The logout_token is not valid.")
	out, reg, err := l.read(r.Context(), f.get("logout_token"))
	switch {
	case errors.Is(err, jose.ErrInvalid):
		return bad.with(err)
	case err != nil:
		return err
	}
	key := storage.BlockKeyOf("logout token", reg.Issuer, reg.ID)
	until := reg.Expires.Add(l.opts.Leeway)
	switch err := l.uses.FirstUse(r.Context(), key, l.opts.Clock(), until); {
	case errors.Is(err, storage.ErrConflict):
		return bad.with(errors.New("used before"))
	case err != nil:
		return err
	}
	_, err = audit.Call("oauth2.NewBackChannelLogout", func() (any, error) { return nil, l.end(r.Context(), out) })
	return err
}

// read checks a logout token (section 2.6). An error that is no jose.ErrInvalid is a fault.
func (l *logoutReceiver) read(ctx context.Context, text string) (LoggedOut, jose.Registered, error) {
	not := func(why string) (LoggedOut, jose.Registered, error) {
		return LoggedOut{}, jose.Registered{}, fmt.Errorf("%w: %s", jose.ErrInvalid, why)
	}
	t, err := jose.Verify(ctx, text, l.keys, typeLogout)
	if err != nil {
		return LoggedOut{}, jose.Registered{}, err
	}
	reg, err := t.Claims.Registered()
	if err != nil {
		return LoggedOut{}, reg, err
	}
	session, _ := t.Claims.Text("sid")
	switch _, nonce := t.Claims.Get("nonce"); {
	case nonce:
		return not("a nonce")
	case reg.Subject == "" && session == "":
		return not("neither sub nor sid")
	case reg.IssuedAt.IsZero() || l.opts.Clock().Sub(reg.IssuedAt) > l.opts.MaxAge+l.opts.Leeway:
		return not("too old, or without iat")
	}
	var events map[string]map[string]any
	if err := t.Claims.Decode("events", &events); err != nil || events[eventLogout] == nil {
		return not("not the event of a logout")
	}
	if reg.Subject == "" { // the checks want a subject
		return l.withoutSubject(reg, session)
	}
	if _, err := l.checks.Check(t.Claims); err != nil {
		return LoggedOut{}, reg, err
	}
	return LoggedOut{reg.Issuer, reg.Subject, session}, reg, nil
}

// withoutSubject makes the checks of a token that names a session alone.
func (l *logoutReceiver) withoutSubject(reg jose.Registered, session string) (LoggedOut, jose.Registered, error) {
	now, c := l.opts.Clock(), l.checks
	ok := reg.Issuer == c.Issuer && slices.Contains(reg.Audience, c.Audience) && reg.ID != "" && !reg.Expires.IsZero() &&
		now.Before(reg.Expires.Add(c.Leeway)) && !reg.IssuedAt.After(now.Add(c.Leeway)) && !reg.NotBefore.After(now.Add(c.Leeway))
	if !ok {
		return LoggedOut{}, reg, fmt.Errorf("%w: another issuer or audience, without jti or exp, or not of this time", jose.ErrInvalid)
	}
	return LoggedOut{reg.Issuer, "", session}, reg, nil
}
