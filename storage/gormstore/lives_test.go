package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// furnishLives gives a subject that is there a device token, and a family whose
// first token is claimed. It returns the digests of the device token, the claimed
// refresh token and its successor.
func furnishLives(t testing.TB, s *gormstore.Store, subject string) (device, claimed, next storage.Digest) {
	t.Helper()
	ctx := context.Background()
	device, claimed, next = storage.DigestOf("device "+subject), storage.DigestOf("first "+subject), storage.DigestOf("second "+subject)
	epoch, err := s.SubjectEpoch(ctx, subject)
	if err == nil {
		_, err = s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: device, ID: "d", Subject: subject, Epoch: epoch}, storage.CredentialLimit{})
	}
	err = errors.Join(err,
		s.CreateFamily(ctx, storage.Family{ID: "f" + subject, Purpose: "p", Subject: subject, Epoch: epoch}, storage.Refresh{Digest: claimed}),
		s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: claimed, Next: storage.Refresh{Digest: next}, Sealed: []byte("x"), Window: time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	return device, claimed, next
}

// The records that end work with accounts of the application's own.
func TestLivesWithOwnUserTable(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s := migrated(t, open(t, &gormstore.Options{Users: &accounts}))
			db := s.DB(ctx)
			if err := errors.Join(db.AutoMigrate(&Account{}), db.Create(&Account{Login: "alice", Enabled: true}).Error, db.Create(&Account{Login: "gone", DeletedAt: new(time.Time)}).Error); err != nil {
				t.Fatal(err)
			}
			device, claimed, next := furnishLives(t, s, "1")
			if d, u, err := s.CredentialByDigest(ctx, "knox", device); err != nil || d.Subject != "1" || u.ID != "1" || u.Name != "alice" {
				t.Errorf("%+v, %+v, %v", d, u, err)
			}
			if st, err := s.RefreshByDigest(ctx, claimed); err != nil || st.User.Name != "alice" || st.Family.Subject != "1" {
				t.Errorf("%+v, %v", st, err)
			}
			if u, _, err := s.TokenStatusWithUser(ctx, "1", storage.BlockKeys{}); err != nil || u.Name != "alice" {
				t.Errorf("%+v, %v", u, err)
			}
			for i, subject := range []string{"2", "9", "x", "01"} { // deleted, absent, malformed
				_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(subject), ID: "d", Subject: subject}, storage.CredentialLimit{})
				if !errors.Is(err, storage.ErrStale) {
					t.Errorf("a device token for %q: %v", subject, err)
				}
				err = s.CreateFamily(ctx, storage.Family{ID: subject, Purpose: "p", Subject: subject}, storage.Refresh{Digest: storage.DigestOf(subject)})
				if !errors.Is(err, storage.ErrStale) {
					t.Errorf("a family for %q: %v", subject, err)
				}
				if _, _, err := s.TokenStatusWithUser(ctx, subject, storage.BlockKeys{}); i > 0 && !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("the standing of %q: %v", subject, err)
				}
			}
			// The application disables, and then deletes, by itself.
			if err := db.Exec("UPDATE accounts SET enabled = FALSE WHERE uid = 1").Error; err != nil {
				t.Fatal(err)
			}
			if err := s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: next, Next: storage.Refresh{Digest: storage.DigestOf("3")}}); !errors.Is(err, storage.ErrStale) {
				t.Errorf("a claim for a disabled account: %v", err)
			}
			if err := errors.Join(db.Exec("DELETE FROM accounts WHERE uid = 1").Error, s.DeleteSubject(ctx, "1")); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"vestibule_device_tokens", "vestibule_families", "vestibule_refresh_tokens"} {
				var n int64
				if err := db.Raw("SELECT COUNT(*) FROM " + table).Scan(&n).Error; err != nil || n != 0 {
					t.Errorf("%s: %d rows are left, %v", table, n, err)
				}
			}
		})
	}
}

// What a request waits for is one statement.
func TestOneStatement(t *testing.T) {
	ctx := context.Background()
	var queries atomic.Int64
	s := openCounting(t, &queries, nil)
	if err := s.CreateUser(ctx, storage.User{ID: "1", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	device, claimed, _ := furnishLives(t, s, "1")
	keys := storage.BlockKeys{JTI: storage.BlockKeyOf("jti", "i", "1"), SID: storage.BlockKeyOf("sid", "", "1"), Subject: storage.BlockKeyOf("sub", "i", "1")}
	for name, ask := range map[string]func() error{
		"CredentialByDigest":  func() error { _, _, err := s.CredentialByDigest(ctx, "knox", device); return err },
		"RefreshByDigest":     func() error { _, err := s.RefreshByDigest(ctx, claimed); return err },
		"TokenStatusOf":       func() error { _, err := s.TokenStatusOf(ctx, "1", keys); return err },
		"TokenStatusWithUser": func() error { _, _, err := s.TokenStatusWithUser(ctx, "1", keys); return err },
		"TouchCredential": func() error {
			_, err := s.TouchCredential(ctx, "knox", device, time.Now(), time.Time{}, time.Now())
			return err
		},
	} {
		for range 2 {
			queries.Store(0)
			if err := ask(); err != nil || queries.Load() != 1 {
				t.Errorf("%s: %d statements, %v", name, queries.Load(), err)
			}
		}
	}
}

// claimBy names the environment of a process that claims tokens.
const claimBy = "VESTIBULE_TEST_CLAIM"

// TestClaimProcess is a process of TestTwoProcesses.
func TestClaimProcess(t *testing.T) {
	url, start, found := strings.Cut(os.Getenv(claimBy), " ")
	if !found {
		t.Skip("it runs as a process of another test")
	}
	s := opened(t)(postgres.Open(url, &gormstore.Options{Timeout: 20 * time.Second})) // the claims wait for each other
	if err := s.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	if _, err := fmt.Scanln(new(string)); err != nil { // the word to begin
		t.Fatal(err)
	}
	won, lost, errs := claimAll(32, func(int) *gormstore.Store { return s }, start)
	fmt.Println("won", won, "lost", lost, "failed", len(errs))
	for _, err := range errs {
		fmt.Fprintln(os.Stderr, err)
	}
}

// claimAll claims each of the tokens "0" to "7" n times at once, and counts.
func claimAll(n int, store func(int) *gormstore.Store, who string) (won, lost int, errs []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for token := range 8 {
				err := store(i).ClaimRefresh(context.Background(), storage.RefreshClaim{
					Digest: storage.DigestOf(fmt.Sprint(token)), Next: storage.Refresh{Digest: storage.DigestOf(fmt.Sprint(token, who, i))}, Sealed: []byte(who), Window: time.Minute,
				})
				mu.Lock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, storage.ErrConflict):
					lost++
				default:
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return won, lost, errs
}

// eightTokens begins the families of the tokens "0" to "7".
func eightTokens(t *testing.T, s *gormstore.Store) {
	t.Helper()
	ctx := context.Background()
	err := s.CreateUser(ctx, storage.User{ID: "1", Name: "alice", Active: true})
	for i := range 8 {
		err = errors.Join(err, s.CreateFamily(ctx, storage.Family{ID: fmt.Sprint(i), Purpose: "p", Subject: "1"}, storage.Refresh{Digest: storage.DigestOf(fmt.Sprint(i))}))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// successors counts the refresh tokens of the families: one claim leaves two.
func successors(t *testing.T, s *gormstore.Store) {
	t.Helper()
	var n int64
	if err := s.DB(context.Background()).Raw("SELECT COUNT(*) FROM vestibule_refresh_tokens WHERE claimed_us = 0").Scan(&n).Error; err != nil || n != 8 {
		t.Errorf("%d unclaimed tokens in 8 families, %v", n, err)
	}
}

// The same tokens are claimed by two servers at once: one wins each.
func TestTwoServers(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run("attack_092_"+kind, func(t *testing.T) {
			stores := several(t, kind, 2, &gormstore.Options{Timeout: 20 * time.Second}) // they wait for each other
			eightTokens(t, migrated(t, stores[0]))
			won, lost, errs := claimAll(64, func(i int) *gormstore.Store { return stores[i%2] }, "x")
			if won != 8 || lost != 63*8 {
				t.Errorf("%d won, %d lost, %v", won, lost, errs)
			}
			successors(t, stores[1])
		})
	}
}

// So with two processes.
func TestTwoProcesses(t *testing.T) {
	url := storetest.URL(t)
	s := migrated(t, opened(t)(postgres.Open(url, &patient)))
	eightTokens(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	type process struct {
		*exec.Cmd
		begin  func() error
		answer chan string
	}
	var all []process
	for i := range 2 {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestClaimProcess$", "-test.count=1")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s p%d", claimBy, url, i))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p := process{Cmd: cmd, begin: func() error { _, err := fmt.Fprintln(in, "go"); return err }, answer: make(chan string, 1)}
		var ready string
		if _, err := fmt.Fscanln(out, &ready); err != nil || ready != "ready" {
			t.Fatalf("a process said %q, %v", ready, err)
		}
		go func() {
			var won, lost, failed int
			_, err := fmt.Fscanf(out, "won %d lost %d failed %d\n", &won, &lost, &failed)
			p.answer <- fmt.Sprint(won, " ", lost, " ", failed, " ", err)
		}()
		all = append(all, p)
	}
	for _, p := range all {
		if err := p.begin(); err != nil {
			t.Error(err)
		}
	}
	sum := [3]int{}
	for _, p := range all {
		var n [3]int
		var rest string
		answer := <-p.answer
		if _, err := fmt.Sscan(answer, &n[0], &n[1], &n[2], &rest); err != nil || rest != "<nil>" {
			t.Errorf("a process ended with %q", answer)
		}
		for i := range n {
			sum[i] += n[i]
		}
		_ = p.Wait()
	}
	if sum != [3]int{8, 63 * 8, 0} {
		t.Errorf("won, lost and failed: %v", sum)
	}
	successors(t, s)
}
