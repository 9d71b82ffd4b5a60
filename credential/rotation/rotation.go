// Package rotation exchanges refresh tokens (RFC 9700, section 4.14.2). Each token is exchanged
// once for the next token of its family. Within a grace period, a client that lost the response
// gets the same response again. Reuse of an older token revokes the whole family, because one of
// the two holders of the token is a thief.
//
// Use it for all credentials that are renewed by exchange. The JWT and OAuth 2.0 schemes and the
// remember cookies of package session use it. Start with [New], then call [Rotator.Begin] at login
// and [Rotator.Rotate] at each refresh. The format of the refresh tokens does not matter to this
// package.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// The rejections of Rotate, Inspect and Revoke. Any other error means that the request could not be
// decided.
var (
	// ErrUnknown means that the token does not exist.
	ErrUnknown = errors.New("rotation: unknown refresh token")
	// ErrExpired means that the token or its family has expired.
	ErrExpired = errors.New("rotation: refresh token expired")
	// ErrRevoked means that the family was revoked, or that the account was disabled, got a new
	// password or was logged out everywhere.
	ErrRevoked = errors.New("rotation: refresh token family revoked")
	// ErrReused means that the token had already been exchanged. This use revoked the family.
	ErrReused = errors.New("rotation: refresh token reused")
	// ErrMismatch means that the token belongs to another client, purpose or key, or that a
	// repeated request has different parameters from the first request. Nothing was changed.
	ErrMismatch = errors.New("rotation: refresh token has another client or other parameters")
)

// ErrTooMany means that the family has reached the limit of storage.MaxExchanges. It is not a
// rejection: the token stays valid and can be exchanged after RetryAfter. Schemes respond with 429.
var ErrTooMany = errors.New("rotation: refresh tokens exchanged too often")

// RetryAfter is the longest time for which [ErrTooMany] is returned.
const RetryAfter = storage.ExchangeEvery

// IsRejection reports whether err is one of the rejections of this package. Schemes respond to all
// of them with the same 401, to [ErrTooMany] with 429, and to any other error with 503.
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

// Options configure a [Rotator]. Idle, Absolute and Block are required.
type Options struct {
	// Grace is the time for which the response of an exchange can be repeated, at most [MaxGrace]. 0
	// means never.
	Grace time.Duration
	// Idle is how long a refresh token stays valid if it is not exchanged. It must be above 0.
	Idle time.Duration
	// Absolute is the lifetime of a family, which a refresh does not extend. It must be at least
	// Idle.
	Absolute time.Duration
	// Block is the time for which a revoked family stays on the blocklist. It must be the longest
	// lifetime of its access tokens plus the leeway of their verifiers.
	Block time.Duration
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}

// Rotator exchanges refresh tokens. It is safe for concurrent use.
type Rotator struct {
	store storage.Families
	opts  Options

	mu   sync.Mutex
	used map[string]time.Time // creation time of the newest used token, by family
}

// New returns a Rotator with families in store. It returns an error if store is nil, or if an
// option is out of range.
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
		return nil, errors.New("rotation: New: store must be set")
	case o.Grace < 0 || o.Grace > MaxGrace:
		return nil, fmt.Errorf("rotation: New: Grace %v out of range (0 to %v)", o.Grace, MaxGrace)
	case o.Idle <= 0:
		return nil, fmt.Errorf("rotation: New: Idle %v out of range (more than 0)", o.Idle)
	case o.Absolute < o.Idle:
		return nil, fmt.Errorf("rotation: New: Absolute %v out of range (at least Idle, %v)", o.Absolute, o.Idle)
	case o.Block <= 0:
		return nil, fmt.Errorf("rotation: New: Block %v out of range (more than 0)", o.Block)
	}
	return &Rotator{store: store, opts: o, used: make(map[string]time.Time)}, nil
}

// Use is a request with a refresh token.
type Use struct {
	// Secret is the text of the token, or the secret part of it.
	Secret string
	// Purpose is the purpose that the token's family must have (storage.Family.Purpose). A token of
	// a family with another purpose is rejected.
	Purpose string
	// Client is the authenticated client, or "" for none.
	Client string
	// Scopes and Resource are the requested scopes and resources. nil means none.
	Scopes, Resource []string
	// Confirm is the thumbprint of the DPoP key, or "". A family that is bound to a key requires
	// this key. A family that is not bound to a key accepts any key, but a repeated request must
	// have the key of the first one.
	Confirm string
	// Idle shortens Options.Idle for the next token of this exchange; 0 does not.
	Idle time.Duration
	// Source is the client address (see [SourceOf]), or "" if it is unknown. After the first use of
	// the response, only a request from the same known address can repeat the exchange. See
	// [Rotator.Used].
	Source string
}

// Mint creates the response of an exchange. st is the state of the token, and end is the latest
// allowed expiry of the next token. It returns the response, which may be sent again within the
// grace period, and the secret of the next token.
//
// If Mint returns an error, Rotate returns it and changes nothing. Rotate can call Mint again, for
// example if the next token already exists.
type Mint func(ctx context.Context, st storage.RefreshState, end time.Time) (answer []byte, next string, err error)

// Result is the result of an exchange.
type Result struct {
	// Answer is the result of Mint, or the response of the first exchange if Repeated is true.
	Answer []byte
	// State is the state of the token. It is also set if there is an error.
	State storage.RefreshState
	// Repeated reports that the token had already been exchanged within the grace period.
	Repeated bool
}

// attempts is the number of times that Rotate reads the token if other requests change it.
const attempts = 4

// Rotate exchanges a refresh token for the next one, in one atomic change of the store. If several
// requests send the same token at the same time, one of them exchanges it. Within the grace period,
// the others get the same response.
//
// For the rejections, see [ErrUnknown] and the errors after it. After any other error it is unknown
// whether the token was exchanged, and the client must try again with the same token.
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
		end := r.end(st.Family, now, u.Idle)
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
		case errors.Is(err, storage.ErrConflict): // another request was first, so read again
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

// Inspect returns the state of a token that can be exchanged now. Otherwise it returns a rejection.
// It changes nothing.
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

// expired reports whether a token that was not exchanged has expired, or was created by a clock
// that was ahead, so that it or its family would live too long. Such a token can still be revoked,
// and its reuse is detected.
func expired(st storage.RefreshState, now time.Time) bool {
	return !now.Before(st.Refresh.Expires) || storage.LoginAhead(now, st.Refresh.Created) || storage.LoginAhead(now, st.Family.Created)
}

// inspect reads the token and makes the checks that apply to both exchanged and other tokens.
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

// repeat handles a request with a token that was already exchanged.
func (r *Rotator) repeat(ctx context.Context, st storage.RefreshState, u Use) (Result, error) {
	open := r.opts.Grace > 0 && len(st.Refresh.Sealed) > 0 && st.Now.Before(st.Refresh.SealedUntil)
	if open && !st.SuccessorClaimed {
		claimer, answer, err := unseal(u, st.Family.ID, st.Refresh.Sealed)
		if err != nil {
			return Result{State: st}, ErrMismatch
		}
		// Two unknown addresses do not count as equal, because they may belong to the owner and a
		// thief.
		if !st.Refresh.GraceClosed || u.Source != "" && claimer == u.Source {
			return Result{Answer: answer, State: st, Repeated: true}, nil
		}
	}
	if err := r.EndFamily(ctx, st.Family.ID); err != nil {
		return Result{State: st}, err
	}
	return Result{State: st}, ErrReused
}

// Revoke revokes the family of a token if the token belongs to the client, even if the token was
// already exchanged. If Revoke returns [ErrUnknown] or [ErrMismatch], nothing was changed. If the
// family was already revoked or has expired, Revoke returns nil and writes nothing.
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

// EndFamily revokes a family and blocks its access tokens for Options.Block. It returns nil if the
// family does not exist.
func (r *Rotator) EndFamily(ctx context.Context, id string) error {
	err := r.store.EndFamily(ctx, id, r.BlockUntil())
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// BlockUntil returns the time until which access tokens that are revoked now must be blocked.
func (r *Rotator) BlockUntil() time.Time { return r.opts.Clock().Add(r.opts.Block) }
