package rotation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a rotator with a memory store, one account and its own clock.
type world struct {
	*Rotator
	store *memory.Store
	mu    sync.Mutex
	now   time.Time
	made  atomic.Int64
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t testing.TB, grace time.Duration) *world {
	t.Helper()
	w := &world{now: time.Unix(1_800_000_000, 0)}
	w.store = memory.New(&memory.Options{Clock: w.clock})
	must(t, w.store.CreateUser(t.Context(), storage.User{ID: "alice", Name: "alice", Active: true}))
	var err error
	w.Rotator, err = New(w.store, &Options{Grace: grace, Idle: time.Hour, Absolute: 24 * time.Hour, Block: 5 * time.Minute, Clock: w.clock})
	must(t, err)
	return w
}

func use(secret string) Use { return Use{Secret: secret, Purpose: "test"} }

// begin creates a family whose first token is the family's name with "-0".
func (w *world) begin(t testing.TB, id string) {
	t.Helper()
	epoch, err := w.store.SubjectEpoch(t.Context(), "alice")
	must(t, err)
	_, err = w.Begin(t.Context(), storage.Family{ID: id, Purpose: "test", Subject: "alice", Epoch: epoch}, id+"-0")
	must(t, err)
}

// next exchanges a token. The response is the text of the next token.
func (w *world) next(u Use) (string, Result, error) {
	res, err := w.Rotate(context.Background(), u, func(context.Context, storage.RefreshState, time.Time) ([]byte, string, error) {
		text := fmt.Sprintf("minted-%d", w.made.Add(1))
		return []byte(text), text, nil
	})
	return string(res.Answer), res, err
}

func (w *world) good(t testing.TB, secret string) string {
	t.Helper()
	answer, _, err := w.next(use(secret))
	must(t, err)
	return answer
}

func (w *world) is(t testing.TB, u Use, want error, why string) {
	t.Helper()
	if _, _, err := w.next(u); !errors.Is(err, want) || err == nil {
		t.Errorf("%s: got %v, want %v", why, err, want)
	}
}

func (w *world) blocked(t testing.TB, sid string) bool {
	t.Helper()
	st, err := w.store.TokenStatusOf(t.Context(), "alice", storage.BlockKeys{SID: storage.BlockKeyOf(storage.BlockSID, "", sid)})
	must(t, err)
	return st.Blocked
}

func TestNewRefuses(t *testing.T) {
	good := Options{Grace: time.Second, Idle: time.Hour, Absolute: time.Hour, Block: time.Minute, Clock: time.Now}
	if _, err := New(memory.New(nil), &good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Options){
		"grace":    func(o *Options) { o.Grace = MaxGrace + 1 },
		"below 0":  func(o *Options) { o.Grace = -1 },
		"idle":     func(o *Options) { o.Idle = 0 },
		"absolute": func(o *Options) { o.Absolute = time.Minute },
		"block":    func(o *Options) { o.Block = 0 },
	} {
		o := good
		change(&o)
		if _, err := New(memory.New(nil), &o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := New(nil, &good); err == nil {
		t.Error("no store: taken")
	}
	if _, err := New(memory.New(nil), nil); err == nil {
		t.Error("no lifetimes: taken")
	}
}

func TestStrict(t *testing.T) {
	w := newWorld(t, 0)
	w.begin(t, "f")
	one := w.good(t, "f-0")
	two := w.good(t, one)
	if w.blocked(t, "f") {
		t.Error("blocked before anything happened")
	}
	w.is(t, use(one), ErrReused, "without a grace a second use ends the family")
	if !w.blocked(t, "f") {
		t.Error("the family's access tokens are not blocked")
	}
	w.is(t, use(two), ErrRevoked, "the newest token ended with its family")
	w.is(t, use("unheard of"), ErrUnknown, "an unknown token")
}

// A replay by the direct predecessor within the grace period, in a valid family whose successor was
// not exchanged, returns the same tokens and creates none.
func TestGrace(t *testing.T) {
	t.Run("the same answer, and nothing minted", func(t *testing.T) {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		one := w.good(t, "f-0")
		for range 3 {
			w.pass(3 * time.Second)
			again, res, err := w.next(use("f-0"))
			if err != nil || again != one || !res.Repeated || w.made.Load() != 1 {
				t.Fatalf("%q, %v, repeated %t, %d minted", again, err, res.Repeated, w.made.Load())
			}
		}
		if two := w.good(t, one); two == one {
			t.Error("the successor does not work")
		}
	})
	t.Run("the window counts from the claim and ends", func(t *testing.T) {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		one := w.good(t, "f-0")
		w.pass(10 * time.Second)
		w.is(t, use("f-0"), ErrReused, "the window ended")
		w.is(t, use(one), ErrRevoked, "the family ended")
	})
	t.Run("the successor's exchange closes it", func(t *testing.T) {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		two := w.good(t, w.good(t, "f-0"))
		w.is(t, use("f-0"), ErrReused, "the successor was exchanged: this is a grand-parent")
		w.is(t, use(two), ErrRevoked, "the family ended")
	})
	t.Run("an ended family answers nothing", func(t *testing.T) {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		w.good(t, "f-0")
		must(t, w.EndFamily(t.Context(), "f"))
		w.is(t, use("f-0"), ErrRevoked, "the family ended")
	})
	t.Run("the epoch moved", func(t *testing.T) {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		one := w.good(t, "f-0")
		_, err := w.store.BumpEpoch(t.Context(), "alice")
		must(t, err)
		w.is(t, use("f-0"), ErrRevoked, "logged out everywhere")
		w.is(t, use(one), ErrRevoked, "logged out everywhere")
	})
}

// A wrong client or parameter neither exchanges the token nor revokes the family.
func TestMismatch(t *testing.T) {
	w := newWorld(t, 10*time.Second)
	w.begin(t, "f")
	wrong := []Use{
		{Secret: "f-0", Purpose: "other"}, {Secret: "f-0", Purpose: "test", Client: "thief"},
	}
	for _, u := range wrong {
		w.is(t, u, ErrMismatch, "before the exchange")
	}
	one := w.good(t, "f-0")
	for _, u := range append(wrong, Use{Secret: "f-0", Purpose: "test", Scopes: []string{"a"}}, Use{Secret: "f-0", Purpose: "test", Scopes: []string{}},
		Use{Secret: "f-0", Purpose: "test", Resource: []string{"a"}}, Use{Secret: "f-0", Purpose: "test", Confirm: "key"}) {
		w.is(t, u, ErrMismatch, "in the window")
	}
	if again := w.good(t, "f-0"); again != one {
		t.Error("a wrong repetition spoiled the right one")
	}
	w.good(t, one)
}

// A family that is bound to a key can be exchanged only with it. Another key neither exchanges the
// token nor revokes the family. Revoking needs no key.
func TestConfirm(t *testing.T) {
	w := newWorld(t, 10*time.Second)
	begin := func(id string) {
		_, err := w.Begin(t.Context(), storage.Family{ID: id, Purpose: "test", Subject: "alice", Confirm: "key"}, id+"-0")
		must(t, err)
	}
	begin("f")
	with := func(secret, key string) Use { return Use{Secret: secret, Purpose: "test", Confirm: key} }
	for _, key := range []string{"", "other"} {
		w.is(t, with("f-0", key), ErrMismatch, "before the exchange")
	}
	one, _, err := w.next(with("f-0", "key"))
	must(t, err)
	for range 2 {
		for _, key := range []string{"", "other"} {
			w.is(t, with("f-0", key), ErrMismatch, "claimed")
		}
		if again, res, err := w.next(with("f-0", "key")); again != one || !res.Repeated {
			t.Errorf("%q, %v", again, err)
		}
	}
	w.pass(11 * time.Second)
	w.is(t, with("f-0", "other"), ErrMismatch, "after the window")
	if two, _, err := w.next(with(one, "key")); err != nil {
		t.Errorf("another key's use ended it: %v", err)
	} else if _, err := w.Inspect(t.Context(), use(two)); err != nil {
		t.Errorf("it could be exchanged: %v", err)
	}
	if _, err := w.Revoke(t.Context(), use("f-0")); err != nil || !w.blocked(t, "f") {
		t.Errorf("revoked without the key: %v", err)
	}
}

// The stored response is encrypted and is deleted after the grace period.
func TestSealed(t *testing.T) {
	w := newWorld(t, 10*time.Second)
	w.begin(t, "f")
	one := w.good(t, "f-0")
	kept := func(secret string) []byte {
		st, err := w.store.RefreshByDigest(t.Context(), storage.DigestOf(secret))
		must(t, err)
		return st.Refresh.Sealed
	}
	sealed := kept("f-0")
	if len(sealed) == 0 || bytes.Contains(sealed, []byte(one)) {
		t.Error("the answer is kept in clear, or not at all")
	}
	for what, u := range map[string]Use{
		"secret": use("f-1"), "client": {Secret: "f-0", Purpose: "test", Client: "x"}, "purpose": {Secret: "f-0", Purpose: "x"},
		"key": {Secret: "f-0", Purpose: "test", Confirm: "x"}, "scope": {Secret: "f-0", Purpose: "test", Scopes: []string{"x"}},
	} {
		if _, _, err := unseal(u, "f", sealed); err == nil {
			t.Errorf("another %s opens it", what)
		}
	}
	if _, _, err := unseal(use("f-0"), "g", sealed); err == nil {
		t.Error("another family opens it")
	}
	if _, _, err := unseal(use("f-0"), "f", sealed[:5]); err == nil {
		t.Error("a cut text opens")
	}
	if _, got, err := unseal(use("f-0"), "f", sealed); err != nil || string(got) != one {
		t.Errorf("%q, %v", got, err)
	}
	two := w.good(t, one)
	if len(kept("f-0")) > 0 || len(kept(one)) == 0 {
		t.Error("the blob is not erased when the successor is claimed")
	}
	must(t, w.EndFamily(t.Context(), "f"))
	if len(kept(one)) > 0 {
		t.Error("the blob is not erased when the family ends")
	}
	_ = two
	strict := newWorld(t, 0)
	strict.begin(t, "f")
	strict.good(t, "f-0")
	if st, err := strict.store.RefreshByDigest(t.Context(), storage.DigestOf("f-0")); err != nil || len(st.Refresh.Sealed) > 0 {
		t.Error("a blob is kept without a window")
	}
}

func TestLifetimes(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		w := newWorld(t, 0)
		w.begin(t, "f")
		w.pass(time.Hour - 1)
		one := w.good(t, "f-0")
		w.pass(time.Hour)
		w.is(t, use(one), ErrExpired, "at its expiry")
		w.is(t, use("f-0"), ErrReused, "an exchanged token is noticed after its expiry")
	})
	t.Run("attack_102_absolute", func(t *testing.T) {
		w := newWorld(t, 0)
		w.begin(t, "f")
		tok := "f-0"
		for range 47 {
			w.pass(30 * time.Minute)
			tok = w.good(t, tok)
		}
		st, err := w.Inspect(t.Context(), use(tok))
		must(t, err)
		if !st.Refresh.Expires.Equal(st.Family.Expires) {
			t.Errorf("a token until %v in a family until %v", st.Refresh.Expires, st.Family.Expires)
		}
		w.pass(30 * time.Minute)
		w.is(t, use(tok), ErrExpired, "the family's absolute end, though the token was fresh")
	})
}

func TestSubject(t *testing.T) {
	for what, end := range map[string]func(*world) error{
		"disabled":     func(w *world) error { return w.store.SetActive(context.Background(), "alice", false) },
		"new password": func(w *world) error { return w.store.SetPassword(context.Background(), "alice", "x") },
	} {
		w := newWorld(t, 10*time.Second)
		w.begin(t, "f")
		must(t, end(w))
		w.is(t, use("f-0"), ErrRevoked, what)
		must(t, w.store.SetActive(t.Context(), "alice", true))
		w.is(t, use("f-0"), ErrRevoked, what+", then enabled again")
	}
	w := newWorld(t, 10*time.Second)
	w.begin(t, "f")
	must(t, w.store.DeleteUser(t.Context(), "alice"))
	w.is(t, use("f-0"), ErrUnknown, "deleted")
}

func TestRevoke(t *testing.T) {
	w := newWorld(t, 0)
	w.begin(t, "f")
	one := w.good(t, "f-0")
	if _, err := w.Revoke(t.Context(), use("x")); err != ErrUnknown {
		t.Errorf("unknown: %v", err)
	}
	if _, err := w.Revoke(t.Context(), Use{Secret: one, Purpose: "test", Client: "thief"}); err != ErrMismatch || w.blocked(t, "f") {
		t.Errorf("another client's: %v", err)
	}
	for range 2 { // an exchanged token, then in an ended family
		if _, err := w.Revoke(t.Context(), use("f-0")); err != nil || !w.blocked(t, "f") {
			t.Errorf("revoke: %v", err)
		}
	}
	w.is(t, use(one), ErrRevoked, "after revoke")
	must(t, w.EndFamily(t.Context(), "no such family"))
}

// Of many concurrent requests, one exchanges the token. With a grace period, all get its response.
func TestAtOnce(t *testing.T) {
	for _, grace := range []time.Duration{0, 10 * time.Second} {
		w := newWorld(t, grace)
		w.begin(t, "f")
		var mu sync.Mutex
		answers, refused := make(map[string]int), 0
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				answer, _, err := w.next(use("f-0"))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					answers[answer]++
				case errors.Is(err, ErrReused), errors.Is(err, ErrRevoked):
					refused++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(answers) != 1 || grace == 0 && refused != 63 || grace > 0 && refused != 0 {
			t.Errorf("grace %v: answers %v, %d refused", grace, answers, refused)
		}
	}
}

// broken is a store that fails in chosen calls.
type broken struct {
	*memory.Store
	claim, end error
}

func (b *broken) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	if b.claim != nil {
		return b.claim
	}
	return b.Store.ClaimRefresh(ctx, c)
}

func (b *broken) EndFamily(ctx context.Context, id string, until time.Time) error {
	if b.end != nil {
		return b.end
	}
	return b.Store.EndFamily(ctx, id, until)
}

// Errors of the store are not rejections.
func TestFaults(t *testing.T) {
	w := newWorld(t, 0)
	w.begin(t, "f")
	down := errors.New("down")
	b := &broken{Store: w.store, claim: down}
	w.Rotator.store = b
	w.is(t, use("f-0"), down, "the claim fails")
	b.claim = storage.ErrConflict
	if _, _, err := w.next(use("f-0")); err == nil || errors.Is(err, ErrReused) {
		t.Errorf("digests that are always taken: %v", err)
	}
	b.claim, b.end = nil, down
	one := w.good(t, "f-0")
	w.is(t, use("f-0"), down, "the family cannot be ended")
	if _, err := w.Revoke(t.Context(), use(one)); err != down {
		t.Errorf("revoke: %v", err)
	}
	no := errors.New("not for you")
	if _, err := w.Rotate(t.Context(), use(one), func(context.Context, storage.RefreshState, time.Time) ([]byte, string, error) {
		return nil, "", no
	}); err != no {
		t.Errorf("the scheme's own refusal: %v", err)
	}
	b.end = nil
	w.good(t, one)
}

// changed is a store whose results are modified, as if another program had written to the table.
type changed struct {
	*memory.Store
	change func(*storage.RefreshState)
}

func (c *changed) RefreshByDigest(ctx context.Context, d storage.Digest) (storage.RefreshState, error) {
	st, err := c.Store.RefreshByDigest(ctx, d)
	if err == nil && c.change != nil {
		c.change(&st)
	}
	return st, err
}

// Rotate makes its own checks, even if the store has the same rules.
func TestEachConditionCounts(t *testing.T) {
	for name, c := range map[string]struct {
		claimed bool // the token was exchanged before, and its answer is at hand
		change  func(*storage.RefreshState)
		want    error
	}{
		"an account that was disabled without an epoch": {false, func(st *storage.RefreshState) { st.User.Active = false }, ErrRevoked},
		"an answer that outlived its successor's claim": {true, func(st *storage.RefreshState) { st.SuccessorClaimed = true }, ErrReused},
		"an answer that outlived its family":            {true, func(st *storage.RefreshState) { st.Family.Expires = st.Family.Created }, ErrExpired},
		"a token that outlived its family":              {false, func(st *storage.RefreshState) { st.Family.Expires = st.Family.Created }, ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, time.Minute)
			w.begin(t, "f")
			if c.claimed {
				w.good(t, "f-0")
			}
			var err error
			w.Rotator, err = New(&changed{w.store, c.change}, &Options{Grace: time.Minute, Idle: time.Hour, Absolute: 24 * time.Hour, Block: 5 * time.Minute, Clock: w.clock})
			must(t, err)
			w.is(t, use("f-0"), c.want, name)
		})
	}
}
