// Package backchannel receives the logout messages of somebody else's OpenID Provider (OpenID
// Connect Back-Channel Logout 1.0).
//
// Import it in an application whose users log in at that provider, so that their sessions here end
// when they log out there:
//
//	receiver, err := backchannel.New("https://login.example", "my-client-id", providerKeys, db, endSessions, nil)
//	mux.Public("POST /oidc/backchannel-logout", receiver)
//
// Limits: one issuer and client for each Receiver. Your function ends the sessions, so your
// application must store which of them came from which subject and session of the provider.
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

// Logout is what another provider reports: the sessions that its user has here are to end. By
// Subject all of them, by Session the one that was created in that session of the provider. One of
// the two may be "".
type Logout struct{ Issuer, Subject, Session string }

// Options change a Receiver; nil is fine.
type Options struct {
	// MaxAge is the longest age of a logout token; 0 is 5 minutes.
	MaxAge time.Duration
	// Leeway is the allowed difference between clocks, up to 5 minutes.
	Leeway time.Duration
	// Audit receives logout when the sessions ended, and credential.rejected with the reason "used"
	// for a logout token that was sent again. Credential is that of the token; the user is the
	// provider's, so the events have no Subject. nil drops them.
	Audit *audit.Notifier
	// Logger gets the reason why a token was rejected; nil is slog.Default().
	Logger *slog.Logger
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// eventLogout is the event of OpenID Connect Back-Channel Logout 1.0, section 2.4.
const (
	eventLogout = "http://schemas.openid.net/event/backchannel-logout"
	typeLogout  = "logout+jwt"
)

// Receiver is the endpoint that a provider calls: POST of a form with "logout_token". It is safe for
// concurrent use. Mount it outside the chain.
//
// It answers 200 when end returned nil. It accepts a token once: a token of another type, without
// the event, with a nonce (ID tokens have one), without "sub" and "sid", too old, or used before gets
// 400. If that cannot be decided, or end returns an error, the answer is 503; the provider can then
// send the same token again, because only a token whose sessions ended is used up.
type Receiver struct {
	keys   jose.KeySource
	uses   storage.Replays
	end    func(context.Context, Logout) error
	opts   Options
	checks jose.Checks

	mu      sync.Mutex
	running map[storage.BlockKey]chan struct{} // the tokens that are handled now
}

// New returns a Receiver. issuer and client are "iss" and "aud" of the tokens, byte for byte; keys
// are the provider's, such as a jose.RemoteKeySet. uses records the tokens that were used. end ends the
// sessions. It may be called again for sessions that have ended: if its success could not be recorded,
// or if two processes get the same token at the same time.
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
		return nil, errors.New("backchannel: New: keys, uses and end must not be nil, MaxAge must not be negative")
	}
	l := &Receiver{keys: keys, uses: uses, end: end, opts: o, running: map[storage.BlockKey]chan struct{}{}, checks: jose.Checks{Issuer: issuer, Audience: client, Leeway: o.Leeway, Clock: o.Clock}}
	if err := l.checks.Validate(); err != nil {
		return nil, fmt.Errorf("backchannel: New: %w", err)
	}
	return l, nil
}

// ServeHTTP implements http.Handler.
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
		return err // the token stays valid: the provider sends it again, and the session may live
	}
	// The sessions have ended, also if the provider does not wait for the answer.
	err = l.uses.ConsumeJTI(context.WithoutCancel(r.Context()), key, l.opts.Clock(), reg.Expires.Add(l.opts.Leeway))
	if errors.Is(err, storage.ErrConflict) { // another process ended them in this moment
		return nil
	}
	if err == nil {
		l.notify(ctx, audit.Logout, "", key)
	}
	return err
}

func (l *Receiver) notify(ctx context.Context, kind audit.Kind, reason string, token storage.BlockKey) {
	l.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Reason: reason, Scheme: "backchannel", Client: l.checks.Audience, Credential: string(token[:])})
}

// enter returns when no other request of this process handles that token, or with an error when ctx
// ends: of several copies of a token one ends the sessions, and the others are replays.
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

// read checks a logout token (section 2.6). An error other than jose.ErrInvalid is a fault.
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
		return not("not the event of a logout")
	}
	if reg.Subject == "" { // the checks require a subject
		return l.withoutSubject(reg, session)
	}
	if _, err := l.checks.Check(t.Claims); err != nil {
		return Logout{}, reg, err
	}
	return Logout{reg.Issuer, reg.Subject, session}, reg, nil
}

// withoutSubject checks a token that only names a session.
func (l *Receiver) withoutSubject(reg jose.Registered, session string) (Logout, jose.Registered, error) {
	now, c := l.opts.Clock(), l.checks
	ok := reg.Issuer == c.Issuer && slices.Contains(reg.Audience, c.Audience) && reg.ID != "" && !reg.Expires.IsZero() &&
		now.Before(reg.Expires.Add(c.Leeway)) && !reg.IssuedAt.After(now.Add(c.Leeway)) && !reg.NotBefore.After(now.Add(c.Leeway))
	if !ok {
		return Logout{}, reg, fmt.Errorf("%w: another issuer or audience, without jti or exp, expired or not yet valid", jose.ErrInvalid)
	}
	return Logout{reg.Issuer, "", session}, reg, nil
}
