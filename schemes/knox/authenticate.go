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

// Authenticate reads a token after one of the scheme's keywords. It costs one query. At most once
// per Options.MinInterval it also makes one conditional write, which records the token's use and
// renews the token. If this write fails, the request continues, and the failure is logged and
// reported as an event. No further write is tried for a second.
//
// An unknown, revoked, expired or outdated token and the token of a disabled account get the same
// response; the log has the reason. A token is invalid from the instant of its expiry.
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := s.header.Read(r)
	if err != nil {
		return authn.Identity{}, err
	}
	ctx, now := r.Context(), s.opts.Clock()
	id, t, lease, err := s.identify(ctx, storage.DigestOf(text), now)
	if err != nil {
		return authn.Identity{}, err
	}
	if !authn.Explained(ctx) {
		s.touch(ctx, t, now)
	}
	id.Expires = t.Expires
	if s.opts.User != nil || t.LastUsed.After(now) { // the application creates an account per request, or a clock was ahead and the use was not recorded
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: lease, Until: t.LastUsed.Add(s.opts.MinInterval), Clock: s.clock}), nil
}

// Presented implements authn.Keeper. If the store has leases (package cached), the middleware keeps
// identities until the next use of the token must be recorded.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	return s.header.Presented(r)
}

// identify does the work of Authenticate without recording the use.
func (s *Scheme) identify(ctx context.Context, d storage.Digest, now time.Time) (id authn.Identity, token *storage.Credential, lease storage.Lease, err error) {
	t, u, err := s.store.CredentialByDigest(ctx, Purpose, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return id, nil, nil, s.header.Reject(err)
	case err != nil:
		return id, nil, nil, err
	case t.Purpose != Purpose: // the store does not distinguish purposes
		return id, nil, nil, s.header.Reject(errors.New("issued by another scheme"))
	}
	if err := credential.CheckAccount(u, t.Epoch); err != nil {
		return id, nil, nil, s.header.Reject(err)
	}
	if t.Expired(now) || !t.Expires.IsZero() && (storage.LoginAhead(now, t.Created) || storage.LoginAhead(now, t.LastUsed)) {
		s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.CredentialRejected, Reason: "expired", Scheme: s.Name(), Subject: t.Subject, Credential: t.ID, Epoch: t.Epoch})
		return id, nil, nil, s.header.Reject(errors.New("expired"))
	}
	id = authn.Identity{Subject: u.ID, Scheme: "knox", Scopes: t.Scopes, Credential: &t, Expires: t.Expires}
	id.SetStore(s.accounts)
	var account *storage.Account
	if id.Delegated() { // no roles, and permissions only through authz.ScopeGrants
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

// touch records a use of t and renews it, if the last recorded use is at least MinInterval ago. Of
// several concurrent requests one writes, and only while the token exists and has not expired.
// touch also updates t.
func (s *Scheme) touch(ctx context.Context, t *storage.Credential, now time.Time) {
	used := credential.Stamp(now)
	before := used.Add(-s.opts.MinInterval)
	ahead := t.LastUsed.After(used)
	switch {
	case ahead: // a clock was ahead: start again from the current time
		before = t.LastUsed
	case t.LastUsed.After(before):
		return
	}
	var expires time.Time // zero keeps the expiry
	if t.TTL > 0 && !t.Expires.IsZero() {
		expires = used.Add(t.TTL)
		if !t.Max.IsZero() && expires.After(t.Max) {
			expires = t.Max
		}
		if !expires.After(t.Expires) && !ahead {
			expires = time.Time{}
		}
	}
	written, err := s.uses.Write(ctx, func(ctx context.Context) (bool, error) {
		return s.store.TouchCredential(ctx, Purpose, t.Digest, used, expires, before)
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
