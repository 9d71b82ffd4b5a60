// Package backchannel receives logout messages from another OpenID Provider (OpenID Connect
// Back-Channel Logout 1.0).
//
// Import it in an application whose users log in at that provider. When a user logs out there, the
// provider calls this endpoint, which ends the user's sessions in your application:
//
//	receiver, err := backchannel.New("https://login.example", "my-client-id", providerKeys, db, endSessions, nil)
//	mux.Public("POST /oidc/backchannel-logout", receiver)
//
// Limits: a Receiver serves one issuer and client. Your function ends the sessions, so your
// application must store which subject and session of the provider each session came from.
package backchannel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Logout is a logout that the provider reports. If Session is "", end all sessions of Subject in
// your application. Otherwise end the session that was created in that session of the provider. One
// of Subject and Session may be "".
type Logout struct{ Issuer, Subject, Session string }

// Options configure a [Receiver]. A nil *Options means all defaults.
type Options struct {
	// MaxAge is the maximum age of a logout token; 0 means 5 minutes.
	MaxAge time.Duration
	// Leeway is the allowed difference between clocks: 0 to 5 minutes.
	Leeway time.Duration
	// Audit receives "logout" after the sessions ended, and credential.rejected with the reason
	// "used" for a logout token that was sent again. Credential identifies the token. The events
	// have no Subject, because the user belongs to the provider. Nil drops the events.
	Audit *audit.Notifier
	// Logger receives the reasons why tokens were rejected; nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// eventLogout is the event of OpenID Connect Back-Channel Logout 1.0, section 2.4.
const (
	eventLogout = "http://schemas.openid.net/event/backchannel-logout"
	typeLogout  = "logout+jwt"
)

// Receiver is the endpoint that the provider calls. It accepts a POST of a form with
// "logout_token". It is safe for concurrent use. Mount it outside the chain.
//
// It responds with 200 if end returned nil. It accepts a token once. The response is 400 if the
// token has another type, has no logout event, has a nonce (as ID tokens have), has neither "sub"
// nor "sid", is too old, or was used before. If a store or the key source fails, or end returns an
// error, the response is 503. The provider can then send the same token again, because a token is
// consumed only after its sessions ended.
type Receiver struct {
	keys   jose.KeySource
	uses   storage.Replays
	end    func(context.Context, Logout) error
	opts   Options
	checks jose.Checks

	mu      sync.Mutex
	running map[storage.BlockKey]chan struct{} // the tokens being processed
}

// New returns a Receiver. issuer and client are the values of "iss" and "aud" in the tokens, byte
// for byte. keys are the provider's keys, such as a jose.RemoteKeySet. The argument uses is the
// store that records used tokens. The function end ends the sessions. It may be called again for
// sessions that have already ended. This happens if the success of the first call could not be
// recorded, or if two processes receive the same token at the same time.
//
// New returns an error if keys, uses or end is nil, or if another argument or option is invalid.
func New(issuer, client string, keys jose.KeySource, uses storage.Replays, end func(context.Context, Logout) error, opts *Options) (*Receiver, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.MaxAge = cmp.Or(o.MaxAge, 5*time.Minute)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if keys == nil || uses == nil || end == nil || o.MaxAge < 0 {
		return nil, errors.New("backchannel: New: keys, uses and end are required, and MaxAge must be at least 0")
	}
	l := &Receiver{keys: keys, uses: uses, end: end, opts: o, running: map[storage.BlockKey]chan struct{}{}, checks: jose.Checks{Issuer: issuer, Audience: client, Leeway: o.Leeway, Clock: o.Clock}}
	if err := l.checks.Validate(); err != nil {
		return nil, fmt.Errorf("backchannel: New: %w", err)
	}
	if err := o.Audit.CheckStore(uses); err != nil {
		return nil, err
	}
	return l, nil
}

// ServeHTTP implements [http.Handler].
func (l *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := l.receive(w, r); err != nil {
		oauth2.RespondError(w, r, err, l.opts.Logger)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (l *Receiver) receive(w http.ResponseWriter, r *http.Request) error {
	f, err := oauth2.ReadForm(w, r)
	if err != nil {
		return err
	}
	bad := oauth2.NewError("invalid_request", "The logout_token is not valid.")
	out, reg, err := l.read(r.Context(), f.Get("logout_token"))
	switch {
	case errors.Is(err, jose.ErrInvalid):
		return bad.WithCause(err)
	case err != nil:
		return err
	}
	key := storage.BlockKeyOf("logout token", reg.Issuer, fmt.Sprintf("%d %s%s", len(reg.ID), reg.ID, l.checks.Audience)) // one token can be for several clients
	leave, err := l.enter(r.Context(), key)
	if err != nil {
		return err
	}
	defer leave()
	ctx := audit.Context(r)
	switch used, err := l.uses.Used(r.Context(), key); {
	case err != nil:
		return err
	case used:
		l.notify(ctx, audit.CredentialRejected, "used", key)
		return bad.WithCause(errors.New("used before"))
	}
	if _, err = audit.Call("backchannel.New end", func() (any, error) { return nil, l.end(r.Context(), out) }); err != nil {
		return err // the token stays valid, so the provider can send it again
	}
	// The sessions have ended, so record this even if the provider disconnects.
	err = l.opts.Audit.Change(context.WithoutCancel(ctx), l.uses, func(ctx context.Context) error {
		err := l.uses.ConsumeJTI(ctx, key, l.opts.Clock(), reg.Expires.Add(l.opts.Leeway))
		if err == nil {
			l.notify(ctx, audit.Logout, "", key)
		}
		return err
	})
	if errors.Is(err, storage.ErrConflict) { // another process ended them concurrently
		return nil
	}
	return err
}

func (l *Receiver) notify(ctx context.Context, kind audit.Kind, reason string, token storage.BlockKey) {
	l.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Reason: reason, Scheme: "backchannel", Client: l.checks.Audience, Credential: string(token[:])})
}

// enter waits until no other request of this process handles the same token, or until ctx ends. Of
// several copies of a token, one ends the sessions and the others are rejected as replays.
func (l *Receiver) enter(ctx context.Context, key storage.BlockKey) (leave func(), err error) {
	for {
		l.mu.Lock()
		other, busy := l.running[key]
		if !busy {
			done := make(chan struct{})
			l.running[key] = done
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.running, key)
				l.mu.Unlock()
				close(done)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// read verifies a logout token (section 2.6). An error other than jose.ErrInvalid is a server
// error.
func (l *Receiver) read(ctx context.Context, text string) (Logout, jose.Registered, error) {
	not := func(why string) (Logout, jose.Registered, error) {
		return Logout{}, jose.Registered{}, fmt.Errorf("%w: %s", jose.ErrInvalid, why)
	}
	t, err := jose.Verify(ctx, text, l.keys, typeLogout)
	if err != nil {
		return Logout{}, jose.Registered{}, err
	}
	reg, err := t.Claims.Registered()
	if err != nil {
		return Logout{}, reg, err
	}
	session, _ := t.Claims.Text("sid")
	switch _, nonce := t.Claims.Get("nonce"); {
	case nonce:
		return not("has a nonce")
	case reg.Subject == "" && session == "":
		return not("neither sub nor sid")
	case reg.IssuedAt.IsZero() || l.opts.Clock().Sub(reg.IssuedAt) > l.opts.MaxAge+l.opts.Leeway:
		return not("too old, or without iat")
	}
	var events map[string]map[string]any
	if err := t.Claims.Decode("events", &events); err != nil || events[eventLogout] == nil {
		return not("no logout event")
	}
	if reg.Subject == "" { // jose.Checks requires a subject
		return l.withoutSubject(reg, session)
	}
	if _, err := l.checks.Check(t.Claims); err != nil {
		return Logout{}, reg, err
	}
	return Logout{reg.Issuer, reg.Subject, session}, reg, nil
}

// withoutSubject checks a token that names only a session.
func (l *Receiver) withoutSubject(reg jose.Registered, session string) (Logout, jose.Registered, error) {
	now, c := l.opts.Clock(), l.checks
	ok := reg.Issuer == c.Issuer && slices.Contains(reg.Audience, c.Audience) && reg.ID != "" && !reg.Expires.IsZero() &&
		now.Before(reg.Expires.Add(c.Leeway)) && !reg.IssuedAt.After(now.Add(c.Leeway)) && !reg.NotBefore.After(now.Add(c.Leeway))
	if !ok {
		return Logout{}, reg, fmt.Errorf("%w: another issuer or audience, without jti or exp, expired or not yet valid", jose.ErrInvalid)
	}
	return Logout{reg.Issuer, "", session}, reg, nil
}
