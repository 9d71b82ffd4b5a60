package cached_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// lessening are the changes after which a token of "id", of the client "app", is not good as it is.
var lessening = map[string]struct {
	change func(ctx context.Context, s *cached.Store, of denyToken) error
	client bool // it does not concern a login with a password
	less   bool // the token stays valid, with fewer roles
	unused bool // the set cannot name all subjects, so it is not used for some time
}{
	"log out everywhere": {change: func(ctx context.Context, s *cached.Store, _ denyToken) error {
		_, err := s.BumpEpoch(ctx, "id")
		return err
	}},
	"every account": {unused: true, change: func(ctx context.Context, s *cached.Store, _ denyToken) error {
		_, _, err := s.BumpEpochs(ctx, "", time.Now().Add(time.Hour), 100)
		return err
	}},
	"password": {change: func(ctx context.Context, s *cached.Store, _ denyToken) error {
		return s.SetPassword(ctx, "id", "!new")
	}},
	"account disabled": {change: func(ctx context.Context, s *cached.Store, _ denyToken) error { return s.SetActive(ctx, "id", false) }},
	"account deleted":  {change: func(ctx context.Context, s *cached.Store, _ denyToken) error { return s.DeleteUser(ctx, "id") }},
	"subject deleted":  {change: func(ctx context.Context, s *cached.Store, _ denyToken) error { return s.DeleteSubject(ctx, "id") }},
	"roles":            {less: true, change: func(ctx context.Context, s *cached.Store, _ denyToken) error { return s.SetRoles(ctx, "id") }},
	"family": {change: func(ctx context.Context, s *cached.Store, of denyToken) error {
		return s.EndFamily(ctx, of.family, time.Now().Add(time.Minute))
	}},
	"token": {change: func(ctx context.Context, s *cached.Store, of denyToken) error {
		return s.Block(ctx, time.Now().Add(time.Minute), of.Keys.JTI)
	}},
	"tokens of the subject": {change: func(ctx context.Context, s *cached.Store, of denyToken) error {
		return s.Block(ctx, time.Now().Add(time.Minute), of.Keys.Subject)
	}},
	"client disabled": {client: true, change: func(ctx context.Context, s *cached.Store, _ denyToken) error {
		return s.SetClientDisabled(ctx, "app", true)
	}},
	"client deleted": {client: true, change: func(ctx context.Context, s *cached.Store, _ denyToken) error { return s.DeleteClient(ctx, "app") }},
	"in a transaction": {change: func(ctx context.Context, s *cached.Store, _ denyToken) error {
		return s.InTx(ctx, func(ctx context.Context) error { return s.SetActive(ctx, "id", false) })
	}},
}

// denyToken is a token with a family.
type denyToken struct {
	storage.IssuedToken
	family, access string
}

func (d *denying) token(client string) denyToken {
	d.Helper()
	p := d.issue("id")
	id, family := idsOf(d.T, p.Access)
	const issuer = "https://auth.example"
	return denyToken{storage.IssuedToken{Subject: "id", Client: client, Lifetime: 5 * time.Minute, Keys: storage.BlockKeys{
		JTI: storage.BlockKeyOf(storage.BlockJTI, issuer, id), SID: storage.BlockKeyOf(storage.BlockSID, "", family),
		Subject: storage.BlockKeyOf(storage.BlockSubject, issuer, "id"),
	}}, family, p.Access}
}

// routes are how a change reaches a replica.
var routes = map[string]func(d *denying, o denyOptions, change func(*cached.Store)) *denying{
	"of this process": func(d *denying, _ denyOptions, change func(*cached.Store)) *denying {
		change(d.s)
		synctest.Wait() // until the set has been read again, if everything changed
		return d
	},
	"told": func(d *denying, o denyOptions, change func(*cached.Store)) *denying {
		var mu sync.Mutex
		var told []cached.Change
		o.opts.Tell = func(_ context.Context, c cached.Change) error {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, c)
			return nil
		}
		other := replicaOf(d.T, d.base, o)
		defer other.stop()
		change(other.s)
		for _, c := range told {
			d.tell(c)
		}
		synctest.Wait() // until the set has been read again, if everything changed
		return d
	},
	"while the connection was cut": func(d *denying, o denyOptions, change func(*cached.Store)) *denying {
		d.wire.cut()
		other := replicaOf(d.T, d.base, o)
		defer other.stop()
		change(other.s)
		d.later(time.Second)
		return d
	},
	"with a gap in the messages": func(d *denying, o denyOptions, change func(*cached.Store)) *denying {
		other := replicaOf(d.T, d.base, o)
		defer other.stop()
		change(other.s)
		d.wire.do(func(f bus.Follower) error { f.FlushAll(); return nil })
		d.proved()
		return d
	},
	"before the start": func(d *denying, o denyOptions, change func(*cached.Store)) *denying {
		change(d.s)
		d.stop()
		again := replicaOf(d.T, d.base, o)
		again.proved()
		return again
	},
	"before the end of the set": func(d *denying, _ denyOptions, change func(*cached.Store)) *denying {
		change(d.s)
		d.later(4 * time.Minute)
		return d
	},
}

// Whatever ends or lessens a token is in the set, however it reached the replica, and the set is in use.
func TestDenySet_attack_108_changes(t *testing.T) {
	for what, c := range lessening {
		for way, by := range routes {
			for _, stateless := range []bool{false, true} {
				name := what + "/" + way
				if stateless {
					name += "/stateless"
				}
				t.Run(name, func(t *testing.T) {
					o := denyOptions{stateless: stateless}
					deny(t, o, func(d *denying) {
						must(d.T, d.base.CreateClient(d.Context(), storage.Client{ID: "app", Method: "none", Created: time.Now()}))
						client := ""
						if c.client {
							client = "app"
						}
						tok := d.token(client)
						if !d.s.TokenUnchanged(d.Context(), &tok.IssuedToken) {
							t.Fatalf("before: %+v", d.s.DenySet())
						}
						if resp, _ := d.use(tok.access); resp.StatusCode != 200 || resp.Header.Get("Role") != "admin" {
							t.Fatalf("before: %d, %v", resp.StatusCode, resp.Header)
						}
						lease := d.s.TokenLease(&tok.IssuedToken)
						r := by(d, o, func(s *cached.Store) { must(d.T, c.change(d.Context(), s, tok)) })
						if r != d {
							defer r.stop()
						} else if lease.Valid(d.Context()) {
							t.Error("the lease holds")
						}
						if r.s.DenySet().Used == c.unused {
							t.Errorf("%+v", r.s.DenySet())
						}
						if r.s.TokenUnchanged(d.Context(), &tok.IssuedToken) {
							t.Error("the set does not know it")
						}
						if _, ok, _ := r.s.UnchangedUser(d.Context(), &tok.IssuedToken); ok {
							t.Error("the set does not know it")
						}
						if c.client {
							return
						}
						resp, _ := r.use(tok.access)
						if c.less && (resp.StatusCode != 200 || resp.Header.Get("Role") != "") || !c.less && resp.StatusCode != 401 {
							t.Errorf("%d, %v", resp.StatusCode, resp.Header)
						}
					})
				})
			}
		}
	}
}
