package cached_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// clock is a clock that tests move.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.micros.Store(now.UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) forward(d time.Duration) { c.micros.Add(d.Microseconds()) }

// watched is a store that counts the lookups that reach it, and lets a test stand
// between what it read and its answer.
type watched struct {
	cached.Base
	lookups atomic.Int64
	read    atomic.Pointer[func(error) error]
}

func (w *watched) saw(err error) error {
	w.lookups.Add(1)
	if f := w.read.Load(); f != nil {
		return (*f)(err)
	}
	return err
}

func (w *watched) then(f func(error) error) {
	if f == nil {
		w.read.Store(nil)
	} else {
		w.read.Store(&f)
	}
}

func (w *watched) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	t, u, err := w.Base.StaticTokenByDigest(ctx, d)
	return t, u, w.saw(err)
}

func (w *watched) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	t, u, err := w.Base.CredentialByDigest(ctx, purpose, d)
	return t, u, w.saw(err)
}

func (w *watched) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	t, u, err := w.Base.SessionByDigest(ctx, d)
	return t, u, w.saw(err)
}

func (w *watched) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	st, err := w.Base.AccessByDigest(ctx, d)
	return st, w.saw(err)
}

func (w *watched) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	st, err := w.Base.TokenStatusOf(ctx, subject, keys)
	return st, w.saw(err)
}

func (w *watched) TokenStatusWithUser(ctx context.Context, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	u, st, err := w.Base.TokenStatusWithUser(ctx, subject, keys)
	return u, st, w.saw(err)
}

func (w *watched) LinkOf(ctx context.Context, issuer, foreign string) (storage.Link, storage.User, error) {
	l, u, err := w.Base.LinkOf(ctx, issuer, foreign)
	return l, u, w.saw(err)
}

func (w *watched) SubjectPermissions(ctx context.Context, subject string) ([]string, error) {
	names, err := w.Base.SubjectPermissions(ctx, subject)
	return names, w.saw(err)
}

func (w *watched) UserByID(ctx context.Context, id string) (storage.User, error) {
	u, err := w.Base.UserByID(ctx, id)
	return u, w.saw(err)
}

// world is a store with a cache in front.
type world struct {
	testing.TB
	ctx   context.Context
	base  *watched
	s     *cached.Store
	clock *clock
	way   way
}

func newWorld(t testing.TB, base cached.Base, opts *cached.Options) *world {
	t.Helper()
	w := &world{TB: t, ctx: t.Context(), base: &watched{Base: base}, clock: newClock()}
	var o cached.Options
	if opts != nil {
		o = *opts
	}
	o.Clock, o.Timeout = w.clock.now, 20*time.Second
	w.s = over(t, w.base, &o)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	must(w, err)
}

// asked is how many lookups reached the store while f ran.
func (w *world) asked(f func()) int64 {
	before := w.base.lookups.Load()
	f()
	return w.base.lookups.Load() - before
}

// add makes an account. id is also its name.
func (w *world) add(id string) {
	w.Helper()
	w.must(w.base.CreateUser(w.ctx, storage.User{ID: id, Name: id, Email: id + "@example.com", Password: "hash", Active: true, Roles: []string{"staff"}, Created: now}))
}

// credential is something that a scheme accepts, or not.
type credential struct {
	name string
	// look looks it up; the account comes with the lease of the answer.
	look func(context.Context, *cached.Store) (storage.User, bool, error)
	// good looks it up as its scheme does, also where a scheme uses leases.
	good func(context.Context, *cached.Store) (bool, error)
	// ends are the ways to end it that are its own.
	ends map[string]func(*cached.Store) error
}

func maybe(u storage.User, err error, good func() bool) (storage.User, bool, error) {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return u, false, nil
	case err != nil:
		return u, false, err
	}
	return u, good(), nil
}

// way is how a scheme uses lookups.
type way string

const (
	asking  way = "asking"  // one for each request
	leasing way = "leasing" // none while the lease of the last yes holds
)

// by returns w, whose credentials are looked up that way.
func (w *world) by(how way) *world {
	w.way = how
	return w
}

// ways runs f for each way.
func ways(t *testing.T, f func(t *testing.T, how way)) {
	for _, how := range []way{asking, leasing} {
		t.Run(string(how), func(t *testing.T) { f(t, how) })
	}
}

// eachWay is each for each way.
func eachWay(t *testing.T, f func(t *testing.T, base cached.Base, how way)) {
	ways(t, func(t *testing.T, how way) { each(t, func(t *testing.T, base cached.Base) { f(t, base, how) }) })
}

// ready fills in what is good.
func (w *world) ready(list ...credential) []credential {
	for i := range list {
		look := list[i].look
		var leases sync.Map // by Store
		list[i].good = func(ctx context.Context, s *cached.Store) (bool, error) {
			if l, ok := leases.Load(s); ok && w.way == leasing && l.(storage.Lease).Valid(ctx) {
				return true, nil
			}
			u, good, err := look(ctx, s)
			if l := u.Lease(); good && l != nil {
				leases.Store(s, l)
			}
			return good, err
		}
	}
	return list
}

// give makes a credential of each kind for an account. They expire in an hour, but the
// static token.
func (w *world) give(id string) []credential {
	w.Helper()
	ctx, s := w.ctx, w.base.Base
	epoch, err := s.SubjectEpoch(ctx, id)
	w.must(err)
	tag := fmt.Sprintf("%s %d", id, epoch)
	d := storage.DigestOf(tag) // one digest for all kinds: they are not confused
	start, end := w.clock.now(), w.clock.now().Add(time.Hour)
	name := fmt.Sprintf("%x", d[:8])

	w.must(s.PutStaticToken(ctx, storage.StaticToken{Digest: d, Subject: id, Salt: []byte("salt"), KeyID: "key", Epoch: epoch, Created: start}, storage.Digest{}))
	_, err = s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: d, ID: name, Subject: id, Name: "phone", Epoch: epoch, Created: start, Expires: end, TTL: time.Hour}, storage.CredentialLimit{})
	w.must(err)
	w.must(s.CreateSession(ctx, storage.Session{Digest: d, ID: name, Subject: id, Epoch: epoch, Data: []byte("data"), Created: start, AuthTime: start, LastSeen: start, Expires: end, Ends: end.Add(time.Hour), UserAgent: "Mozilla/5.0", Address: "::1"}, storage.Digest{}))
	w.must(s.CreateClient(ctx, storage.Client{ID: name, Name: "client", Method: "none", Created: start}))
	w.must(s.CreateFamily(ctx, storage.Family{ID: name, Purpose: "test", Subject: id, Client: name, Epoch: epoch, Created: start, AuthTime: start, Expires: end}, storage.Refresh{Digest: d, Created: start, Expires: end}))
	w.must(s.CreateAccess(ctx, storage.AccessToken{Digest: d, ID: name, Family: name, Client: name, Subject: id, Epoch: epoch, Scopes: []string{"read"}, Created: start, Expires: end}))
	w.must(s.CreateLink(ctx, storage.Link{Issuer: "https://login.example", Foreign: name, ID: name, Subject: id, Created: start}, epoch))
	keys := storage.BlockKeys{
		JTI: storage.BlockKeyOf(storage.BlockJTI, "iss", name), SID: storage.BlockKeyOf(storage.BlockSID, "", name),
		Subject: storage.BlockKeyOf(storage.BlockSubject, "iss", name),
	}
	block := func(k storage.BlockKey) func(*cached.Store) error {
		return func(s *cached.Store) error { return s.Block(ctx, end, k) }
	}
	endFamily := func(s *cached.Store) error { return s.EndFamily(ctx, name, end) }
	blocks := map[string]func(*cached.Store) error{"jti": block(keys.JTI), "sid": block(keys.SID), "sub": block(keys.Subject), "family": endFamily}

	return w.ready(
		credential{name: "static", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			t, u, err := s.StaticTokenByDigest(ctx, d)
			return maybe(u, err, func() bool { return u.Active && t.Epoch == u.Epoch && t.Subject == id })
		}, ends: map[string]func(*cached.Store) error{
			"delete":    func(s *cached.Store) error { return s.DeleteStaticToken(ctx, d) },
			"delete_of": func(s *cached.Store) error { return s.DeleteStaticTokenOf(ctx, id) },
			"replace": func(s *cached.Store) error {
				return s.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf(tag + " new"), Subject: id, Salt: []byte("new"), Epoch: epoch}, d)
			},
		}},
		credential{name: "device", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			t, u, err := s.CredentialByDigest(ctx, "knox", d)
			return maybe(u, err, func() bool { return u.Active && t.Epoch == u.Epoch && t.Subject == id })
		}, ends: map[string]func(*cached.Store) error{
			"delete": func(s *cached.Store) error { return s.DeleteCredential(ctx, "knox", id, name) },
			"all":    func(s *cached.Store) error { _, err := s.DeleteCredentialsOf(ctx, "knox", id, ""); return err },
			"evict": func(s *cached.Store) error {
				_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(tag + " new"), ID: "new", Subject: id, Epoch: epoch, Created: end},
					storage.CredentialLimit{Max: 1, Evict: true, Now: start})
				return err
			},
		}},
		credential{name: "session", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			t, u, err := s.SessionByDigest(ctx, d)
			return maybe(u, err, func() bool { return u.Active && t.Epoch == u.Epoch && t.Subject == id })
		}, ends: map[string]func(*cached.Store) error{
			"end":  func(s *cached.Store) error { return s.DeleteSession(ctx, d) },
			"one":  func(s *cached.Store) error { return s.DeleteSessionOf(ctx, id, name) },
			"all":  func(s *cached.Store) error { _, err := s.DeleteSessionsOf(ctx, id, ""); return err },
			"next": func(s *cached.Store) error { return s.CreateSession(ctx, w.session(id, tag+" new", epoch), d) },
		}},
		credential{name: "access", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			st, err := s.AccessByDigest(ctx, d)
			return maybe(st.User, err, func() bool {
				return !st.Ended && st.User.Active && st.Access.Epoch == st.User.Epoch && st.Access.Subject == id
			})
		}, ends: map[string]func(*cached.Store) error{
			"drop":   func(s *cached.Store) error { return s.DeleteAccess(ctx, d) },
			"family": endFamily,
			"client": func(s *cached.Store) error { return s.DeleteClient(ctx, name) },
			"client_disabled": func(s *cached.Store) error {
				return s.UpdateClient(ctx, storage.Client{ID: name, Method: "none", Disabled: true})
			},
		}},
		credential{name: "standing", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			st, err := s.TokenStatusOf(ctx, id, keys)
			return storage.User{}, err == nil && !st.Blocked && st.Epoch == epoch, err
		}, ends: blocks},
		credential{name: "user_standing", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			u, st, err := s.TokenStatusWithUser(ctx, id, keys)
			return maybe(u, err, func() bool { return u.Active && !st.Blocked && st.Epoch == epoch })
		}, ends: blocks},
		credential{name: "live_user", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			u, hash, err := s.LiveUser(ctx, id)
			return maybe(u, err, func() bool {
				return u.Active && u.Epoch == epoch && hash == storage.PasswordHash("hash").Fingerprint()
			})
		}, ends: map[string]func(*cached.Store) error{
			"new_hash": func(s *cached.Store) error { return s.ReplaceHash(ctx, id, "hash", "a better one") },
		}},
		credential{name: "link", look: func(ctx context.Context, s *cached.Store) (storage.User, bool, error) {
			l, u, err := s.LinkOf(ctx, "https://login.example", name)
			return maybe(u, err, func() bool { return u.Active && u.Epoch == epoch && l.Subject == id && l.Foreign == name })
		}, ends: map[string]func(*cached.Store) error{
			"unlink": func(s *cached.Store) error { return s.DeleteLink(ctx, id, name) },
		}},
	)
}

func (w *world) session(id, text string, epoch int64) storage.Session {
	d := storage.DigestOf(text)
	return storage.Session{Digest: d, ID: fmt.Sprintf("%x", d[:8]), Subject: id, Epoch: epoch, Created: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}
}

// everywhere are the ways to end all credentials of a subject.
func everywhere(ctx context.Context, id string, epoch int64) map[string]func(*cached.Store) error {
	return map[string]func(*cached.Store) error{
		"log_out_everywhere": func(s *cached.Store) error { _, err := s.BumpEpoch(ctx, id); return err },
		"disable":            func(s *cached.Store) error { return s.SetActive(ctx, id, false) },
		"set_password":       func(s *cached.Store) error { return s.SetPassword(ctx, id, "new") },
		"change_password":    func(s *cached.Store) error { return s.ChangePassword(ctx, id, epoch, "new") },
		"forget":             func(s *cached.Store) error { return s.DeleteSubject(ctx, id) },
		"delete":             func(s *cached.Store) error { return s.DeleteUser(ctx, id) },
	}
}

// is fails unless the credential is good or not as said.
func (w *world) is(c credential, want bool, why string) {
	w.Helper()
	if got, err := c.good(w.ctx, w.s); err != nil || got != want {
		w.Errorf("%s: good %t, %v; want %t: %s", c.name, got, err, want, why)
	}
}
