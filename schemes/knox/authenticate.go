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
	return authn.Unshared(s.authenticate(r))
}

// Share implements authn.Sharer. Over a store that keeps answers (package
// cached) identities are shared, between two notes of the use.
func (s *Scheme) Share() (authn.Authenticator, func(*http.Request) (*authn.Identity, error)) {
	return s, s.authenticate
}

func (s *Scheme) authenticate(r *http.Request) (*authn.Identity, error) {
	ctx := r.Context()
	var d storage.Digest
	var now time.Time
	seen := s.presented(r)
	if seen != "" {
		d = storage.DigestOf(seen)
		var k *known
		if k, now = s.recall.GetNow(ctx, &d, s.clock); k != nil && now.Before(k.due) && !k.token.Expired(now) {
			return &k.identity, nil
		}
	}
	text, err := s.text(r)
	if err != nil {
		return nil, err
	}
	if text != seen {
		d = storage.DigestOf(text)
	}
	if now.IsZero() {
		now = s.opts.Clock()
	}
	k, err := s.identify(ctx, &d, now)
	if err != nil {
		return nil, err
	}
	s.touch(ctx, &k.token, now)
	k.identity.Expires = k.token.Expires
	if k.due = k.token.LastUsed.Add(s.opts.MinInterval); k.lease != nil && now.Before(k.due) && s.opts.User == nil {
		k.identity = k.identity.ForHandlers(k.identity.User.(*storage.User).CloneUser().(*storage.User), k.token.CloneCredential())
		s.recall.Put(&d, k.lease, k)
	}
	return &k.identity, nil
}

// presented returns what may be a token that was accepted before, or "".
func (s *Scheme) presented(r *http.Request) string {
	for _, keyword := range s.opts.Keywords {
		if text := authn.Presented(r, keyword); tokentext.Fits(s.opts.Prefix, text) {
			return text
		}
	}
	return ""
}

// known is whom a token belongs to, in one allocation.
type known struct {
	identity authn.Identity
	token    storage.Credential
	account  storage.Loaded
	lease    storage.Lease
	due      time.Time // when the use is to be noted again
}

// identify is Authenticate without a note of the use.
func (s *Scheme) identify(ctx context.Context, d *storage.Digest, now time.Time) (*known, error) {
	t, u, err := s.store.CredentialByDigest(ctx, Purpose, *d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, s.invalid.With(err)
	case err != nil:
		return nil, err
	case t.Purpose != Purpose: // a store that does not keep the purposes apart
		return nil, s.invalid.With(errors.New("issued by another scheme"))
	case !u.Active:
		return nil, s.invalid.With(errors.New("account disabled"))
	case t.Epoch != u.Epoch:
		return nil, s.invalid.With(errors.New("ended with an earlier epoch of the account"))
	case t.Expired(now):
		s.tell(ctx, Event{Kind: Expired, Subject: t.Subject, TokenID: t.ID, Count: 1})
		return nil, s.invalid.With(errors.New("expired"))
	}
	k := &known{token: t, lease: u.LeaseOf(s.store)}
	k.identity = authn.Identity{Subject: u.ID, Scheme: "knox", Scopes: t.Scopes, Credential: &k.token, Expires: t.Expires}
	var account *storage.User
	if k.identity.Delegated() { // no roles, and permissions by a scope that is mapped to them
		account = k.account.SetScoped(u, s.perms)
	} else {
		k.identity.Roles = u.Roles
		account = k.account.Set(u, s.perms)
	}
	if s.opts.User == nil {
		k.identity.User = account
		return k, nil
	}
	if k.identity.User, err = audit.Call("knox.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) }); err != nil {
		return nil, err
	}
	return k, nil
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
