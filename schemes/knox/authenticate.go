package knox

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
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
	text, err := s.header.Read(r)
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
		if text := authn.Presented(r, keyword); s.format.Fits(text) {
			return text
		}
	}
	return ""
}

// known is whom a token belongs to, in one allocation.
type known struct {
	identity authn.Identity
	token    storage.DeviceToken
	account  storage.Loaded
	lease    storage.Lease
	due      time.Time // when the use is to be noted again
}

// identify is Authenticate without a note of the use.
func (s *Scheme) identify(ctx context.Context, d *storage.Digest, now time.Time) (*known, error) {
	t, u, err := s.store.DeviceTokenByDigest(ctx, *d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, s.header.Reject(err)
	case err != nil:
		return nil, err
	}
	if err := credential.CheckAccount(u, t.Epoch); err != nil {
		return nil, s.header.Reject(err)
	}
	if t.Expired(now) {
		s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.CredentialRejected, Reason: "expired", Scheme: s.Name(), Subject: t.Subject, Credential: t.ID, Epoch: t.Epoch})
		return nil, s.header.Reject(errors.New("expired"))
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

// touch writes down the use of t, and renews it, if the last write is MinInterval old. Of
// concurrent requests one writes, and only while the token exists and has not expired. What is
// written is set in t too.
func (s *Scheme) touch(ctx context.Context, t *storage.DeviceToken, now time.Time) {
	used := credential.Stamp(now)
	before := used.Add(-s.opts.MinInterval)
	if t.LastUsed.After(before) {
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
	written, err := s.uses.Write(ctx, func(ctx context.Context) (bool, error) {
		return s.store.TouchDeviceToken(ctx, t.Digest, used, expires, before)
	})
	switch {
	case err != nil:
		cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "token use not recorded", slog.String("scheme", s.Name()), slog.Any("error", err))
		s.notify(ctx, audit.UseUnrecorded, t)
	case written:
		t.LastUsed = used
		if !expires.IsZero() {
			t.Expires = expires
		}
	}
}
