package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// MAC is the HMAC of something with too little entropy for a plain digest, such as a short
// code that a user types, under a key derived from the master key.
type MAC [32]byte

// IsZero reports whether m is the zero MAC, which nothing has.
func (m MAC) IsZero() bool { return m == MAC{} }

// String says [redacted].
func (MAC) String() string { return redacted }

// GoString says [redacted].
func (MAC) GoString() string { return redacted }

// LogValue says [redacted].
func (MAC) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says "[redacted]".
func (MAC) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// DeviceState is what became of a device grant.
type DeviceState string

// A grant is pending first, then approved or denied by a user; an approved one is claimed
// once, by the client.
const (
	DevicePending  DeviceState = "pending"
	DeviceApproved DeviceState = "approved"
	DeviceDenied   DeviceState = "denied"
	DeviceClaimed  DeviceState = "claimed"
)

// SlowDownIncrement is what a poll that came too early adds to a grant's interval (RFC 8628
// section 3.5).
const SlowDownIncrement = 5 * time.Second

// DeviceGrant is what a client without a browser asks for, a user decides on another device,
// and the client polls for (RFC 8628).
type DeviceGrant struct {
	// Digest is that of the device code, UserCode that of the code that the user types.
	Digest           Digest
	UserCode         MAC
	Client           string
	Scopes, Resource []string
	// Interval is how far polls have to be apart, Polled when the last one was; zero: none
	// yet. Slow: it came too early.
	Interval time.Duration
	Polled   time.Time
	Slow     bool
	State    DeviceState
	// Subject decided, with that epoch, having logged in at AuthTime; "" for nobody yet.
	Subject          string
	Epoch            int64
	AuthTime         time.Time
	Created, Expires time.Time
}

// Expired reports whether the grant has ended at now.
func (g *DeviceGrant) Expired(now time.Time) bool { return !now.Before(g.Expires) }

// Check returns ErrInvalid, with a word on why, unless g can be kept.
func (g *DeviceGrant) Check() error {
	var end error
	switch {
	case g.Digest.IsZero() || g.UserCode.IsZero():
		end = fmt.Errorf("%w: a device grant without its codes", ErrInvalid)
	case g.Expires.IsZero() || g.Interval <= 0:
		end = fmt.Errorf("%w: a device grant without an end or an interval", ErrInvalid)
	}
	return errors.Join(end, CheckID("client", g.Client), checkScopes(g.Scopes), checkScopes(g.Resource))
}

// DeviceDecision is a user's answer to a device grant.
type DeviceDecision struct {
	Digest Digest
	// Approve it, or deny it.
	Approve bool
	Subject string
	// Epoch is the subject's as read before the user was authenticated.
	Epoch    int64
	AuthTime time.Time
	// Now is when; a grant that has expired by then is not decided.
	Now time.Time
}

// DeviceGrants keeps device grants. What has expired stays until Prune removes it.
type DeviceGrants interface {
	// CreateDeviceGrant inserts g, pending, never polled. ErrStale where its client is absent
	// or disabled; ErrConflict where one of its codes is taken; ErrInvalid where g cannot be
	// kept.
	CreateDeviceGrant(ctx context.Context, g DeviceGrant) error
	// DeviceGrantByUserCode returns the grant, decided and expired or not. ErrNotFound where
	// there is none.
	DeviceGrantByUserCode(ctx context.Context, code MAC) (DeviceGrant, error)
	// DecideDeviceGrant approves or denies a grant, as one change. ErrNotFound where there is
	// none; ErrConflict where it was decided already or has expired; ErrStale where the
	// subject is absent, disabled, or its epoch is not d.Epoch. Nothing is changed then.
	DecideDeviceGrant(ctx context.Context, d DeviceDecision) error
	// PollDeviceGrant returns the client's grant. Where it is pending and has not expired the
	// poll is noted, as one change: Polled is now, Slow says whether the last poll is less
	// than Interval ago, and Interval is longer by SlowDownIncrement then. ErrNotFound where there
	// is none, or it is another client's.
	PollDeviceGrant(ctx context.Context, d Digest, client string, now time.Time) (DeviceGrant, error)
	// ConsumeDeviceGrant marks an approved grant as claimed. ErrConflict where it was claimed
	// already, is not approved, or has expired; ErrNotFound where there is none. Of many at
	// once one claims it. The subject's epoch is judged where the family is inserted.
	ConsumeDeviceGrant(ctx context.Context, d Digest, now time.Time) error
	// DeleteDeviceGrants deletes the client's grants that the subject approved and nobody
	// claimed. None is no error.
	DeleteDeviceGrants(ctx context.Context, subject, client string) error
}

// Attempts counts what may be tried a few times only.
type Attempts interface {
	// CountAttempt adds one to the counter of that name and returns it with its end. A counter
	// that is not there, or has ended by now, begins at one and ends at until; so does one that
	// ends more than ClockSkew after until, because it was made by a clock that was ahead.
	CountAttempt(ctx context.Context, name MAC, now, until time.Time) (n int, ends time.Time, err error)
	// ForgiveAttempt takes one back, if there is one.
	ForgiveAttempt(ctx context.Context, name MAC) error
}
