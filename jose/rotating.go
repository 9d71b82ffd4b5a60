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

// TimedKey is a key with its time. Zero times are no bounds.
type TimedKey struct {
	*Key
	// UndecryptableID is the ID of a key that is there and cannot be opened, where Key is nil:
	// it signs nothing, and whether a token under it is good cannot be told.
	UndecryptableID string
	// SignsFrom is when it begins to sign: it verifies, and is published, before, so
	// that all verifiers know it by then.
	SignsFrom time.Time
	// Expires is when it stops to verify.
	Expires time.Time
}

// ReloadingOptions change a ReloadingKeySet; nil is fine.
type ReloadingOptions struct {
	// MaxAge is how old the loaded keys get: 1 minute where 0.
	MaxAge time.Duration
	// MinInterval lies between two loads, also for tokens with unknown key IDs: 10
	// seconds where 0.
	MinInterval time.Duration
	// MaxStale is how long keys older than MaxAge serve while loading fails: 5 minutes
	// where 0.
	MaxStale time.Duration
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// ReloadingKeySet is the keys of one purpose in a store, which all processes share: a new
// key is published first, signs when its time has come, and the old one verifies
// until it expires. It is safe for concurrent use and has no goroutine of its own.
type ReloadingKeySet struct {
	loader loader[[]TimedKey]
	clock  func() time.Time // of the keys' times
	view   atomic.Pointer[view]
	mu     sync.Mutex // of changes to view
	count  generations
}

// view is the keys for a moment. The generation counts the views of other keys.
type view struct {
	keys                []*Key // that verify
	signer              *Key   // nil: none
	from, until         time.Time
	made                time.Duration // by the loader's time
	lost                []string      // the IDs of keys that cannot be opened
	version, generation uint64
	down                bool // there are no keys that may serve
}

// NewReloadingKeySet returns the keys that load gives, within 5 seconds. An error of load is
// a fault of Keys, Sign and JWKS where there are no keys that may serve instead.
func NewReloadingKeySet(load func(context.Context) ([]TimedKey, error), opts *ReloadingOptions) (*ReloadingKeySet, error) {
	if load == nil {
		return nil, errors.New("jose: a function that loads the keys is needed")
	}
	var o ReloadingOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxAge < 0 || o.MinInterval < 0 || o.MaxStale < 0 {
		return nil, errors.New("jose: a duration below 0")
	}
	ticks := elapsed.New(o.Clock)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	checked := func(ctx context.Context) ([]TimedKey, error) {
		all, err := load(ctx)
		if err == nil && slices.ContainsFunc(all, func(k TimedKey) bool { return (k.Key == nil) == (k.UndecryptableID == "") }) {
			err = errors.New("jose: a nil key was loaded, or one that is lost and is not")
		}
		return slices.Clone(all), err
	}
	return &ReloadingKeySet{loader: loader[[]TimedKey]{
		load: checked, same: func(a, b []TimedKey) bool { return false }, maxAge: cmp.Or(o.MaxAge, time.Minute),
		minInterval: cmp.Or(o.MinInterval, 10*time.Second), maxStale: cmp.Or(o.MaxStale, 5*time.Minute), timeout: loadTimeout, time: ticks,
	}, clock: o.Clock}, nil
}

// now returns the view of this moment.
func (r *ReloadingKeySet) now(ctx context.Context, missed bool) (*view, error) {
	now, at := r.clock(), r.loader.time.Now()
	if v := r.fresh(now, at); !missed && v != nil {
		return v, nil
	}
	all, version, err := r.loader.get(ctx, missed)
	if err != nil && ctx.Err() != nil {
		return nil, err // the caller went away: that says nothing of the keys
	}
	v := &view{down: true}
	if err == nil {
		v = look(all, now, r.loader.minInterval)
	}
	v.version, v.made = version, at
	return r.store(v), err
}

// fresh returns the present view, or nil if it says nothing about this moment.
func (r *ReloadingKeySet) fresh(now time.Time, at time.Duration) *view {
	if v := r.view.Load(); v != nil && !v.down && now.Before(v.until) && !now.Before(v.from) && at-v.made < r.loader.minInterval {
		return v
	}
	return nil
}

// store makes v the present view, unless somebody was faster and saw newer keys, and
// returns the present one.
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

// look returns the view of a moment. It lasts until one of the keys begins to sign or
// expires, and not longer than most.
func look(all []TimedKey, now time.Time, most time.Duration) *view {
	v := &view{from: now, until: now.Add(most)}
	var since time.Time
	var next *Key // whose time has not come
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
	if v.signer == nil { // the one that signed was withdrawn: better early than not at all
		v.signer = next
	}
	slices.SortStableFunc(v.keys, func(a, b *Key) int { return cmp.Compare(a.id, b.id) })
	return v
}

// Keys implements KeySource. The error says that the keys could not be had, or that
// one.
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
		err = fmt.Errorf("jose: key %s is there and cannot be opened", kid)
	default:
		err = r.loader.failing()
	}
	return list, err
}

// find looks for the keys in a set, and in a newer one where they are not in it.
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

// Sign makes a token of type typ with the newest key whose time has come. Where there
// is none, since the one that signed was withdrawn, the next one signs before its
// time. The error also says that there is no key at all.
func (r *ReloadingKeySet) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	v, err := r.now(ctx, false)
	switch {
	case err != nil:
		return "", err
	case v.signer == nil:
		return "", errors.New("jose: there is no key that signs")
	}
	return v.signer.token(typ, claims)
}

// JWKS returns the public keys, those that will sign later included.
func (r *ReloadingKeySet) JWKS(ctx context.Context) ([]byte, error) {
	v, err := r.now(ctx, false)
	if err != nil {
		return nil, err
	}
	return marshalJWKS(v.keys)
}

// Generation changes when the set of keys that verify does, as far as this value has seen: what
// was verified under another generation is verified again. Read it before the verification. It
// neither loads nor waits. While there are no keys, or they are old and due to be loaded again,
// each call returns another value, so that the next verification loads them.
func (r *ReloadingKeySet) Generation() uint64 {
	now, at := r.clock(), r.loader.time.Now()
	v := r.fresh(now, at)
	if v == nil {
		all, version, ok := r.loader.peek()
		if !ok {
			return r.count.none()
		}
		v = look(all, now, r.loader.minInterval)
		v.version, v.made = version, at
		v = r.store(v)
	}
	return r.count.of(v.generation)
}
