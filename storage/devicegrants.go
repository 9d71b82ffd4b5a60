package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// MAC is an HMAC of something that has too little entropy for a plain digest, such as a short code
// that a user enters. Its key is derived from the master key.
type MAC [32]byte

// IsZero reports whether m is the zero MAC, which no value has.
func (m MAC) IsZero() bool { return m == MAC{} }

// String returns "[redacted]".
func (MAC) String() string { return redacted }

// GoString returns "[redacted]".
func (MAC) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (MAC) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (MAC) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// DeviceState is the state of a device grant.
type DeviceState string

// A grant is pending until a user approves or denies it. The client claims an approved grant once.
const (
	DevicePending  DeviceState = "pending"
	DeviceApproved DeviceState = "approved"
	DeviceDenied   DeviceState = "denied"
	DeviceClaimed  DeviceState = "claimed"
)

// SlowDownIncrement is added to the interval of a grant if a poll comes too early (RFC 8628,
// section 3.5).
const SlowDownIncrement = 5 * time.Second

// DeviceGrant is the request of a client without a browser (RFC 8628). The client polls for the
// decision, and a user approves or denies the request on another device.
type DeviceGrant struct {
	// Digest is the digest of the device code. UserCode is the MAC of the code that the user
	// enters.
	Digest           Digest
	UserCode         MAC
	Client           string
	Scopes, Resource []string
	// Interval is the minimum time between polls. Polled is the time of the last poll; zero means
	// none. Slow means that the last poll came too early.
	Interval time.Duration
	Polled   time.Time
	Slow     bool
	State    DeviceState
	// Subject is the user who decided; "" if no user has decided yet. Epoch is the user's epoch at
	// the decision. AuthTime, ACR and AMR describe the user's login; see [Session].
	Subject          string
	Epoch            int64
	AuthTime         time.Time
	ACR              string
	AMR              []string
	Created, Expires time.Time
}

// Expired reports whether the grant has expired at the given time.
func (g *DeviceGrant) Expired(now time.Time) bool { return !now.Before(g.Expires) }

// Check returns ErrInvalid, with the reason, if g cannot be stored.
func (g *DeviceGrant) Check() error {
	var end error
	switch {
	case g.Digest.IsZero() || g.UserCode.IsZero():
		end = fmt.Errorf("%w: device grant without its codes", ErrInvalid)
	case g.Expires.IsZero() || g.Interval <= 0:
		end = fmt.Errorf("%w: device grant without an expiry or an interval", ErrInvalid)
	}
	return errors.Join(end, CheckID("client", g.Client), checkScopes(g.Scopes), checkScopes(g.Resource))
}

// DeviceDecision is a user's decision about a device grant.
type DeviceDecision struct {
	Digest Digest
	// Approve approves the grant; false denies it.
	Approve bool
	Subject string
	// Epoch is the subject's epoch, read before the user was authenticated.
	Epoch int64
	// AuthTime, ACR and AMR describe the user's login; see [Session].
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Now is the current time. A grant that has expired at Now is not decided.
	Now time.Time
}

// Check returns ErrInvalid, with the reason, if d cannot be stored.
func (d *DeviceDecision) Check() error { return checkMethods(d.ACR, d.AMR) }

// DeviceGrants stores device grants. Expired ones stay until they are pruned.
type DeviceGrants interface {
	// CreateDeviceGrant inserts g as a pending grant that was never polled. It returns ErrStale if
	// its client is absent or disabled, ErrConflict if one of its codes exists, and ErrInvalid if
	// g.Check rejects g.
	CreateDeviceGrant(ctx context.Context, g DeviceGrant) error
	// DeviceGrantByUserCode returns the grant, even if it was decided or has expired. If there is
	// none, it returns ErrNotFound.
	DeviceGrantByUserCode(ctx context.Context, code MAC) (DeviceGrant, error)
	// DecideDeviceGrant approves or denies a grant, in one change. It returns ErrNotFound if there
	// is no such grant, and ErrConflict if it was already decided or has expired. It returns
	// ErrStale if the subject is absent or disabled, or its epoch is not d.Epoch, and ErrInvalid if
	// ACR or AMR cannot be stored. Errors change nothing.
	DecideDeviceGrant(ctx context.Context, d DeviceDecision) error
	// PollDeviceGrant returns the client's grant. If it is pending and has not expired, the poll is
	// recorded, in one change: Polled becomes now, and Slow reports whether the previous poll was
	// less than Interval ago. If so, Interval becomes longer by SlowDownIncrement. It returns
	// ErrNotFound if there is no such grant or it belongs to another client.
	PollDeviceGrant(ctx context.Context, d Digest, client string, now time.Time) (DeviceGrant, error)
	// ConsumeDeviceGrant marks an approved grant as claimed. It returns ErrNotFound if there is no
	// such grant. It returns ErrConflict if the grant was already claimed, is not approved, or has
	// expired. Of several concurrent calls, one succeeds. CreateFamily checks the subject's epoch.
	ConsumeDeviceGrant(ctx context.Context, d Digest, now time.Time) error
	// DeleteDeviceGrants deletes the client's unclaimed grants that the subject approved, if there
	// are any.
	DeleteDeviceGrants(ctx context.Context, subject, client string) error
}

// Attempts counts attempts of operations with a limit.
type Attempts interface {
	// CountAttempt increments the counter with that name, and returns the counter's value and end.
	// If the counter does not exist or has ended, a new one begins at 1 and ends at the given time.
	// A counter that ends more than ClockSkew later than the given time is also replaced, because a
	// clock that was ahead created it.
	CountAttempt(ctx context.Context, name MAC, now, until time.Time) (n int, ends time.Time, err error)
	// ForgiveAttempt decrements the counter, if it is above 0.
	ForgiveAttempt(ctx context.Context, name MAC) error
}
