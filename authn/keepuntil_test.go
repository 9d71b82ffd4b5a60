package authn_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// An identity is kept until the earliest of Until, Expires and an hour.
func TestKeepUntil(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		until, expires time.Duration // 0: none
		guessable      bool
		want           time.Duration
	}{
		"neither": {0, 0, false, authn.MaxKeep}, "until": {time.Minute, 0, false, time.Minute}, "expires": {0, time.Minute, false, time.Minute},
		"until first": {time.Minute, 2 * time.Minute, false, time.Minute}, "expires first": {2 * time.Minute, time.Minute, false, time.Minute},
		"beyond an hour": {100 * time.Hour, 200 * time.Hour, false, authn.MaxKeep}, "guessable": {0, time.Hour, true, authn.MaxKeepGuessable},
		"guessable, until first": {time.Second, 0, true, time.Second},
	} {
		now := begin
		clock := func() time.Time { return now }
		k := newKeeper()
		k.guessable, k.keep.Clock = c.guessable, clock
		k.id.Expires, k.keep.Until = time.Time{}, time.Time{}
		if c.until > 0 {
			k.keep.Until = begin.Add(c.until)
		}
		if c.expires > 0 {
			k.id.Expires = begin.Add(c.expires)
		}
		h := authn.New(k, &authn.Options{Clock: clock}).Handler(http.HandlerFunc(who))
		is := func(at time.Duration, want int64) {
			t.Helper()
			now = begin.Add(at)
			if ask(h, "GET", "/", "Authorization: x"); k.asked.Load() != want {
				t.Errorf("%s, after %v: called %d times, want %d", name, at, k.asked.Load(), want)
			}
		}
		is(0, 1)
		is(0, 1)
		is(c.want-1, 1)
		is(c.want, 2)
	}
}

// The time for which an identity is kept does not depend on the wall clock. The expiry of the
// credentials does, and a clock that is set back extends nothing beyond one hour.
func TestKeepAndClockSetBack(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	scheme, passed := begin, begin
	table := must1(authn.NewTable(&authn.TableOptions{Clock: func() time.Time { return passed }}))(t)
	k := newKeeper()
	k.id.Expires, k.keep.Clock = begin.Add(30*time.Minute), func() time.Time { return scheme }
	h := authn.New(k, &authn.Options{Table: table}).Handler(http.HandlerFunc(who))
	is := func(what string, want int64) {
		t.Helper()
		if ask(h, "GET", "/", "Authorization: x"); k.asked.Load() != want {
			t.Errorf("%s: called %d times, want %d", what, k.asked.Load(), want)
		}
	}
	is("first", 1)
	scheme, passed = begin.Add(-24*time.Hour), begin.Add(time.Hour-1)
	is("set back", 1)
	passed = begin.Add(time.Hour)
	is("an hour later", 2)
	passed = begin.Add(-24 * time.Hour) // the table's clock itself is set back
	is("set back", 2)
	scheme = begin.Add(30 * time.Minute)
	is("expired", 3)
	is("expired, and not kept", 4)
}

// After a lease became invalid, the next request is authenticated again.
func TestKeepLease(t *testing.T) {
	l, k := new(lease), newKeeper()
	k.keep.Lease = l
	h := authn.New(k, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
	for range 2 {
		ask(h, "GET", "/", "Authorization: x")
	}
	l.ended.Store(true)
	k.err = authn.AuthenticationFailed("Revoked.")
	if w := ask(h, "GET", "/", "Authorization: x"); w.Code != 401 || k.asked.Load() != 2 {
		t.Errorf("%d, called %d times", w.Code, k.asked.Load())
	}
}

// Check is called for each request except the one that was authenticated.
func TestKeepCheck(t *testing.T) {
	k := newKeeper()
	var result error
	panics := false
	k.keep.Check = func(r *http.Request) error {
		if panics {
			panic("secret")
		}
		return result
	}
	h := authn.New(k, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
	is := func(what string, code int, asked int64) {
		t.Helper()
		w := ask(h, "GET", "/", "Authorization: x")
		if w.Code != code || k.asked.Load() != asked || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s, called %d times", what, w.Code, w.Body, k.asked.Load())
		}
	}
	is("first", 200, 1)
	is("good", 200, 1)
	result = authn.PermissionDenied("Not from there.")
	is("refused", 403, 1)
	result = errors.New("the store is down")
	is("fault", 503, 1)
	panics = true
	is("panic", 503, 1)
	panics, result = false, authn.ErrAskAgain
	is("asks again", 200, 2)
	result = nil
	is("good", 200, 2)
	result = authn.ErrNoCredentials
	if w := ask(h, "GET", "/", "Authorization: x"); w.Code != 200 || w.Body.String() != "/" {
		t.Errorf("absent: %d %q", w.Code, w.Body)
	}
}

// ambient is a Keeper whose credential browsers attach.
type ambient struct {
	*keeper
	headers []string
	says    bool
}

func (a *ambient) Ambient() bool     { return a.says }
func (a *ambient) Headers() []string { return a.headers }
func (a *ambient) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := a.keeper.Authenticate(r)
	return id.Kept(a, a.keep), err
}

// mute is a Keeper that does not say which headers it reads.
type mute struct {
	authn.Authenticator
	*keeperOnly
}

type keeperOnly struct{ k *keeper }

func (o *keeperOnly) Presented(r *http.Request) (string, bool) { return o.k.Presented(r) }

func (s mute) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := s.k.Authenticate(r)
	return id.Kept(s, s.k.keep), err
}

// For a scheme whose credentials browsers attach, and for one that declares no headers, only safe
// requests use kept identities. The origin of other requests must be checked.
func TestKeptAmbient(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*keeper) authn.Authenticator
		want int64 // calls for an unsafe request
	}{
		"Authorization": {func(k *keeper) authn.Authenticator { return k }, 0},
		"cookie":        {func(k *keeper) authn.Authenticator { return &ambient{k, []string{"Cookie", "Authorization"}, false} }, 1},
		"says so":       {func(k *keeper) authn.Authenticator { return &ambient{k, []string{"Authorization"}, true} }, 1},
		"says nothing":  {func(k *keeper) authn.Authenticator { return mute{nil, &keeperOnly{k}} }, 1},
	} {
		k := newKeeper()
		h := authn.New(c.make(k), nil).Handler(http.HandlerFunc(who))
		for _, x := range []struct {
			method, header string
			want           int64
		}{
			{"GET", "X: y", 1}, {"GET", "X: y", 0}, {"HEAD", "X: y", 0}, {"OPTIONS", "X: y", 0}, {"POST", "X: y", c.want}, {"DELETE", "X: y", c.want}, {"QUERY", "X: y", c.want},
			{"GET", "Upgrade: websocket", c.want}, {"GET", "Sec-Websocket-Key: x", c.want}, {"GET", "Sec-Fetch-Mode: websocket", c.want}, {"GET", "X: y", 0},
		} {
			before := k.asked.Load()
			if w := ask(h, x.method, "/", "Authorization: x", x.header); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
			}
			if n := k.asked.Load() - before; n != x.want {
				t.Errorf("%s: %s with %s: called %d times, want %d", name, x.method, x.header, n, x.want)
			}
		}
	}
}
