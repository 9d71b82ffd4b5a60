package rotation

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Begin stores a family with its first token. It sets Created, Expires and, if it is zero, AuthTime
// of the family. It returns the errors of storage.Families.
func (r *Rotator) Begin(ctx context.Context, f storage.Family, secret string) (storage.Family, error) {
	f.Expires = time.Time{}
	return r.BeginWithin(ctx, f, secret, 0)
}

// BeginWithin is [Rotator.Begin] for a family with shorter lifetimes. If f.Expires is set, the
// family expires then, unless Options.Absolute ends it earlier. idle shortens Options.Idle for the
// first token; 0 does not.
func (r *Rotator) BeginWithin(ctx context.Context, f storage.Family, secret string, idle time.Duration) (storage.Family, error) {
	now := r.opts.Clock().UTC()
	f.Created = now
	if end := now.Add(r.opts.Absolute); f.Expires.IsZero() || f.Expires.After(end) {
		f.Expires = end
	}
	if f.AuthTime.IsZero() {
		f.AuthTime = now
	}
	err := r.store.CreateFamily(ctx, f, storage.Refresh{Digest: storage.DigestOf(secret), Created: now, Expires: r.end(f, now, idle)})
	return f, err
}

// End returns the expiry of a refresh token that is created at the time now.
func (r *Rotator) End(f storage.Family, now time.Time) time.Time { return r.end(f, now, 0) }

// end is End with a shorter idle time, unless that is 0.
func (r *Rotator) end(f storage.Family, now time.Time, idle time.Duration) time.Time {
	if idle <= 0 || idle > r.opts.Idle {
		idle = r.opts.Idle
	}
	if end := now.Add(idle); end.Before(f.Expires) {
		return end
	}
	return f.Expires
}
