package cached_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Two ends of one token, and two within one moment: the counter decides, not a time.
func TestEpochs(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		t.Run("attack_090_in_one_moment", func(t *testing.T) {
			w := newWorld(t, base, nil).by(how)
			w.add("alice")
			old := w.give("alice")
			for _, c := range old {
				w.is(c, true, "before")
			}
			_, err := w.s.BumpEpoch(w.ctx, "alice")
			w.must(err)
			w.must(w.base.DeleteStaticTokenOf(w.ctx, "alice")) // a subject has one
			fresh := w.give("alice")                           // the clock stands still
			for i := range old {
				w.is(old[i], false, "from before the logout")
				w.is(fresh[i], true, "from after the logout")
			}
		})
		t.Run("attack_089_the_strictest_end_wins", func(t *testing.T) {
			w := newWorld(t, base, nil).by(how)
			for i, id := range []string{"bob", "carol"} {
				w.add(id)
				c := w.give(id)[4+i]
				w.is(c, true, "before")
				w.must(c.ends["sub"](w.s))
				w.is(c, false, "its subject is blocked")
				_, err := w.s.BumpEpoch(w.ctx, id)
				w.must(err)
				w.is(c, false, "and its epoch has passed")
			}
		})
	})
}

// What a transaction changes holds when it has ended; what it reads is its own.
func TestTransactions(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, nil).by(how)
		failed := errors.New("on purpose")
		for name, end := range map[string]error{"commit": nil, "rollback": failed} {
			w.add(name)
			list := w.give(name)
			for _, c := range list {
				w.is(c, true, "before")
			}
			err := w.s.InTx(w.ctx, func(ctx context.Context) error {
				if _, err := w.s.BumpEpoch(ctx, name); err != nil {
					return err
				}
				for _, c := range list {
					if good, err := c.good(ctx, w.s); good || err != nil {
						t.Errorf("%s: within the transaction: %t, %v", c.name, good, err)
					}
				}
				return w.s.InTx(ctx, func(context.Context) error { return end })
			})
			if !errors.Is(err, end) {
				t.Fatal(err)
			}
			for _, c := range list {
				w.is(c, end != nil, name)
			}
		}
	})
}

// A panic in a transaction leaves nothing stale either.
func TestTransactionPanics(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), nil).by(how)
		w.add("alice")
		c := w.give("alice")[0]
		w.is(c, true, "before")
		func() {
			defer func() { _ = recover() }()
			_ = w.s.InTx(w.ctx, func(ctx context.Context) error {
				w.must(w.s.DeleteStaticTokenOf(ctx, "alice"))
				panic("on purpose")
			})
		}()
		if n := w.asked(func() { w.is(c, true, "rolled back") }); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A transaction that the application began: its changes hold when it says that it is
// over, and without that it can change nothing.
func TestForeignTransactions(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, nil).by(how)
		w.add("alice")
		c := w.give("alice")[0]
		w.is(c, true, "before")
		must(t, base.InTx(w.ctx, func(ctx context.Context) error {
			for what, err := range map[string]error{
				"change": w.s.SetActive(ctx, "alice", false),
				"touch":  w.s.SaveSession(ctx, storage.DigestOf("x"), 1, nil),
				"InTx":   w.s.InTx(ctx, func(context.Context) error { return nil }),
			} {
				if err == nil {
					t.Errorf("%s: taken in a transaction that the cache does not know of", what)
				}
			}
			if _, err := w.s.Prune(ctx, now, 1); err == nil {
				t.Error("prune: taken")
			}
			return nil
		}))
		w.is(c, true, "nothing changed")
		db, ok := base.(*gormstore.Store)
		if !ok {
			return
		}
		tx := db.DB(w.ctx).Begin()
		ctx, done := w.s.Track(db.WithTx(w.ctx, tx))
		w.must(w.s.SetActive(ctx, "alice", false))
		w.must(tx.Commit().Error)
		done()
		w.is(c, false, "the transaction committed")
	})
}

// Two processes on one database: without messages the other goes on up to the TTL, with
// them it does not, and a message that cannot be written undoes the change.
func TestTell(t *testing.T) {
	eachWay(t, func(t *testing.T, base cached.Base, how way) {
		w := newWorld(t, base, nil).by(how)
		other := over(t, base, &cached.Options{Clock: w.clock.now})
		for i := range 6 {
			id := string(rune('a' + i))
			w.add(id)
			c := w.give(id)[i]
			if good, _ := c.good(w.ctx, other); !good {
				t.Fatal(c.name)
			}
			for _, end := range c.ends {
				w.must(end(w.s))
				break
			}
			good, err := c.good(w.ctx, other)
			w.clock.forward(30 * time.Second)
			late, err2 := c.good(w.ctx, other)
			if !good || late || err != nil || err2 != nil {
				t.Errorf("%s: %t within the TTL, %t after it", c.name, good, late)
			}
			w.clock.forward(-30 * time.Second)
		}

		var messages [][]byte
		var fail error
		telling := over(t, base, &cached.Options{Clock: w.clock.now, Tell: func(ctx context.Context, c cached.Change) error {
			if !w.base.InTransaction(ctx) {
				t.Error("told outside of the transaction")
			}
			text, err := c.MarshalText()
			messages = append(messages, text)
			return errors.Join(err, fail)
		}})
		deliver := func() {
			for _, m := range messages {
				var c cached.Change
				w.must(c.UnmarshalText(m))
				c.Apply(other)
			}
			messages = nil
		}
		w.add("sample")
		n := 0
		for i, c := range w.give("sample") {
			ways := map[string]bool{}
			for what := range c.ends {
				ways[what] = false
			}
			for what := range everywhere(w.ctx, "", 0) {
				ways[what] = true
			}
			for what, all := range ways {
				n++
				id := c.name + what + string(rune('a'+n%26))
				w.add(id)
				c := w.give(id)[i]
				end := c.ends[what]
				if all {
					end = everywhere(w.ctx, id, 0)[what]
				}
				if good, _ := c.good(w.ctx, other); !good {
					t.Fatal(id)
				}
				fail = errors.New("no way to tell")
				if err := end(telling); !errors.Is(err, fail) {
					t.Errorf("%s of %s: told nobody: %v", what, c.name, err)
				}
				fail, messages = nil, nil
				if good, _ := c.good(w.ctx, telling); !good { // it forgot, and asks the store
					t.Errorf("%s of %s holds although nobody could be told", what, c.name)
				}
				w.must(end(telling))
				deliver()
				if good, err := c.good(w.ctx, other); good || err != nil {
					t.Errorf("%s of %s: the other process says %t, %v", what, c.name, good, err)
				}
			}
		}
	})
}

func TestBypassAndFlush(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), nil).by(how)
		w.add("alice")
		list := w.give("alice")
		asks := func(want int64, why string) {
			t.Helper()
			for _, c := range list {
				if n := w.asked(func() { w.is(c, true, why) }); n != want {
					t.Errorf("%s: asked %d times: %s", c.name, n, why)
				}
			}
		}
		asks(1, "first")
		asks(0, "kept")
		w.s.FlushAll()
		if u := w.s.Usage(); u != (cached.Usage{}) {
			t.Errorf("%+v", u)
		}
		asks(1, "flushed")
		w.s.Bypass(true)
		asks(1, "bypassed")
		asks(1, "bypassed")
		w.s.Bypass(false)
		asks(1, "nothing survives a bypass")
		asks(0, "kept again")
		w.s.InvalidateKey(cached.Key{Kind: 200}) // of a newer program: everything
		asks(1, "an unknown kind")
	})
}

// While bypassed nobody is given what somebody else asked for: another process may have
// ended it since.
func TestBypassSharesNothing(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), nil).by(how)
		w.add("alice")
		c := w.give("alice")[0]
		w.s.Bypass(true)
		read, goOn := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		w.base.then(func(err error) error {
			if first.CompareAndSwap(false, true) {
				close(read)
				<-goOn
			}
			return err
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.good(w.ctx, w.s) })
		<-read
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		defer cancel()
		if good, err := c.good(ctx, w.s); !good || err != nil {
			t.Errorf("waits for another's lookup: %t, %v", good, err)
		}
		close(goOn)
		wg.Wait()
	})
}

// A lookup that is under way when everything is flushed leaves nothing.
func TestFlushOvertakesLookup(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		for name, overtake := range map[string]func(*cached.Store){
			"flush":   (*cached.Store).FlushAll,
			"bypass":  func(s *cached.Store) { s.Bypass(true); s.Bypass(false) },
			"subject": func(s *cached.Store) { s.InvalidateSubject("alice") },
			"key": func(s *cached.Store) {
				s.InvalidateKey(cached.Key{Kind: cached.StaticTokens, Digest: storage.DigestOf("alice 0")})
			},
		} {
			w := newWorld(t, memory.New(nil), nil).by(how)
			w.add("alice")
			c := w.give("alice")[0]
			var once sync.Once
			w.base.then(func(err error) error {
				once.Do(func() { overtake(w.s) })
				return err
			})
			w.is(c, true, name)
			if n := w.asked(func() { w.is(c, true, name) }); n != 1 {
				t.Errorf("%s: asked %d times", name, n)
			}
		}
	})
}

func TestSkip(t *testing.T) {
	ways(t, func(t *testing.T, how way) {
		w := newWorld(t, memory.New(nil), &cached.Options{Skip: []cached.Kind{cached.Sessions}}).by(how)
		w.add("alice")
		for _, c := range w.give("alice") {
			w.is(c, true, "first")
			if n := w.asked(func() { w.is(c, true, "again") }); (n == 1) != (c.name == "session") {
				t.Errorf("%s: asked %d times", c.name, n)
			}
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := cached.New(nil, nil); err == nil {
		t.Error("no store")
	}
	if _, err := cached.New(memory.New(nil), nil); err != nil {
		t.Error(err)
	}
	for name, o := range map[string]cached.Options{
		"ttl": {TTL: -1}, "long": {TTL: cached.MaxTTL + 1}, "unknown ttl": {UnknownTTL: -1}, "long unknown": {UnknownTTL: cached.MaxUnknownTTL + 1},
		"timeout": {Timeout: -1}, "entries": {MaxEntries: -1}, "bytes": {MaxBytes: -1}, "unknown": {MaxUnknown: -1}, "rate": {UnknownRate: -1},
		"kind": {Skip: []cached.Kind{100}},
	} {
		if _, err := cached.New(memory.New(nil), &o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A store that hangs gives an error after the timeout.
func TestTimeout(t *testing.T) {
	s := over(t, hanging{}, &cached.Options{Timeout: time.Millisecond})
	if _, _, err := s.StaticTokenByDigest(t.Context(), storage.DigestOf("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

type hanging struct{ made }

func (hanging) StaticTokenByDigest(ctx context.Context, _ storage.Digest) (storage.StaticToken, storage.User, error) {
	<-ctx.Done()
	return storage.StaticToken{}, storage.User{}, ctx.Err()
}

func FuzzChange(f *testing.F) {
	for _, c := range []cached.Change{{All: true}, {Subject: "a b"}, {Key: cached.Key{Kind: cached.Blocks, Digest: storage.DigestOf("x")}}} {
		text, err := c.MarshalText()
		must(f, err)
		f.Add(text)
	}
	for _, s := range []string{"", "all ", "subject ", "key 0 ", "key 8 00", "key x", "ALL", "key 0 zz"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c, again cached.Change
		if c.UnmarshalText(text) != nil {
			if c != (cached.Change{}) {
				t.Errorf("%q: an error, and %+v", text, c)
			}
			return
		}
		out, err := c.MarshalText()
		if err != nil || again.UnmarshalText(out) != nil || again != c {
			t.Errorf("%q: %+v, then %q, %+v, %v", text, c, out, again, err)
		}
	})
}

// Each method of Base is one that the cache looks at, or one that is known to change no
// answer that is kept. A method that is new fails here until somebody has thought about
// it.
func TestEveryMethodIsThoughtOf(t *testing.T) {
	passed := []string{
		"UserByID", "UserByName", "ListUsers", "CreateUser", "SubjectEpoch",
		"StaticTokenOf", "ListStaticTokens", "ListCredentials", "CredentialPurposes", "ListSessions",
		"CreateFamily", "RefreshByDigest", "ClaimRefresh", "ListFamilies", "FamilyByID", "ListFamiliesOf", "CountFamilies", "SessionByID",
		"ListSigningKeys", "SigningPurposes", "CreateSigningKey", "ExpireSigningKey",
		"OneTimeTokenByDigest", "ListOneTimes", "CreateOneTimeToken", "ConsumeOneTimeToken", "DeleteOneTimeTokens",
		"ClientByID", "ListClients", "CreateClient", "CreateCode", "CodeByDigest", "ConsumeCode", "DeleteCodes", "DeleteDeviceGrants",
		"CreateAuthRequest", "AuthRequestByDigest", "ConsumeAuthRequest", "InTransaction", "Ping",
		"CreateDeviceGrant", "DeviceGrantByUserCode", "DecideDeviceGrant", "PollDeviceGrant", "ConsumeDeviceGrant", "CountAttempt", "ForgiveAttempt",
		"ConsentOf", "PutConsent", "DeleteConsent", "ConsumeJTI", "Used", "CloseGraceWindow", "SignedAccessStatus", "ListLinks", "CreateFactor", "DeleteFactor", "DeleteFactors", "FactorsOf", "UseFactor",
	}
	own := []string{
		"SubjectPermissions", "SetSubjectPermissions", "SetSubjectGroups", "SetGroupPermissions",
		"StaticTokenByDigest", "CredentialByDigest", "SessionByDigest", "AccessByDigest", "TokenStatusOf", "TokenStatusWithUser",
		"SetPassword", "ChangePassword", "ReplaceHash", "SetActive", "SetRoles", "DeleteUser", "BumpEpoch", "DeleteSubject",
		"PutStaticToken", "DeleteStaticToken", "DeleteStaticTokenOf",
		"CreateCredential", "TouchCredential", "DeleteCredential", "DeleteCredentialsOf", "DeleteAllCredentialsOf",
		"CreateSession", "SaveSession", "TouchSession", "DeleteSession", "DeleteSessionOf", "DeleteSessionsOf", "DeleteSeries",
		"EndFamily", "Block", "LinkOf", "CreateLink", "DeleteLink", "UpdateClient", "SetClientDisabled", "DeleteClient", "CreateAccess", "DeleteAccess", "Prune", "InTx",
	}
	known := make(map[string]bool)
	for _, name := range append(passed, own...) {
		known[name] = true
	}
	base := reflect.TypeFor[cached.Base]()
	for i := range base.NumMethod() {
		if name := base.Method(i).Name; !known[name] {
			t.Errorf("%s: does it change an answer that is kept?", name)
		}
	}
	if len(known) != base.NumMethod() {
		t.Errorf("%d methods known, Base has %d", len(known), base.NumMethod())
	}
}
