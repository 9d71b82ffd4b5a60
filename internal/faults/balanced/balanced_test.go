//go:build linux

package balanced_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

const browsers = 50

// If either of two replicas is killed while 50 browsers read and save, all stay logged in, every read
// succeeds, and each browser reads what it saved last.
func TestKilledReplicaLosesNobody_attack_461(t *testing.T) {
	f := newFixture(t)
	all := f.logInAll()
	left := f.logIn("left")
	if status := left.do("POST", "/logout"); status != http.StatusNoContent {
		t.Fatalf("logout: %d", status)
	}
	for round, victim := range f.replicas {
		t.Run(fmt.Sprintf("kill replica %d", round+1), func(t *testing.T) {
			f.t = t
			served := f.work(all, func() {
				victim.kill()
			})
			other := f.replicas[1-round]
			if served[victim.addr] == 0 || served[other.addr] == 0 {
				t.Errorf("the requests were not balanced: %v", served)
			}
			for _, b := range all { // the one that is left serves everybody
				if err := b.read(); err != nil {
					t.Error(err)
				}
				if b.replica != other.addr {
					t.Errorf("%s was served by a replica that was killed", b.user)
				}
			}
			if status := left.do("GET", "/values"); status != http.StatusUnauthorized {
				t.Errorf("a session that was logged out before: %d", status)
			}
			victim.start(t)
			f.balanced(left)
		})
	}
}

// A save that is killed on its way has an effect as a whole, or none.
func TestKilledSave_attack_462(t *testing.T) {
	f := newFixture(t)
	all := f.logInAll()
	unknown := 0
	for round := range 4 {
		victim := f.replicas[round%2]
		f.work(all, victim.kill)
		for _, b := range all {
			unknown += b.unknown
			if err := b.read(); err != nil { // compares with the last acknowledged save
				t.Error(err)
			}
		}
		victim.start(t)
		f.balanced(all[0])
	}
	t.Logf("%d saves have no answer", unknown)
}

// browser is one session. It saves ever larger numbers.
type browser struct {
	f       *fixture
	user    string // ID
	cookie  *http.Cookie
	acked   int    // the last number whose save was acknowledged
	tried   int    // the last number that was sent
	unknown int    // saves without an answer
	replica string // that answered last
	body    string
}

// do sends one request and returns the status, or 0 if there was no answer.
func (b *browser) do(method, path string) int {
	r, err := http.NewRequestWithContext(b.f.t.Context(), method, origin+path, nil)
	if err != nil {
		b.f.t.Error(err)
		return 0
	}
	r.Header.Set("Origin", origin)
	r.AddCookie(b.cookie)
	status, body, answer := b.f.send(r)
	b.body = body
	if answer != nil {
		b.replica = answer.Header.Get("X-Replica")
	}
	return status
}

// read compares the values with what was saved. nginx tries the other replica, so it never fails.
func (b *browser) read() error {
	if status := b.do("GET", "/values"); status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", b.user, status, b.body)
	}
	var c contents
	if err := json.Unmarshal([]byte(b.body), &c); err != nil {
		return err
	}
	if c.N < b.acked || c.N > b.tried {
		return fmt.Errorf("%s reads %d, saved %d and tried %d", b.user, c.N, b.acked, b.tried)
	}
	return c.check(b.user)
}

// save saves the next number. Without an answer it is not known whether the save happened.
func (b *browser) save() error {
	b.tried++
	switch status := b.do("POST", fmt.Sprintf("/values?n=%d", b.tried)); status {
	case http.StatusNoContent:
		b.acked = b.tried
		return nil
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		b.unknown++
		return nil
	default:
		return fmt.Errorf("%s: save: %d %s", b.user, status, b.body)
	}
}

// work lets all browsers read and save, several at a time, and calls strike in the middle. It returns
// how many requests each replica answered.
func (f *fixture) work(all []*browser, strike func()) map[string]int {
	f.t.Helper()
	const rounds = 4
	queue := make(chan *browser, rounds*len(all))
	for range rounds {
		for _, b := range all {
			queue <- b
		}
	}
	close(queue)
	var (
		mu     sync.Mutex
		served = map[string]int{}
		busy   = map[*browser]*sync.Mutex{}
		done   atomic.Int64
		struck sync.WaitGroup
		once   sync.Once
		group  sync.WaitGroup
	)
	for _, b := range all {
		busy[b] = &sync.Mutex{}
	}
	for range 8 {
		group.Go(func() {
			for b := range queue {
				busy[b].Lock()
				for _, err := range []error{b.save(), b.read(), b.save()} {
					if err != nil {
						f.t.Error(err)
					}
				}
				mu.Lock()
				served[b.replica]++
				mu.Unlock()
				busy[b].Unlock()
				if done.Add(1) == rounds*browsers/2 {
					once.Do(func() { struck.Go(strike) })
				}
			}
		})
	}
	group.Wait()
	struck.Wait()
	return served
}

// balanced waits until nginx sends requests to both replicas again: for fail_timeout it does not.
func (f *fixture) balanced(b *browser) {
	f.t.Helper()
	seen := map[string]bool{}
	for deadline := time.Now().Add(time.Minute); len(seen) < len(f.replicas); {
		if time.Now().After(deadline) {
			f.t.Fatalf("only %v answer", seen)
		}
		if b.do("GET", "/values") != 0 {
			seen[b.replica] = true
		}
	}
}

func (f *fixture) logInAll() []*browser {
	f.t.Helper()
	var all []*browser
	for i := range browsers {
		b := f.logIn(fmt.Sprintf("user%02d", i))
		if err := errors.Join(b.save(), b.read()); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func (f *fixture) logIn(name string) *browser {
	f.t.Helper()
	id := f.register(name)
	r, err := http.NewRequestWithContext(f.t.Context(), "POST", origin+"/login", strings.NewReader("username="+name+"&password="+secret))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	status, body, answer := f.send(r)
	if status/100 != 2 || len(answer.Cookies()) != 1 {
		f.t.Fatalf("login of %s: %d %s", name, status, body)
	}
	return &browser{f: f, user: id, cookie: answer.Cookies()[0]}
}

// newFixture starts everything.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := pgtest.URL(t)
	db, err := postgres.Open(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.SetCourier(t.Context(), gormstore.CourierNotify); err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, db: db}
	store := redistest.Start(t)
	for range 2 {
		r := &process{addr: freeAddr(t), database: url, redis: store.URL()}
		r.start(t)
		t.Cleanup(r.kill)
		f.replicas = append(f.replicas, r)
	}
	f.nginx()
	return f
}
