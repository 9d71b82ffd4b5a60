// Package rotation is the life of refresh tokens, for JWT and OAuth2 alike
// (RULES T2, T3): each is exchanged once for the next of its family; who lost the
// answer may have it again for a moment; who uses an older one ends the family.
//
// A refresh token is a secret text here, whatever it looks like on the wire.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// The refusals of Rotate and Inspect. Any other error means that it could not be
// decided.
var (
	// ErrUnknown: there is no such token.
	ErrUnknown = errors.New("unknown refresh token")
	// ErrExpired: the token, or its family, has reached its end.
	ErrExpired = errors.New("refresh token expired")
	// ErrEnded: the family was ended, or its subject was: logged out, disabled, or
	// given a new password.
	ErrEnded = errors.New("refresh family ended")
	// ErrReused: the token was exchanged before, and this use ended the family.
	ErrReused = errors.New("refresh token used again")
	// ErrMismatch: the token is not for this client, purpose or key, or a repetition
	// came with other parameters. Nothing was changed.
	ErrMismatch = errors.New("refresh token of another client or with other parameters")
	// ErrTooMany: the family has had as many exchanges as it may (storage.MaxExchanges). The
	// token stays valid; RetryAfter is when it may be tried again.
	ErrTooMany = errors.New("refresh tokens exchanged too often")
)

// RetryAfter is how long ErrTooMany holds at most.
const RetryAfter = storage.ExchangeEvery

// MaxGrace is the longest window for a repetition.
const MaxGrace = 60 * time.Second

// Options of a Rotator. All durations are needed; Grace may be 0.
type Options struct {
	// Grace is how long the answer of an exchange may be asked for again; 0 is never.
	Grace time.Duration
	// Idle is how long a refresh token waits to be exchanged, Absolute how long a
	// family lives.
	Idle, Absolute time.Duration
	// Block is how long access tokens may be about: their longest life, with leeway.
	Block time.Duration
	Clock func() time.Time
}

// Rotator exchanges refresh tokens. It is safe for concurrent use.
type Rotator struct {
	store storage.Families
	opts  Options

	mu   sync.Mutex
	used map[string]time.Time // families, with the newest token whose use was told
}

// New returns a Rotator; it refuses durations that make no sense.
func New(store storage.Families, o Options) (*Rotator, error) {
	switch {
	case store == nil || o.Clock == nil:
		return nil, errors.New("a store and a clock are needed")
	case o.Grace < 0 || o.Grace > MaxGrace:
		return nil, fmt.Errorf("a grace of %v: want 0 to %v", o.Grace, MaxGrace)
	case o.Idle <= 0 || o.Absolute < o.Idle:
		return nil, fmt.Errorf("refresh tokens of %v in families of %v: want both above 0 and the second not shorter", o.Idle, o.Absolute)
	case o.Block <= 0:
		return nil, errors.New("the longest life of access tokens is needed")
	}
	return &Rotator{store: store, opts: o, used: make(map[string]time.Time)}, nil
}

// Use is one presentation of a refresh token.
type Use struct {
	// Secret is the token's text, or what makes it a secret.
	Secret  string
	Purpose string
	// Client is who presents it, as it was authenticated.
	Client string
	// Scopes and Resource are those asked for, nil for none.
	Scopes, Resource []string
	// Confirm is the thumbprint of the DPoP key, or "". A family that is bound to a key is
	// exchanged with that one alone; any other with any, which a repetition must then have too.
	Confirm string
	// Source is where the request comes from, "" where that is not known. See Used.
	Source string
}

// Mint makes the answer of an exchange: st is the state of the presented token, end
// the latest that the next one may expire. It returns the answer and the next
// token's secret. Its errors are passed on; nothing is changed then. It may be
// called again where a digest is taken.
type Mint func(ctx context.Context, st storage.RefreshState, end time.Time) (answer []byte, next string, err error)

// Result is what an exchange gave.
type Result struct {
	// Answer is Mint's, or for a repetition what Mint gave at the first exchange.
	Answer   []byte
	State    storage.RefreshState
	Repeated bool
}

// Begin stores a family with its first token. The family's Created, Expires and,
// where zero, AuthTime are set here. Errors are those of storage.Families.
func (r *Rotator) Begin(ctx context.Context, f storage.Family, secret string) (storage.Family, error) {
	now := r.opts.Clock().UTC()
	f.Created, f.Expires = now, now.Add(r.opts.Absolute)
	if f.AuthTime.IsZero() {
		f.AuthTime = now
	}
	err := r.store.CreateFamily(ctx, f, storage.Refresh{Digest: storage.DigestOf(secret), Created: now, Expires: r.End(f, now)})
	return f, err
}

// End returns when a refresh token that is made at now expires.
func (r *Rotator) End(f storage.Family, now time.Time) time.Time {
	if end := now.Add(r.opts.Idle); end.Before(f.Expires) {
		return end
	}
	return f.Expires
}

// attempts bounds how often Rotate looks again after somebody else was first.
const attempts = 4

// Rotate exchanges a refresh token for the next one, as one change of the store. Of
// many at once that present the same token one exchanges it; within the grace all
// get that one's answer. See the refusals above.
//
// With an error that is no refusal it is not known whether the token was exchanged:
// the client tries again with the same one.
func (r *Rotator) Rotate(ctx context.Context, u Use, mint Mint) (Result, error) {
	d := storage.DigestOf(u.Secret)
	for range attempts {
		st, err := r.inspect(ctx, d, u)
		if err != nil {
			return Result{State: st}, err
		}
		if f := st.Family; f.Confirm != "" && f.Confirm != u.Confirm {
			return Result{State: st}, ErrMismatch
		}
		if !st.Refresh.Claimed.IsZero() {
			return r.repeat(ctx, st, u)
		}
		now := r.opts.Clock()
		if !now.Before(st.Refresh.Expires) {
			return Result{State: st}, ErrExpired
		}
		end := r.End(st.Family, now)
		answer, next, err := mint(ctx, st, end)
		if err != nil {
			return Result{State: st}, err
		}
		claim := storage.RefreshClaim{
			Digest: d, Window: r.opts.Grace,
			Next: storage.Refresh{Digest: storage.DigestOf(next), Created: now.UTC(), Expires: end},
		}
		if r.opts.Grace > 0 {
			if claim.Sealed, err = seal(u, st.Family.ID, answer); err != nil {
				return Result{State: st}, err
			}
		}
		switch err := r.store.ClaimRefresh(ctx, claim); {
		case err == nil:
			return Result{Answer: answer, State: st}, nil
		case errors.Is(err, storage.ErrConflict): // somebody else was first: look again
		case errors.Is(err, storage.ErrStale):
			return Result{State: st}, ErrEnded
		case errors.Is(err, storage.ErrNotFound):
			return Result{State: st}, ErrUnknown
		case errors.Is(err, storage.ErrLimit): // the token stays as it is, for later
			return Result{State: st}, ErrTooMany
		default:
			return Result{State: st}, err
		}
	}
	return Result{}, errors.New("rotation: a refresh token is claimed by others and not claimed, again and again")
}

// Inspect reports whether the token could be exchanged now, and changes nothing.
func (r *Rotator) Inspect(ctx context.Context, u Use) (storage.RefreshState, error) {
	st, err := r.inspect(ctx, storage.DigestOf(u.Secret), u)
	switch {
	case err != nil:
		return st, err
	case !st.Refresh.Claimed.IsZero():
		return st, ErrReused
	case !r.opts.Clock().Before(st.Refresh.Expires):
		return st, ErrExpired
	}
	return st, nil
}

// inspect reads the token and refuses what holds for claimed and unclaimed alike.
func (r *Rotator) inspect(ctx context.Context, d storage.Digest, u Use) (storage.RefreshState, error) {
	st, err := r.store.RefreshByDigest(ctx, d)
	f := st.Family
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return st, ErrUnknown
	case err != nil:
		return st, err
	case f.Purpose != u.Purpose || f.Client != u.Client:
		return st, ErrMismatch
	case f.Ended || !st.User.Active || st.User.Epoch != f.Epoch:
		return st, ErrEnded
	case !r.opts.Clock().Before(f.Expires):
		return st, ErrExpired
	}
	return st, nil
}

// repeat answers a token that was exchanged before.
func (r *Rotator) repeat(ctx context.Context, st storage.RefreshState, u Use) (Result, error) {
	open := r.opts.Grace > 0 && len(st.Refresh.Sealed) > 0 && st.Now.Before(st.Refresh.SealedUntil)
	if open && !st.SuccessorClaimed {
		claimer, answer, err := unseal(u, st.Family.ID, st.Refresh.Sealed)
		if err != nil {
			return Result{State: st}, ErrMismatch
		}
		if !st.Refresh.Narrowed || claimer == u.Source {
			return Result{Answer: answer, State: st, Repeated: true}, nil
		}
	}
	if err := r.EndFamily(ctx, st.Family.ID); err != nil {
		return Result{State: st}, err
	}
	return Result{State: st}, ErrReused
}

// Revoke ends the family of a token, exchanged or not, that this client may
// present. ErrUnknown and ErrMismatch change nothing. A family that has ended or
// expired already is no error, and nothing is written for it.
func (r *Rotator) Revoke(ctx context.Context, u Use) (storage.RefreshState, error) {
	st, err := r.inspect(ctx, storage.DigestOf(u.Secret), u)
	if err == ErrExpired || err == ErrEnded && st.Family.Ended {
		return st, nil
	}
	if err != nil && err != ErrEnded {
		return st, err
	}
	return st, r.EndFamily(ctx, st.Family.ID)
}

// EndFamily ends a family; its access tokens are blocked for as long as one of them
// may live. A family that is gone is no error.
func (r *Rotator) EndFamily(ctx context.Context, id string) error {
	err := r.store.EndFamily(ctx, id, r.BlockUntil())
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// BlockUntil is how long what ends now has to be blocked.
func (r *Rotator) BlockUntil() time.Time { return r.opts.Clock().Add(r.opts.Block) }
