// Package rotation exchanges refresh tokens (RFC 9700, section 4.14.2): each token is
// exchanged once for the next of its family. A client that lost the answer gets the same one
// again within a grace period. Reuse of an older token revokes the whole family, because one
// of its two holders is a thief.
//
// Use it for every credential that renews itself: the JWT and OAuth 2.0 schemes and the
// remember-me cookies of package session do. Start with [New], [Rotator.Begin] at login and
// [Rotator.Rotate] at each refresh. A refresh token is a secret text to this package, whatever
// its format.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// The rejections of Rotate, Inspect and Revoke. Any other error is a fault: the question could
// not be decided.
var (
	// ErrUnknown: there is no such token.
	ErrUnknown = errors.New("rotation: unknown refresh token")
	// ErrExpired: the token or its family has expired.
	ErrExpired = errors.New("rotation: refresh token expired")
	// ErrRevoked: the family was revoked, or the account was disabled, got a new password or
	// was logged out everywhere.
	ErrRevoked = errors.New("rotation: refresh token family revoked")
	// ErrReused: the token had been exchanged before, and this use revoked the family.
	ErrReused = errors.New("rotation: refresh token reused")
	// ErrMismatch: the token is not for this client, purpose or key, or a repeated request has
	// other parameters than the first. Nothing was changed.
	ErrMismatch = errors.New("rotation: refresh token of another client or with other parameters")
)

// ErrTooMany: the family had as many exchanges as storage.MaxExchanges allows. It is not a
// rejection: the token stays valid and can be exchanged after RetryAfter. A scheme answers with
// 429.
var ErrTooMany = errors.New("rotation: refresh tokens exchanged too often")

// RetryAfter is how long ErrTooMany lasts at most.
const RetryAfter = storage.ExchangeEvery

// IsRejection reports whether err is one of the rejections of this package. A scheme answers
// all of them with the same 401, ErrTooMany with 429, and everything else with 503.
func IsRejection(err error) bool {
	for _, known := range [...]error{ErrUnknown, ErrExpired, ErrRevoked, ErrReused, ErrMismatch} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// MaxGrace is the longest grace period.
const MaxGrace = 60 * time.Second

// Options are the lifetimes of a Rotator. Idle, Absolute and Block are required.
type Options struct {
	// Grace is how long the answer of an exchange can be fetched again; 0 is never, at most
	// MaxGrace.
	Grace time.Duration
	// Idle is how long a refresh token waits for its exchange.
	Idle time.Duration
	// Absolute is how long a family lives, however often it is refreshed. Not below Idle.
	Absolute time.Duration
	// Block is how long a revoked family stays on the blocklist: the longest lifetime of its
	// access tokens, plus the leeway of their verifiers.
	Block time.Duration
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Rotator exchanges refresh tokens. It is safe for concurrent use.
type Rotator struct {
	store storage.Families
	opts  Options

	mu   sync.Mutex
	used map[string]time.Time // families, with the newest token whose use was reported
}

// New returns a Rotator over store. It returns an error without a store and for lifetimes
// outside the ranges of [Options].
func New(store storage.Families, opts *Options) (*Rotator, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	switch {
	case store == nil:
		return nil, errors.New("rotation: New: no store")
	case o.Grace < 0 || o.Grace > MaxGrace:
		return nil, fmt.Errorf("rotation: New: Grace %v out of range (0 to %v)", o.Grace, MaxGrace)
	case o.Idle <= 0:
		return nil, fmt.Errorf("rotation: New: Idle %v out of range (above 0)", o.Idle)
	case o.Absolute < o.Idle:
		return nil, fmt.Errorf("rotation: New: Absolute %v out of range (at least Idle, %v)", o.Absolute, o.Idle)
	case o.Block <= 0:
		return nil, fmt.Errorf("rotation: New: Block %v out of range (above 0)", o.Block)
	}
	return &Rotator{store: store, opts: o, used: make(map[string]time.Time)}, nil
}

// Use is one request with a refresh token.
type Use struct {
	// Secret is the token's text, or the part of it that is secret.
	Secret string
	// Purpose is that of the family: a token of another purpose is rejected.
	Purpose string
	// Client is the authenticated client; "" for none.
	Client string
	// Scopes and Resource are the requested ones, nil for none.
	Scopes, Resource []string
	// Confirm is the thumbprint of the DPoP key, or "". A family that is bound to a key
	// requires that key. Any other family accepts any key, and a repeated request must then
	// have the same one.
	Confirm string
	// Source is the address that the request comes from, "" if unknown. After the first use of the
	// answer only the same known address can repeat the exchange. See Used.
	Source string
}

// Mint creates the answer of an exchange. st is the state of the presented token, end the
// latest time at which the next one may expire. It returns the answer, which may be sent again
// within the grace period, and the next token's secret. If it returns an error, Rotate passes it on
// and nothing is changed. It may be called again if the next token's digest is taken.
type Mint func(ctx context.Context, st storage.RefreshState, end time.Time) (answer []byte, next string, err error)

// Result is the result of an exchange.
type Result struct {
	// Answer is Mint's. If Repeated, it is that of the first exchange.
	Answer []byte
	// State is that of the presented token, also with an error.
	State storage.RefreshState
	// Repeated reports that the token had been exchanged within the grace period.
	Repeated bool
}

// Begin stores a family with its first token. It sets the family's Created, Expires and, if
// zero, AuthTime. Errors are those of storage.Families.
func (r *Rotator) Begin(ctx context.Context, f storage.Family, secret string) (storage.Family, error) {
	now := r.opts.Clock().UTC()
	f.Created, f.Expires = now, now.Add(r.opts.Absolute)
	if f.AuthTime.IsZero() {
		f.AuthTime = now
	}
	err := r.store.CreateFamily(ctx, f, storage.Refresh{Digest: storage.DigestOf(secret), Created: now, Expires: r.End(f, now)})
	return f, err
}

// End returns when a refresh token that is created at now expires.
func (r *Rotator) End(f storage.Family, now time.Time) time.Time {
	if end := now.Add(r.opts.Idle); end.Before(f.Expires) {
		return end
	}
	return f.Expires
}

// attempts bounds how often Rotate reads again after another request was first.
const attempts = 4

// Rotate exchanges a refresh token for the next one, as one change of the store. Of concurrent
// requests with the same token one exchanges it; within the grace period the others get the
// same answer. For rejections see ErrUnknown and those below it.
//
// After any other error it is not known whether the token was exchanged. The client tries
// again with the same token.
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
		if expired(st, now) {
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
		case errors.Is(err, storage.ErrConflict): // another request was first: read again
		case errors.Is(err, storage.ErrStale):
			return Result{State: st}, ErrRevoked
		case errors.Is(err, storage.ErrNotFound):
			return Result{State: st}, ErrUnknown
		case errors.Is(err, storage.ErrLimit):
			return Result{State: st}, ErrTooMany
		default:
			return Result{State: st}, err
		}
	}
	return Result{}, fmt.Errorf("rotation: Rotate: the token's state changed %d times", attempts)
}

// Inspect returns the state of a token that could be exchanged now. It changes nothing.
func (r *Rotator) Inspect(ctx context.Context, u Use) (storage.RefreshState, error) {
	st, err := r.inspect(ctx, storage.DigestOf(u.Secret), u)
	switch {
	case err != nil:
		return st, err
	case !st.Refresh.Claimed.IsZero():
		return st, ErrReused
	case expired(st, r.opts.Clock()):
		return st, ErrExpired
	}
	return st, nil
}

// expired reports whether an unclaimed token has expired, or comes from a clock that was ahead, so that
// it or its family would live for longer than they may. Such a token can still be revoked, and its
// reuse is noticed.
func expired(st storage.RefreshState, now time.Time) bool {
	return !now.Before(st.Refresh.Expires) || storage.LoginAhead(now, st.Refresh.Created) || storage.LoginAhead(now, st.Family.Created)
}

// inspect reads the token and rejects what is wrong with claimed and unclaimed ones alike.
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
		return st, ErrRevoked
	case !r.opts.Clock().Before(f.Expires):
		return st, ErrExpired
	}
	return st, nil
}

// repeat answers a request with a token that was exchanged before.
func (r *Rotator) repeat(ctx context.Context, st storage.RefreshState, u Use) (Result, error) {
	open := r.opts.Grace > 0 && len(st.Refresh.Sealed) > 0 && st.Now.Before(st.Refresh.SealedUntil)
	if open && !st.SuccessorClaimed {
		claimer, answer, err := unseal(u, st.Family.ID, st.Refresh.Sealed)
		if err != nil {
			return Result{State: st}, ErrMismatch
		}
		// Two unknown addresses are not the same one: they may be those of owner and thief.
		if !st.Refresh.GraceClosed || u.Source != "" && claimer == u.Source {
			return Result{Answer: answer, State: st, Repeated: true}, nil
		}
	}
	if err := r.EndFamily(ctx, st.Family.ID); err != nil {
		return Result{State: st}, err
	}
	return Result{State: st}, ErrReused
}

// Revoke revokes the family of a token, exchanged or not, if it is this client's.
// ErrUnknown and ErrMismatch change nothing. A family that was revoked or has expired is not
// an error, and nothing is written for it.
func (r *Rotator) Revoke(ctx context.Context, u Use) (storage.RefreshState, error) {
	st, err := r.inspect(ctx, storage.DigestOf(u.Secret), u)
	if err == ErrExpired || err == ErrRevoked && st.Family.Ended {
		return st, nil
	}
	if err != nil && err != ErrRevoked {
		return st, err
	}
	return st, r.EndFamily(ctx, st.Family.ID)
}

// EndFamily revokes a family and blocks its access tokens for Options.Block. A family that
// does not exist is not an error.
func (r *Rotator) EndFamily(ctx context.Context, id string) error {
	err := r.store.EndFamily(ctx, id, r.BlockUntil())
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// BlockUntil returns until when access tokens that are revoked now must be blocked.
func (r *Rotator) BlockUntil() time.Time { return r.opts.Clock().Add(r.opts.Block) }
