package authn_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// lease is valid until it is revoked.
type lease struct{ ended atomic.Bool }

func (l *lease) Valid(context.Context) bool { return !l.ended.Load() }

// keeper is an application's scheme that is a Keeper. It accepts every text for which good returns
// true.
type keeper struct {
	id        *authn.Identity
	err       error
	keep      authn.Keep
	guessable bool
	good      func(text string) bool // nil: every text
	asked     atomic.Int64

	mu      sync.Mutex
	renewed []authn.Identity
}

func (k *keeper) Name() string                          { return "keeper" }
func (k *keeper) Headers() []string                     { return []string{"Authorization"} }
func (k *keeper) Challenge(*http.Request, error) string { return "Keeper" }

func (k *keeper) Presented(r *http.Request) (string, bool) {
	return r.Header.Get("Authorization"), k.guessable
}

func (k *keeper) Authenticate(r *http.Request) (authn.Identity, error) {
	text := r.Header.Get("Authorization")
	if text == "" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	k.asked.Add(1)
	switch {
	case k.err != nil:
		return authn.Identity{}, k.err
	case k.good != nil && !k.good(text):
		return authn.Identity{}, authn.AuthenticationFailed("No.")
	case k.id == nil:
		return authn.Identity{}, nil
	}
	return k.id.Kept(k, k.keep), nil
}

func (k *keeper) Renew(_ http.ResponseWriter, _ *http.Request, id authn.Identity) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewed = append(k.renewed, id)
	return nil
}

type account string

func (a account) UserID() string { return string(a) }

func newKeeper() *keeper {
	return &keeper{keep: authn.Keep{Lease: new(lease)}, id: &authn.Identity{
		Subject: "1", Scheme: "keeper", Roles: []string{"staff"}, User: account("1"), Credential: "record", Expires: time.Now().Add(time.Hour).UTC().Round(0),
	}}
}

// times returns the number of calls of a for three equal requests.
func (k *keeper) times(t *testing.T, a authn.Authenticator, opts *authn.Options) int64 {
	t.Helper()
	if opts == nil {
		opts = &authn.Options{Logger: quiet}
	}
	h := authn.New(a, opts).Handler(http.HandlerFunc(who))
	before := k.asked.Load()
	for range 3 {
		ask(h, "GET", "/", "Authorization: x")
	}
	return k.asked.Load() - before
}

// strict embeds a Keeper and rejects some credentials that the Keeper accepts.
type strict struct{ *keeper }

func (s strict) Authenticate(r *http.Request) (authn.Identity, error) {
	if _, err := s.keeper.Authenticate(r); err != nil {
		return authn.Identity{}, err
	}
	return authn.Identity{}, authn.AuthenticationFailed("Too late at night.")
}

// strictly is strict by pointer.
type strictly struct{ keeper }

func (s *strictly) Authenticate(r *http.Request) (authn.Identity, error) {
	return strict{&s.keeper}.Authenticate(r)
}

// embedded adds nothing, but is a different Authenticator.
type embedded struct{ *keeper }

// decorator decorates any Authenticator and removes the roles.
type decorator struct{ authn.Authenticator }

func (d decorator) Unwrap() authn.Authenticator { return d.Authenticator }

func (d decorator) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := d.Authenticator.Authenticate(r)
	if err == nil {
		id.Roles = nil
	}
	return id, err
}

// promoting decorates a Keeper and promotes its Presented, as a careless decorator may.
type promoting struct{ decorator }

func (promoting) Presented(r *http.Request) (string, bool) {
	return r.Header.Get("Authorization"), false
}

// plain decorates and changes nothing.
type plain struct{ authn.Authenticator }

func (d plain) Unwrap() authn.Authenticator { return d.Authenticator }
func (d plain) Name() string                { return "keeper" }

// An Authenticator whose identities it marks itself is called once. A decorator and a type that
// embeds it are called for each request.
func TestKept(t *testing.T) {
	k := newKeeper()
	if n := k.times(t, authn.Chain{absent, authn.Chain{k}}, nil); n != 1 {
		t.Errorf("called %d times", n)
	}
	value := byValue{newKeeper()}
	if n := value.times(t, value, nil); n != 1 {
		t.Errorf("by value: called %d times", n)
	}
	for name, a := range map[string]authn.Authenticator{
		"decorator": decorator{k}, "plain": plain{k}, "promoting": promoting{decorator{k}}, "embedded": embedded{k}, "strict": strict{k}, "strict by pointer": &strict{k},
		"in a chain": authn.Chain{absent, authn.Chain{decorator{k}}}, "a chain in a decorator": plain{authn.Chain{k}}, "function": authn.Func(k.Authenticate),
		"uncomparable": uncomparable{k, nil},
	} {
		if n := k.times(t, a, nil); n != 3 {
			t.Errorf("%s: called %d times", name, n)
		}
	}
	k.keep.Lease = nil
	if n := k.times(t, k, nil); n != 3 {
		t.Errorf("without a lease: called %d times", n)
	}
	k.keep.Lease = new(lease)
	for name, o := range map[string]authn.Options{"entries": {KeepEntries: authn.NoKeep}, "bytes": {KeepBytes: authn.NoKeep}, "no room": {KeepBytes: 100}} {
		if n := k.times(t, k, &o); n != 3 {
			t.Errorf("%s: called %d times", name, n)
		}
	}
}

// byValue is a Keeper that is no pointer.
type byValue struct{ *keeper }

func (b byValue) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := b.keeper.Authenticate(r)
	return id.Kept(b, b.keep), err
}

// uncomparable cannot be compared with itself.
type uncomparable struct {
	*keeper
	list []int
}

func (u uncomparable) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := u.keeper.Authenticate(r)
	return id.Kept(u, u.keep), err
}

// Rejections and removed roles of an outer type always apply, whatever its place and whatever is
// kept for the inner one.
func TestKeptIsNoBypass(t *testing.T) {
	k, table := newKeeper(), must1(authn.NewTable(nil))(t)
	shared := func() *authn.Options { return &authn.Options{Logger: quiet, Table: table} }
	if k.times(t, k, shared()) != 1 {
		t.Fatal("not kept")
	}
	outer := &strictly{keeper{id: k.id, keep: k.keep}}
	for name, a := range map[string]authn.Authenticator{
		"itself": strict{k}, "by pointer": &strict{k}, "its value": outer, "nested": authn.Chain{absent, authn.Chain{authn.Chain{outer}}},
		"decorated": decorator{strict{k}}, "twice": authn.Chain{absent, decorator{decorator{outer}}}, "beside the inner one": authn.Chain{strict{k}, k},
	} {
		h := authn.New(a, shared()).Handler(http.HandlerFunc(who))
		for range 2 {
			if w := ask(h, "GET", "/", "Authorization: x"); w.Code != 401 || !strings.Contains(w.Body.String(), "night") {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	}
	for name, a := range map[string]authn.Authenticator{"decorator": decorator{k}, "promoting": promoting{decorator{k}}} {
		var got authn.Identity
		h := authn.New(a, shared()).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = authn.FromContext(r.Context()) }))
		for range 2 {
			if ask(h, "GET", "/", "Authorization: x"); got.Subject != "1" || got.Roles != nil {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

// Two Authenticators in one table never share identities, whatever their index in the chain: a
// token for one audience is not valid for another.
func TestKeptByOneAuthenticator(t *testing.T) {
	public, admin, table := newKeeper(), newKeeper(), must1(authn.NewTable(nil))(t)
	admin.err = authn.AuthenticationFailed("For another audience.")
	a := authn.New(authn.Chain{public}, &authn.Options{Table: table}).Handler(http.HandlerFunc(who))
	b := authn.New(authn.Chain{admin}, &authn.Options{Table: table, Logger: quiet}).Handler(http.HandlerFunc(who))
	for range 3 {
		if w := ask(a, "GET", "/", "Authorization: x"); w.Code != 200 {
			t.Error(w.Code)
		}
		if w := ask(b, "GET", "/", "Authorization: x"); w.Code != 401 {
			t.Error("accepted what another Authenticator accepted", w.Code)
		}
	}
	if n := public.asked.Load(); n != 1 {
		t.Errorf("called %d times", n)
	}
	if n := public.times(t, public, &authn.Options{Table: table}); n != 0 {
		t.Errorf("a second middleware over one table: called %d times", n)
	}
}

// The mark of an identity is never passed to an application.
func TestMarkStaysInside(t *testing.T) {
	k := newKeeper()
	want := *k.id
	marked := want.Kept(k, k.keep)
	if reflect.DeepEqual(marked, want) {
		t.Fatal("no mark")
	}
	chained, err := authn.Chain{k}.Authenticate(request())
	must(t, err)
	explained, _, err := authn.New(k, nil).Explain(request())
	must(t, err)
	for name, id := range map[string]authn.Identity{
		"Clone": marked.Clone(), "WithIdentity": authn.FromContext(authn.WithIdentity(t.Context(), marked)), "Chain": chained, "Explain": explained,
	} {
		if !reflect.DeepEqual(id, want) {
			t.Errorf("%s: %+v", name, id)
		}
	}
	login := authn.Login{Subject: "1"}
	pw, other := checker{"a"}, checker{"b"}
	if _, ok := login.Kept(pw, k.keep).KeepOf(pw); !ok {
		t.Error("a login without its mark")
	}
	for _, l := range []authn.Login{login, login.Kept(other, k.keep), login.Kept(pw, authn.Keep{})} {
		if _, ok := l.KeepOf(pw); ok {
			t.Error("a mark of somebody else")
		}
	}
}

type checker struct{ name string }

func (checker) CheckPassword(*http.Request, string, string) (authn.Login, error) {
	return authn.Login{}, errors.New("not called")
}

func request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "x")
	return r
}

// must1 is must for what returns a value.
func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}
