package jose

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// TimedKey is a key with its time. Zero times are no bounds.
type TimedKey struct {
	*Key
	// SignsFrom is when it begins to sign: it verifies, and is published, before, so
	// that all verifiers know it by then.
	SignsFrom time.Time
	// Expires is when it stops to verify.
	Expires time.Time
}

// RotatingOptions change a Rotating; nil is fine.
type RotatingOptions struct {
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

// Rotating is the keys of one purpose in a store, which all processes share: a new
// key is published first, signs when its time has come, and the old one verifies
// until it expires. It is safe for concurrent use and has no goroutine of its own.
type Rotating struct {
	loader     loader[[]TimedKey]
	generation atomic.Uint64
	view       atomic.Pointer[view]
}

// view is the keys that verify, the one that signs first, for a moment.
type view struct {
	keys        []*Key
	from, until time.Time
}

// NewRotating returns the keys that load gives. An error of load is a fault of Keys,
// Sign and JWKS where there are no keys that may serve instead.
func NewRotating(load func(context.Context) ([]TimedKey, error), opts *RotatingOptions) (*Rotating, error) {
	if load == nil {
		return nil, errors.New("jose: a function that loads the keys is needed")
	}
	var o RotatingOptions
	if opts != nil {
		o = *opts
	}
	if o.MaxAge < 0 || o.MinInterval < 0 || o.MaxStale < 0 {
		return nil, errors.New("jose: a duration below 0")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Rotating{loader: loader[[]TimedKey]{
		load: load, maxAge: cmp.Or(o.MaxAge, time.Minute), minInterval: cmp.Or(o.MinInterval, 10*time.Second),
		maxStale: cmp.Or(o.MaxStale, 5*time.Minute), clock: o.Clock,
	}}, nil
}

// verifying returns the keys that verify now, the one that signs first.
func (r *Rotating) verifying(ctx context.Context, missed bool) ([]*Key, error) {
	now := r.loader.clock()
	if v := r.view.Load(); !missed && v != nil && now.Before(v.until) && !now.Before(v.from) {
		return v.keys, nil
	}
	all, err := r.loader.get(ctx, missed)
	if err != nil {
		return nil, err
	}
	v := look(all, now, r.loader.minInterval)
	if old := r.view.Swap(v); old == nil || !slices.Equal(ids(old.keys), ids(v.keys)) {
		r.generation.Add(1)
	}
	return v.keys, nil
}

// look sorts the keys as of now. The view lasts until one of them begins or ends,
// and not longer than most.
func look(all []TimedKey, now time.Time, most time.Duration) *view {
	v := &view{from: now, until: now.Add(most)}
	var live []TimedKey
	for _, k := range all {
		for _, t := range []time.Time{k.SignsFrom, k.Expires} {
			if t.After(now) && t.Before(v.until) {
				v.until = t
			}
		}
		if k.Expires.IsZero() || now.Before(k.Expires) {
			live = append(live, k)
		}
	}
	slices.SortStableFunc(live, func(a, b TimedKey) int {
		if early, other := a.SignsFrom.After(now), b.SignsFrom.After(now); early != other {
			if early {
				return 1
			}
			return -1
		}
		return b.SignsFrom.Compare(a.SignsFrom)
	})
	for _, k := range live {
		v.keys = append(v.keys, k.Key)
	}
	return v
}

func ids(list []*Key) []string {
	names := make([]string, len(list))
	for i, k := range list {
		names[i] = k.id
	}
	slices.Sort(names)
	return names
}

// Keys implements KeySource.
func (r *Rotating) Keys(ctx context.Context, kid string, alg Algorithm) ([]*Key, error) {
	return find(func(missed bool) ([]*Key, error) { return r.verifying(ctx, missed) }, kid, alg)
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

// Sign makes a token of type typ with the newest key whose time has come.
func (r *Rotating) Sign(ctx context.Context, typ string, claims []byte) (string, error) {
	list, err := r.verifying(ctx, false)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", errors.New("jose: there is no key that signs")
	}
	return list[0].token(typ, claims)
}

// JWKS returns the public keys, those that will sign later included.
func (r *Rotating) JWKS(ctx context.Context) ([]byte, error) {
	list, err := r.verifying(ctx, false)
	if err != nil {
		return nil, err
	}
	return marshalJWKS(list)
}

// Generation changes when the set of keys that verify does, as far as this value has
// seen: what was verified under another generation is verified again.
func (r *Rotating) Generation() uint64 {
	_, _ = r.verifying(context.Background(), false)
	return r.generation.Load()
}
