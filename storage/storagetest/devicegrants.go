package storagetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// deviceGrant returns a pending grant of the client. n is its number.
func deviceGrant(client string, n int) storage.DeviceGrant {
	return storage.DeviceGrant{
		Digest: storage.DigestOf(fmt.Sprint("device", client, n)), UserCode: storage.MAC(storage.DigestOf(fmt.Sprint("user", client, n))), Client: client,
		Interval: 5 * time.Second, State: storage.DevicePending, Created: born, Expires: born.Add(time.Hour),
	}
}

func deviceGrants(t *testing.T, s *suite) {
	// ask creates alice, the client "c" and a grant of the client.
	ask := func(k *kit) (storage.User, storage.DeviceGrant) {
		k.Helper()
		u, g := k.add("alice"), deviceGrant("c", 1)
		k.must(k.s.CreateClient(k.ctx, client("c")))
		k.must(k.s.CreateDeviceGrant(k.ctx, g))
		return u, g
	}
	decide := func(k *kit, u storage.User, g storage.DeviceGrant, approve bool, at time.Time) error {
		k.Helper()
		return k.s.DecideDeviceGrant(k.ctx, storage.DeviceDecision{
			Digest: g.Digest, Approve: approve, Subject: u.ID, Epoch: k.epoch(u.ID), AuthTime: born.Add(-time.Minute), ACR: "2", AMR: []string{"pwd"}, Now: at,
		})
	}
	state := func(k *kit, g storage.DeviceGrant) storage.DeviceState {
		k.Helper()
		got, err := k.s.DeviceGrantByUserCode(k.ctx, g.UserCode)
		k.must(err)
		return got.State
	}
	last := born.Add(time.Hour - time.Microsecond)
	s.rules(t, map[string]func(*kit){
		"round_trip: a new grant is pending and comes back as it was stored; its codes are unique": func(k *kit) {
			k.needs(Clients)
			u, plain := ask(k)
			if got, err := k.s.DeviceGrantByUserCode(k.ctx, plain.UserCode); err != nil || !reflect.DeepEqual(got, plain) {
				k.Errorf("got %+v, %v", got, err)
			}
			want := deviceGrant("c", 2)
			want.Scopes, want.Resource = []string{"b", "a"}, []string{"https://api.example"}
			given := want
			given.Created, given.Expires = born.In(time.FixedZone("", 60)), want.Expires.In(time.FixedZone("", 60))
			given.State, given.Subject, given.Epoch, given.Polled, given.Slow, given.AuthTime = storage.DeviceApproved, u.ID, 7, born, true, born
			given.ACR, given.AMR = "2", []string{"pwd"}
			k.must(k.s.CreateDeviceGrant(k.ctx, given))
			if got, err := k.s.DeviceGrantByUserCode(k.ctx, want.UserCode); err != nil || !reflect.DeepEqual(got, want) {
				k.Errorf("got %+v, %v: a new grant is pending", got, err)
			}
			taken := deviceGrant("c", 3)
			taken.Digest = want.Digest
			k.is(k.s.CreateDeviceGrant(k.ctx, taken), storage.ErrConflict, "the device code is taken")
			taken = deviceGrant("c", 3)
			taken.UserCode = want.UserCode
			k.is(k.s.CreateDeviceGrant(k.ctx, taken), storage.ErrConflict, "the user code is taken")
			_, err := k.s.DeviceGrantByUserCode(k.ctx, deviceGrant("c", 3).UserCode)
			k.is(err, storage.ErrNotFound, "there is none")
		},
		"refused: a grant that cannot be kept, or whose client is absent or disabled, is refused": func(k *kit) {
			k.needs(Clients)
			ask(k)
			for what, change := range map[string]func(*storage.DeviceGrant){
				"digest": func(g *storage.DeviceGrant) { g.Digest = storage.Digest{} }, "user code": func(g *storage.DeviceGrant) { g.UserCode = storage.MAC{} },
				"end": func(g *storage.DeviceGrant) { g.Expires = time.Time{} }, "interval": func(g *storage.DeviceGrant) { g.Interval = 0 },
				"client": func(g *storage.DeviceGrant) { g.Client = "a\x00" }, "scope": func(g *storage.DeviceGrant) { g.Scopes = []string{"a b"} },
				"resource": func(g *storage.DeviceGrant) { g.Resource = []string{""} },
			} {
				g := deviceGrant("c", 9)
				change(&g)
				k.is(k.s.CreateDeviceGrant(k.ctx, g), storage.ErrInvalid, what)
			}
			k.is(k.s.CreateDeviceGrant(k.ctx, deviceGrant("nobody", 9)), storage.ErrStale, "there is no such client")
			c := client("c")
			c.Disabled = true
			k.must(k.s.UpdateClient(k.ctx, c))
			k.is(k.s.CreateDeviceGrant(k.ctx, deviceGrant("c", 9)), storage.ErrStale, "the client is disabled")
		},
		"decided_once: a grant is decided once, before it expires": func(k *kit) {
			k.needs(Clients)
			u, g := ask(k)
			denied := deviceGrant("c", 2)
			k.must(k.s.CreateDeviceGrant(k.ctx, denied))
			k.is(decide(k, u, deviceGrant("c", 3), true, born), storage.ErrNotFound, "there is none")
			k.is(decide(k, u, g, true, g.Expires), storage.ErrConflict, "it has expired")
			k.is(k.s.ConsumeDeviceGrant(k.ctx, g.Digest, born), storage.ErrConflict, "nobody approved it")
			k.is(k.s.DecideDeviceGrant(k.ctx, storage.DeviceDecision{Digest: g.Digest, Approve: true, Subject: u.ID, Epoch: k.epoch(u.ID), ACR: "a b", Now: born}), storage.ErrInvalid, "an acr with a space")
			k.must(decide(k, u, g, true, last))
			k.must(decide(k, u, denied, false, born))
			for _, approve := range []bool{true, false} {
				k.is(decide(k, u, g, approve, born), storage.ErrConflict, "approved already")
				k.is(decide(k, u, denied, approve, born), storage.ErrConflict, "denied already")
			}
			k.is(k.s.ConsumeDeviceGrant(k.ctx, denied.Digest, born), storage.ErrConflict, "it was denied")
			got, err := k.s.PollDeviceGrant(k.ctx, g.Digest, "c", born)
			want := g
			want.State, want.Subject, want.Epoch, want.AuthTime = storage.DeviceApproved, u.ID, k.epoch(u.ID), born.Add(-time.Minute)
			want.ACR, want.AMR = "2", []string{"pwd"}
			if err != nil || !reflect.DeepEqual(got, want) {
				k.Errorf("got %+v, %v: a poll of what was decided notes nothing", got, err)
			}
		},
		"decided_by_whom: a decision of a subject that is absent, disabled or of another epoch gets ErrStale": func(k *kit) {
			k.needs(Clients)
			u, g := ask(k)
			old := storage.DeviceDecision{Digest: g.Digest, Approve: true, Subject: u.ID, Epoch: k.epoch(u.ID), Now: born}
			nobody := old
			nobody.Subject = "id-nobody"
			k.is(k.s.DecideDeviceGrant(k.ctx, nobody), storage.ErrStale, "there is no such account")
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.is(k.s.DecideDeviceGrant(k.ctx, old), storage.ErrStale, "the epoch is another by now")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(decide(k, u, g, true, born), storage.ErrStale, "the account is disabled")
			if got := state(k, g); got != storage.DevicePending {
				k.Errorf("it is %s", got)
			}
		},
		"claimed_once: an approved grant is claimed once, before it expires": func(k *kit) {
			k.needs(Clients)
			u, g := ask(k)
			k.must(decide(k, u, g, true, born))
			k.is(k.s.ConsumeDeviceGrant(k.ctx, g.Digest, g.Expires), storage.ErrConflict, "it has expired")
			k.must(k.s.ConsumeDeviceGrant(k.ctx, g.Digest, last))
			k.is(k.s.ConsumeDeviceGrant(k.ctx, g.Digest, born), storage.ErrConflict, "claimed already")
			k.is(k.s.ConsumeDeviceGrant(k.ctx, storage.DigestOf("x"), born), storage.ErrNotFound, "there is none")
			if got := state(k, g); got != storage.DeviceClaimed {
				k.Errorf("it is %s", got)
			}
		},
		// Each poll that comes too early makes the interval permanently longer.
		"attack_178_polls: a poll that comes too early lengthens the interval; another client's poll finds nothing": func(k *kit) {
			k.needs(Clients)
			_, g := ask(k)
			for _, poll := range []struct {
				at       time.Duration
				slow     bool
				interval time.Duration
			}{
				{0, false, 5}, {5 * time.Second, false, 5}, {10*time.Second - 1000, true, 10}, {20 * time.Second, false, 10}, {29 * time.Second, true, 15},
				{30 * time.Second, true, 20}, {50 * time.Second, false, 20}, {65 * time.Second, true, 25},
			} {
				got, err := k.s.PollDeviceGrant(k.ctx, g.Digest, "c", born.Add(poll.at))
				if err != nil || got.Slow != poll.slow || got.Interval != poll.interval*time.Second || !got.Polled.Equal(born.Add(poll.at)) || got.State != storage.DevicePending {
					k.Errorf("after %v: %+v, %v", poll.at, got, err)
				}
			}
			_, err := k.s.PollDeviceGrant(k.ctx, g.Digest, "other", born)
			k.is(err, storage.ErrNotFound, "another client's")
			_, err = k.s.PollDeviceGrant(k.ctx, storage.DigestOf("x"), "c", born)
			k.is(err, storage.ErrNotFound, "there is none")
			if got, err := k.s.PollDeviceGrant(k.ctx, g.Digest, "c", g.Expires); err != nil || got.Polled.Equal(g.Expires) {
				k.Errorf("got %+v, %v: a poll of what has expired notes nothing", got, err)
			}
		},
		"prune: Prune deletes grants that have expired and no others": func(k *kit) {
			k.needs(Clients, Pruner)
			_, g := ask(k)
			later := deviceGrant("c", 2)
			later.Expires = g.Expires.Add(time.Microsecond)
			k.must(k.s.CreateDeviceGrant(k.ctx, later))
			k.pruned(g.Expires, 10, 1)
			k.must(k.s.CreateDeviceGrant(k.ctx, g)) // both codes can be used again
			k.is(k.s.CreateDeviceGrant(k.ctx, later), storage.ErrConflict, "one that has not expired stays")
		},
		"with_the_account: deleting the account deletes the grants that it decided, and no pending ones": func(k *kit) {
			k.needs(Clients)
			k.owns(Accounts)
			u, g := ask(k)
			pending := deviceGrant("c", 2)
			k.must(k.s.CreateDeviceGrant(k.ctx, pending))
			k.must(decide(k, u, g, true, born))
			k.must(k.s.DeleteUser(k.ctx, u.ID))
			k.is(k.s.ConsumeDeviceGrant(k.ctx, g.Digest, born), storage.ErrNotFound, "it goes with who approved it")
			if got := state(k, pending); got != storage.DevicePending {
				k.Errorf("another's is %s", got)
			}
		},
		"with_the_client: deleting the client deletes its grants": func(k *kit) {
			k.owns(Clients)
			_, g := ask(k)
			k.must(k.s.CreateClient(k.ctx, client("d")))
			other := deviceGrant("d", 1)
			k.must(k.s.CreateDeviceGrant(k.ctx, other))
			k.must(k.s.DeleteClient(k.ctx, "c"))
			_, err := k.s.DeviceGrantByUserCode(k.ctx, g.UserCode)
			k.is(err, storage.ErrNotFound, "it goes with its client")
			state(k, other)
		},
		"one_decides: of concurrent decisions one counts": func(k *kit) {
			k.needs(Clients)
			u, g := ask(k)
			k.oneWins(race(func(i int) error { return decide(k, u, g, i%2 == 0, born) }), storage.ErrConflict, "decisions")
		},
		"attack_179_one_claims: of concurrent claims one succeeds": func(k *kit) {
			k.needs(Clients)
			u, g := ask(k)
			k.must(decide(k, u, g, true, born))
			k.oneWins(race(func(int) error { return k.s.ConsumeDeviceGrant(k.ctx, g.Digest, born) }), storage.ErrConflict, "claims")
		},
		"each_poll_counts: each of many concurrent polls lengthens the interval": func(k *kit) {
			k.needs(Clients)
			_, g := ask(k)
			for _, err := range race(func(int) error {
				_, err := k.s.PollDeviceGrant(k.ctx, g.Digest, "c", born)
				return err
			}) {
				k.must(err)
			}
			got, err := k.s.DeviceGrantByUserCode(k.ctx, g.UserCode)
			if want := g.Interval + (together-1)*storage.SlowDownIncrement; err != nil || got.Interval != want {
				k.Errorf("the interval is %v, %v; want %v", got.Interval, err, want)
			}
		},
		"client_deleted_beside: no grant stays of a client that is deleted at the same time": func(k *kit) {
			k.owns(Clients)
			ask(k)
			for i, err := range race(func(i int) error {
				if i == together/2 {
					return k.s.DeleteClient(k.ctx, "c")
				}
				return k.s.CreateDeviceGrant(k.ctx, deviceGrant("c", 100+i))
			}) {
				if i == together/2 {
					k.must(err)
				} else if err != nil {
					k.is(err, storage.ErrStale, "the client is gone")
				}
			}
			for i := range together {
				_, err := k.s.DeviceGrantByUserCode(k.ctx, deviceGrant("c", 100+i).UserCode)
				k.is(err, storage.ErrNotFound, "nothing is left of the client")
			}
		},
	})
}

func triesCounted(t *testing.T, s *suite) {
	name, other := storage.MAC{1}, storage.MAC{2}
	s.rules(t, map[string]func(*kit){
		"count: a counter counts from one until it ends, and begins again after that": func(k *kit) {
			count := func(name storage.MAC, after time.Duration, want int, ends time.Duration) {
				k.Helper()
				at := born.Add(after)
				if n, got, err := k.s.CountAttempt(k.ctx, name, at, at.Add(time.Minute)); n != want || err != nil || !got.Equal(born.Add(ends)) || got.Location() != time.UTC {
					k.Errorf("after %v: %d until %v, %v; want %d", after, n, got, err, want)
				}
			}
			count(name, 0, 1, time.Minute)
			count(name, 30*time.Second, 2, time.Minute) // the end does not change
			count(other, 30*time.Second, 1, 90*time.Second)
			k.must(k.s.ForgiveAttempt(k.ctx, name))
			count(name, 40*time.Second, 2, time.Minute)
			count(name, time.Minute, 1, 2*time.Minute)
			for range 3 {
				k.must(k.s.ForgiveAttempt(k.ctx, name))
			}
			k.must(k.s.ForgiveAttempt(k.ctx, storage.MAC{3}))
			count(name, time.Minute, 1, 2*time.Minute) // the count does not fall below 0
		},
		"attack_326_ahead: a counter that was made by a clock far ahead begins again when the clock is right": func(k *kit) {
			count := func(now time.Time, want int) {
				k.Helper()
				if n, ends, err := k.s.CountAttempt(k.ctx, name, now, now.Add(time.Minute)); n != want || err != nil || ends.After(now.Add(time.Minute+storage.ClockSkew)) {
					k.Errorf("%d until %v, %v; want %d", n, ends, err, want)
				}
			}
			count(born.AddDate(1, 0, 0), 1)
			count(born, 1)
			count(born.Add(storage.ClockSkew), 1)
			count(born.Add(time.Second), 2) // another process is up to ClockSkew ahead
		},
		"prune: Prune deletes counters that have ended and no others": func(k *kit) {
			k.needs(Pruner)
			for i, name := range []storage.MAC{name, other} {
				_, _, err := k.s.CountAttempt(k.ctx, name, born, born.Add(time.Minute+time.Duration(i)*time.Microsecond))
				k.must(err)
			}
			k.pruned(born.Add(time.Minute), 10, 1)
			if n, _, err := k.s.CountAttempt(k.ctx, other, born, born.Add(time.Hour)); n != 2 || err != nil {
				k.Errorf("%d, %v: one that has not ended stays", n, err)
			}
		},
		"each_counts: each of many concurrent attempts is counted": func(k *kit) {
			var seen [together + 1]bool
			var counts [together]int
			for i, err := range race(func(i int) (err error) {
				counts[i], _, err = k.s.CountAttempt(k.ctx, name, born, born.Add(time.Hour))
				return err
			}) {
				k.must(err)
				if n := counts[i]; n < 1 || n > together || seen[n] {
					k.Fatalf("%d comes twice, or is none of %d tries: %v", n, together, counts)
				} else {
					seen[n] = true
				}
			}
		},
	})
}
