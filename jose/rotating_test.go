package jose

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// A new key is published, then signs; the old key verifies until it expires.
func TestRotating(t *testing.T) {
	var mu sync.Mutex
	clock := now
	var set []TimedKey
	var fail error
	loads := 0
	r, err := NewReloadingKeySet(func(context.Context) ([]TimedKey, error) {
		mu.Lock()
		defer mu.Unlock()
		loads++
		return set, fail
	}, &ReloadingOptions{Clock: func() time.Time { return clock }})
	must(t, err)
	one, err := Generate(EdDSA)
	must(t, err)
	two, err := Generate(EdDSA)
	must(t, err)
	if _, err := r.Sign(t.Context(), "x", []byte("{}")); err == nil {
		t.Error("signed without a key")
	}
	set = []TimedKey{{Key: one}}
	clock = clock.Add(time.Minute)
	signedBy := func() string {
		t.Helper()
		token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
		must(t, err)
		tok, err := Verify(t.Context(), token, r, "at+jwt")
		must(t, err)
		return tok.Header.KeyID
	}
	if signedBy() != one.ID() {
		t.Error("another key signs")
	}
	before := r.Generation()
	set = []TimedKey{{Key: two, SignsFrom: clock.Add(10 * time.Minute)}, {Key: one, Expires: clock.Add(20 * time.Minute)}}
	clock = clock.Add(time.Minute)
	if signedBy() != one.ID() {
		t.Error("a key signs before its time")
	}
	if jwks, err := r.JWKS(t.Context()); err != nil || !strings.Contains(string(jwks), two.ID()) {
		t.Errorf("the next key is not published: %v", err)
	}
	if r.Generation() == before {
		t.Error("the generation did not move")
	}
	old, err := one.token("at+jwt", []byte(goodClaims))
	must(t, err)
	clock = clock.Add(9 * time.Minute)
	if signedBy() != two.ID() {
		t.Error("the new key does not sign at its time")
	}
	if _, err := Verify(t.Context(), old, r, "at+jwt"); err != nil {
		t.Errorf("the old key does not verify: %v", err)
	}
	middle := r.Generation()
	clock = clock.Add(10 * time.Minute)
	if _, err := Verify(t.Context(), old, r, "at+jwt"); !errors.Is(err, ErrInvalid) {
		t.Errorf("the old key verifies when it expired: %v", err)
	}
	if r.Generation() == middle {
		t.Error("an expiry does not move the generation")
	}
	// The store is down: the last keys stay usable for a while.
	fail = errors.New("down")
	clock = clock.Add(5 * time.Minute)
	signedBy()
	clock = clock.Add(2 * time.Minute)
	if _, err := r.Keys(t.Context(), two.ID(), EdDSA); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want a fault", err)
	}
	fail = nil
	clock = clock.Add(10 * time.Second)
	signedBy()
	// Unknown key IDs cause at most one load per interval.
	was := loads
	clock = clock.Add(10 * time.Second)
	for range 50 {
		if list, err := r.Keys(t.Context(), "unheard of", EdDSA); err != nil || list != nil {
			t.Errorf("%v, %v", list, err)
		}
	}
	if loads != was+1 {
		t.Errorf("%d loads", loads-was)
	}
}

// rotating returns a ReloadingKeySet over *set, and its clock.
func rotating(t *testing.T, set *[]TimedKey, fail *error) (*ReloadingKeySet, *time.Time) {
	t.Helper()
	clock := now
	r, err := NewReloadingKeySet(func(context.Context) ([]TimedKey, error) { return *set, *fail }, &ReloadingOptions{Clock: func() time.Time { return clock }})
	must(t, err)
	return r, &clock
}

// A key that cannot be decrypted does not affect the others, and its tokens are neither accepted
// nor rejected.
func TestLostKey(t *testing.T) {
	one, err := Generate(EdDSA)
	must(t, err)
	lost, err := Generate(EdDSA)
	must(t, err)
	set := []TimedKey{{UndecryptableID: lost.ID()}, {Key: one}}
	var fail error
	r, clock := rotating(t, &set, &fail)
	token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
	must(t, err)
	must(t, taken(token, r))
	if jwks, err := r.JWKS(t.Context()); err != nil || strings.Contains(string(jwks), lost.ID()) {
		t.Errorf("%s, %v", jwks, err)
	}
	theirs, err := lost.token("at+jwt", []byte(goodClaims))
	must(t, err)
	if err := taken(theirs, r); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("a token under a lost key: got %v, want a fault", err)
	}
	set = []TimedKey{{UndecryptableID: lost.ID(), Expires: clock.Add(time.Hour)}, {Key: one}}
	*clock = clock.Add(time.Hour)
	if err := taken(theirs, r); !errors.Is(err, ErrInvalid) {
		t.Errorf("a token under a lost key that expired: %v", err)
	}
	fail = errors.New("down")
	*clock = clock.Add(time.Minute)
	must(t, taken(token, r))
	stranger, err := Generate(EdDSA)
	must(t, err)
	unknown, err := stranger.token("at+jwt", []byte(goodClaims))
	must(t, err)
	if err := taken(unknown, r); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("an unknown key while the store is down: got %v, want a fault", err)
	}
	fail, set = nil, []TimedKey{{}}
	*clock = clock.Add(10 * time.Minute)
	if _, err := r.Sign(t.Context(), "x", []byte("{}")); err == nil {
		t.Error("a nil key was taken")
	}
}

func TestRotatingSigner(t *testing.T) {
	var list []*Key
	for range 3 {
		k, err := Generate(ES256)
		must(t, err)
		list = append(list, k)
	}
	public, err := NewPublic("public", ES256, list[2].Public())
	must(t, err)
	for what, c := range map[string]struct {
		set  []TimedKey
		want *Key
	}{
		// The signing key was removed: the next one signs before its time.
		"only published":     {[]TimedKey{{Key: list[0], SignsFrom: now.Add(2)}, {Key: list[1], SignsFrom: now.Add(1)}, {Key: list[2], SignsFrom: now.Add(3)}}, list[1]},
		"published, expired": {[]TimedKey{{Key: list[0], SignsFrom: now.Add(1), Expires: now}, {Key: list[1], SignsFrom: now.Add(2)}}, list[1]},
		"from now on":        {[]TimedKey{{Key: list[0], SignsFrom: now}}, list[0]},
		"the newest":         {[]TimedKey{{Key: list[0], SignsFrom: now.Add(-2)}, {Key: list[1], SignsFrom: now.Add(-1)}, {Key: list[2], SignsFrom: now.Add(1)}}, list[1]},
		"the newest expired": {[]TimedKey{{Key: list[0]}, {Key: list[1], SignsFrom: now.Add(-1), Expires: now}}, list[0]},
		"verifies only":      {[]TimedKey{{Key: list[0]}, {Key: public, SignsFrom: now}}, list[0]},
		"all expired":        {[]TimedKey{{Key: list[0], Expires: now}}, nil},
		"none":               {nil, nil},
	} {
		var fail error
		r, _ := rotating(t, &c.set, &fail)
		token, err := r.Sign(t.Context(), "at+jwt", []byte(goodClaims))
		if c.want == nil {
			if err == nil || errors.Is(err, ErrInvalid) {
				t.Errorf("%s: got %v, want a fault", what, err)
			}
			continue
		}
		if tok, err2 := Decode(token); err != nil || err2 != nil || tok.Header.KeyID != c.want.ID() {
			t.Errorf("%s: %v, %v, signed by %v", what, err, err2, tok)
		}
	}
}

func TestRotatingGeneration(t *testing.T) {
	a, err := Generate(EdDSA)
	must(t, err)
	b, err := NewPublic(a.ID(), EdDSA, func() ed25519.PublicKey { k, _ := Generate(EdDSA); return k.Public().(ed25519.PublicKey) }())
	must(t, err)
	set, fail := []TimedKey{{Key: a}}, error(nil)
	r, clock := rotating(t, &set, &fail)
	generation := func() uint64 { // after a verification, which loads
		_, _ = r.Keys(t.Context(), a.ID(), EdDSA)
		return r.Generation()
	}
	if x, y := r.Generation(), r.Generation(); x == y || r.loader.did {
		t.Errorf("without a load: %d and %d, loaded: %t", x, y, r.loader.did)
	}
	last := generation()
	step := func(what string, moves bool) {
		t.Helper()
		*clock = clock.Add(time.Minute)
		if got := generation(); got != last != moves {
			t.Errorf("%s: from %d to %d", what, last, got)
		} else {
			last = got
		}
	}
	step("nothing", false)
	set = []TimedKey{{Key: b}}
	step("another key of the same ID", true)
	set = append(set, TimedKey{Key: a, SignsFrom: *clock, Expires: clock.Add(3 * time.Minute)})
	step("one more", true)
	step("a minute", false)
	step("it expired", true)
	fail = errors.New("down")
	step("the store is down", false)
	*clock = clock.Add(5 * time.Minute)
	step("and the keys are too old", true)
	step("still: nothing is taken from a cache", true)
	fail = nil
	step("it is up", true)
}

// A mistake of load is an error each time, never a hang.
func TestRotatingBadLoads(t *testing.T) {
	set, fail := []TimedKey{{}}, error(nil)
	r, clock := rotating(t, &set, &fail)
	if _, err := r.Keys(t.Context(), "x", EdDSA); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("a nil key: %v", err)
	}
	panics, err := NewReloadingKeySet(func(context.Context) ([]TimedKey, error) { panic("x") }, &ReloadingOptions{Clock: func() time.Time { return *clock }})
	must(t, err)
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is swallowed, or a load that panicked is waited for")
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, _ = panics.Keys(ctx, "x", EdDSA)
		}()
		if _, err := panics.Keys(t.Context(), "x", EdDSA); !errors.Is(err, errPanicked) {
			t.Errorf("after a panic: %v", err)
		}
		*clock = clock.Add(time.Minute)
	}
	stops, err := NewReloadingKeySet(func(ctx context.Context) ([]TimedKey, error) {
		if _, ok := ctx.Deadline(); !ok {
			return nil, errors.New("no deadline")
		}
		return nil, ctx.Err()
	}, nil)
	must(t, err)
	if _, err := stops.Keys(t.Context(), "x", EdDSA); err != nil {
		t.Errorf("a load has a deadline: %v", err)
	}
	for _, o := range []ReloadingOptions{{MaxAge: -1}, {MinInterval: -1}, {MaxStale: -1}} {
		if _, err := NewReloadingKeySet(panics.loader.load, &o); err == nil {
			t.Errorf("%+v: taken", o)
		}
	}
	if _, err := NewReloadingKeySet(nil, nil); err == nil {
		t.Error("no load: taken")
	}
}

// A goroutine that loaded before a rotation does not bring the old keys back after another
// goroutine saw newer ones.
func TestRotatingLateLoad(t *testing.T) {
	a, err := Generate(EdDSA)
	must(t, err)
	b, err := Generate(EdDSA)
	must(t, err)
	set, fail := []TimedKey{{Key: a}}, error(nil)
	r, clock := rotating(t, &set, &fail)
	_, err = r.Keys(t.Context(), a.ID(), EdDSA)
	must(t, err)
	old := r.view.Load()
	set = []TimedKey{{Key: b}}
	*clock = clock.Add(time.Minute)
	list, err := r.Keys(t.Context(), b.ID(), EdDSA)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	late := viewAt([]TimedKey{{Key: a}}, *clock, time.Minute)
	late.version = old.version
	if got := r.store(late); got.keys[0] != b || r.view.Load().keys[0] != b {
		t.Errorf("%v", got.keys)
	}
}
