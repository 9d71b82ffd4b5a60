package jose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

// TimedKey is a key with the time when it begins to sign and the time when it expires. A zero time
// means no limit.
type TimedKey struct {
	*Key
	// UndecryptableID is the ID of a stored key that cannot be decrypted; Key is nil then. Such a
	// key does not sign. Verifying a token with this key ID returns an error, not an ErrInvalid.
	UndecryptableID string
	// SignsFrom is when the key begins to sign. Before that time, the key is published and
	// verifies, so that all verifiers know it in time.
	SignsFrom time.Time
	// Expires is when the key no longer verifies or signs.
	Expires time.Time
}

// ReloadingOptions configure a [ReloadingKeySet]. A nil *ReloadingOptions means all defaults.
type ReloadingOptions struct {
	// MaxAge is the age at which the keys are loaded again; 0 means 1 minute.
	MaxAge time.Duration
	// MinInterval is the minimum time between two loads, also for tokens with unknown key IDs; 0
	// means 10 seconds.
	MinInterval time.Duration
	// MaxStale is how long keys older than MaxAge stay usable while loading fails; 0 means 5
	// minutes.
	MaxStale time.Duration
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// ReloadingKeySet holds the signing keys of one purpose, loaded from a store that all processes
// share. A new key is published first and signs from its SignsFrom on; the old key verifies until
// it expires. It is safe for concurrent use and starts no goroutine.
type ReloadingKeySet struct {
	loader loader[[]TimedKey]
	clock  func() time.Time // of the keys' times
	view   atomic.Pointer[view]
	mu     sync.Mutex // of changes to view
	count  generations
}

// view holds the keys at one moment. Its generation increases when the verifying keys change.
type view struct {
	keys                []*Key // the keys that verify
	signer              *Key   // nil if there is none
	from, until         time.Time
	made                time.Duration // by the clock of the loader
	lost                []string      // the IDs of keys that cannot be decrypted
	version, generation uint64
	down                bool // there are no usable keys
}

// NewReloadingKeySet returns a key set that calls load on first use, when its keys are older than
// MaxAge, and for an unknown key ID. A call of load has 5 seconds, and only one call runs at a
// time. While load fails and no loaded keys are usable, Keys, Sign and JWKS return its error.
//
// It returns an error if load is nil or an option is negative.
func NewReloadingKeySet(load func(context.Context) ([]TimedKey, error), opts *ReloadingOptions) (*ReloadingKeySet, error) {
	if load == nil {
		return nil, errors.New("jose: NewReloadingKeySet: load is nil")
	}
	var o ReloadingOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxAge < 0 || o.MinInterval < 0 || o.MaxStale < 0 {
		return nil, errors.New("jose: NewReloadingKeySet: MaxAge, MinInterval or MaxStale is negative (at least 0)")
	}
	ticks := elapsed.New(o.Clock)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	checked := func(ctx context.Context) ([]TimedKey, error) {
		all, err := load(ctx)
		if err == nil && slices.ContainsFunc(all, func(k TimedKey) bool { return (k.Key == nil) == (k.UndecryptableID == "") }) {
			err = errors.New("jose: load keys: a TimedKey must have either Key or UndecryptableID")
		}
		return slices.Clone(all), err
	}
	return &ReloadingKeySet{loader: loader[[]TimedKey]{
		load: checked, same: func(a, b []TimedKey) bool { return false }, maxAge: cmp.Or(o.MaxAge, time.Minute),
		minInterval: cmp.Or(o.MinInterval, 10*time.Second), maxStale: cmp.Or(o.MaxStale, 5*time.Minute), timeout: loadTimeout, time: ticks,
	}, clock: o.Clock}, nil
}

// now returns the view of the current moment.
func (r *ReloadingKeySet) now(ctx context.Context, missed bool) (*view, error) {
	now, at := r.clock(), r.loader.time.Now()
	if v := r.fresh(now, at); !missed && v != nil {
		return v, nil
	}
	all, version, err := r.loader.get(ctx, missed)
	if err != nil && ctx.Err() != nil {
		return nil, err // the request was canceled, which says nothing about the keys
	}
	v := &view{down: true}
	if err == nil {
		v = viewAt(all, now, r.loader.minInterval)
	}
	v.version, v.made = version, at
	return r.store(v), err
}

// fresh returns the stored view, or nil if it is not valid for this moment.
func (r *ReloadingKeySet) fresh(now time.Time, at time.Duration) *view {
	if v := r.view.Load(); v != nil && !v.down && now.Before(v.until) && !now.Before(v.from) && at-v.made < r.loader.minInterval {
		return v
	}
	return nil
}

// store stores v, unless another goroutine stored a view of newer keys, and returns the stored
// view.
func (r *ReloadingKeySet) store(v *view) *view {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.view.Load(); old != nil {
		if !v.down && old.version > v.version {
			return old
		}
		v.version = max(v.version, old.version)
		v.generation = old.generation
		if !slices.EqualFunc(old.keys, v.keys, (*Key).equal) {
			v.generation++
		}
	}
	r.view.Store(v)
	return v
}

// viewAt returns the view at time now. It is valid until one of the keys begins to sign or expires,
// but not longer than most.
func viewAt(all []TimedKey, now time.Time, most time.Duration) *view {
	v := &view{from: now, until: now.Add(most)}
	var since time.Time
	var next *Key // the key that begins to sign next
	var begins time.Time
	for _, k := range all {
		for _, t := range []time.Time{k.SignsFrom, k.Expires} {
			if t.After(now) && t.Before(v.until) {
				v.until = t
			}
		}
		if !k.Expires.IsZero() && !now.Before(k.Expires) {
			continue
		}
		if k.Key == nil {
			v.lost = append(v.lost, k.UndecryptableID)
			continue
		}
		v.keys = append(v.keys, k.Key)
		if k.CanSign() && k.SignsFrom.After(now) && (next == nil || k.SignsFrom.Before(begins)) {
			next, begins = k.Key, k.SignsFrom
		}
		if k.CanSign() && !k.SignsFrom.After(now) && (v.signer == nil || k.SignsFrom.After(since)) {
			v.signer, since = k.Key, k.SignsFrom
		}
	}
	if v.signer == nil { // the signing key was removed, so the next one signs before its time
		v.signer = next
	}
	slices.SortStableFunc(v.keys, func(a, b *Key) int { return cmp.Compare(a.id, b.id) })
	return v
}

// Keys implements [KeySource]. It returns an error if there are no usable keys, or if the key
// cannot be decrypted. It also returns an error if the key is unknown and the last load failed.
func (r *ReloadingKeySet) Keys(ctx context.Context, kid string, alg Algorithm) ([]*Key, error) {
	var lost []string
	list, err := find(func(missed bool) ([]*Key, error) {
		v, err := r.now(ctx, missed)
		if err != nil {
			return nil, err
		}
		lost = v.lost
		return v.keys, nil
	}, kid, alg)
	switch {
	case err != nil || len(list) > 0 || kid == "":
	case slices.Contains(lost, kid):
		err = fmt.Errorf("jose: key %s cannot be decrypted", kid)
	default:
		err = r.loader.failing()
	}
	return list, err
}

// find looks for keys in the current set and then in a newer one.
func find(get func(missed bool) ([]*Key, error), kid string, alg Algorithm) ([]*Key, error) {
	for _, missed := range []bool{false, true} {
		all, err := get(missed)
		if err != nil {
			return nil, err
		}
		var list []*Key
		for _, k := range all {
			if (kid == "" || k.id == kid) && k.alg == alg {
				list = append(list, k)
			}
		}
		if len(list) > 0 || kid == "" {
			return list, nil
		}
	}
	return nil, nil
}

// Sign returns a token of type typ, signed with the key that began to sign last. If that key was
// removed and no other key signs yet, the next key signs before its time. It returns an error if no
// usable key can sign. It also returns the errors of [KeySet.Sign].
func (r *ReloadingKeySet) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	v, err := r.now(ctx, false)
	switch {
	case err != nil:
		return "", err
	case v.signer == nil:
		return "", errors.New("jose: Sign: no signing key")
	}
	return v.signer.token(typ, claims)
}

// JWKS returns the public keys as a JWK Set, including keys that do not sign yet.
func (r *ReloadingKeySet) JWKS(ctx context.Context) ([]byte, error) {
	v, err := r.now(ctx, false)
	if err != nil {
		return nil, err
	}
	return marshalJWKS(v.keys)
}

// Generation returns a number that changes when this process has loaded another set of verifying
// keys. Use it to cache verified tokens: read it before the verification, and verify again when it
// differs. It neither loads nor waits. While there are no keys, or they are due to be loaded again,
// each call returns a new number, so that the next verification loads them.
func (r *ReloadingKeySet) Generation() uint64 {
	now, at := r.clock(), r.loader.time.Now()
	v := r.fresh(now, at)
	if v == nil {
		all, version, ok := r.loader.peek()
		if !ok {
			return r.count.none()
		}
		v = viewAt(all, now, r.loader.minInterval)
		v.version, v.made = version, at
		v = r.store(v)
	}
	return r.count.numberFor(v.generation)
}
