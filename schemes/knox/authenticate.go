package knox

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// touchTimeout bounds the write of a use: a request does not wait for a store
	// that is slow to write.
	touchTimeout = time.Second
	// touchPause is how long no use is written after one could not be.
	touchPause = time.Second
)

// Authenticate looks for a token under the scheme's keywords. It takes one query,
// and once in Options.MinInterval one conditional write that notes the use and
// renews the token. Where that write fails the request goes on: the failure is
// logged and observed, and nothing is written for the next second.
//
// An unknown, revoked, expired or outdated token and a disabled account are
// refused alike; the reason goes to the log (RULES C6). A token is expired when
// the clock shows its expiry.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := s.text(r)
	if err != nil {
		return authn.Identity{}, err
	}
	ctx, now := r.Context(), s.opts.Clock()
	id, t, lease, err := s.identify(ctx, storage.DigestOf(text), now)
	if err != nil {
		return authn.Identity{}, err
	}
	s.touch(ctx, t, now)
	id.Expires = t.Expires
	if s.opts.User != nil { // the application makes its account for each request
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: lease, Until: t.LastUsed.Add(s.opts.MinInterval), Clock: s.clock}), nil
}

// Presented implements authn.Keeper: over a store that gives leases (package cached), identities
// are kept until the use of the token is to be noted again.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	for _, keyword := range s.opts.Keywords {
		if text := authn.RawCredentials(r, keyword); tokentext.Fits(s.opts.Prefix, text) {
			return text, false
		}
	}
	return "", false
}

// identify is Authenticate without a note of the use.
func (s *Scheme) identify(ctx context.Context, d storage.Digest, now time.Time) (id authn.Identity, token *storage.Credential, lease storage.Lease, err error) {
	t, u, err := s.store.CredentialByDigest(ctx, Purpose, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return id, nil, nil, s.invalid.With(err)
	case err != nil:
		return id, nil, nil, err
	case t.Purpose != Purpose: // a store that does not keep the purposes apart
		return id, nil, nil, s.invalid.With(errors.New("issued by another scheme"))
	case !u.Active:
		return id, nil, nil, s.invalid.With(errors.New("account disabled"))
	case t.Epoch != u.Epoch:
		return id, nil, nil, s.invalid.With(errors.New("ended with an earlier epoch of the account"))
	case t.Expired(now):
		s.tell(ctx, Event{Kind: Expired, Subject: t.Subject, TokenID: t.ID, Count: 1})
		return id, nil, nil, s.invalid.With(errors.New("expired"))
	}
	id = authn.Identity{Subject: u.ID, Scheme: "knox", Scopes: t.Scopes, Credential: &t, Expires: t.Expires}
	var account *storage.User
	if id.Delegated() { // no roles, and permissions by a scope that is mapped to them
		account = u.WithScopedPermissions(s.perms)
	} else {
		id.Roles = u.Roles
		account = u.WithPermissions(s.perms)
	}
	id.User = account
	if s.opts.User != nil {
		if id.User, err = audit.Call("knox.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) }); err != nil {
			return authn.Identity{}, nil, nil, err
		}
	}
	return id, &t, u.LeaseOf(s.store), nil
}

// text returns the token that the request carries.
func (s *Scheme) text(r *http.Request) (string, error) {
	for _, keyword := range s.opts.Keywords {
		text, err := authn.Credentials(r, keyword, "token")
		switch {
		case err == authn.ErrNoCredentials:
			continue
		case err != nil:
			return "", err
		case tokentext.Valid(s.opts.Prefix, text):
			return text, nil
		case tokentext.HasPrefix(s.opts.Prefix, text):
			return "", s.invalid.With(errors.New("malformed"))
		}
		return "", s.unrecognized
	}
	return "", authn.ErrNoCredentials
}

// touch notes the use of t, and renews it, where the last note is MinInterval old.
// The store does it once however many ask, and only while the token is there and
// not expired. What it writes, it writes into t too.
func (s *Scheme) touch(ctx context.Context, t *storage.Credential, now time.Time) {
	used := stamp(now)
	before := used.Add(-s.opts.MinInterval)
	if t.LastUsed.After(before) || s.elapsed.Now() < time.Duration(s.pause.Load()) {
		return
	}
	var expires time.Time // zero: left as it is
	if t.TTL > 0 && !t.Expires.IsZero() {
		expires = used.Add(t.TTL)
		if !t.Max.IsZero() && expires.After(t.Max) {
			expires = t.Max
		}
		if !expires.After(t.Expires) {
			expires = time.Time{}
		}
	}
	bounded, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	written, err := s.store.TouchCredential(bounded, Purpose, t.Digest, used, expires, before)
	switch {
	case err != nil && ctx.Err() != nil: // the client went away
	case err != nil:
		s.pause.Store(int64(s.elapsed.Now() + touchPause))
		s.logger().LogAttrs(ctx, slog.LevelWarn, "use of a token could not be noted", slog.Any("error", err))
		s.tell(ctx, Event{Kind: TouchFailed, Subject: t.Subject, TokenID: t.ID, Count: 1})
	case written:
		t.LastUsed = used
		if !expires.IsZero() {
			t.Expires = expires
		}
	}
}

// stamp is a time as every store keeps it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// logger is looked up at each use where it is the default one, which a program
// may set after it made its scheme.
func (s *Scheme) logger() *slog.Logger {
	if s.opts.Logger != nil {
		return s.opts.Logger
	}
	return slog.Default()
}
