package gormstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// While one transaction has done a thing and not yet committed, another that meets
// it waits, and then sees what was done.
func TestWaitsForTheOther(t *testing.T) {
	create := func(ctx context.Context, s *gormstore.Store, id string) error {
		_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: "1"}, storage.CredentialLimit{Max: 2})
		return err
	}
	add := func(ctx context.Context, s *gormstore.Store, id string) error {
		return s.CreateSigningKey(ctx, storage.SigningKey{ID: id, Purpose: "p", Algorithm: "a", MasterID: "m"}, "")
	}
	claim := func(ctx context.Context, s *gormstore.Store, next string) error {
		return s.ClaimRefresh(ctx, storage.RefreshClaim{Digest: storage.DigestOf("second 1"), Next: storage.Refresh{Digest: storage.DigestOf(next)}})
	}
	type step = func(context.Context, *gormstore.Store) error
	for name, c := range map[string]struct {
		first, second step
		want          error
	}{
		"limit":        {func(ctx context.Context, s *gormstore.Store) error { return create(ctx, s, "a") }, func(ctx context.Context, s *gormstore.Store) error { return create(ctx, s, "b") }, storage.ErrLimit},
		"signing_key":  {func(ctx context.Context, s *gormstore.Store) error { return add(ctx, s, "a") }, func(ctx context.Context, s *gormstore.Store) error { return add(ctx, s, "b") }, storage.ErrConflict},
		"two_claims":   {func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "a") }, func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "b") }, storage.ErrConflict},
		"end_or_claim": {func(ctx context.Context, s *gormstore.Store) error { return s.EndFamily(ctx, "f1", time.Now()) }, func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "b") }, storage.ErrStale},
		"gone_or_claim": {func(ctx context.Context, s *gormstore.Store) error { return s.DeleteSubject(ctx, "1") },
			func(ctx context.Context, s *gormstore.Store) error { return claim(ctx, s, "b") }, storage.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s := migrated(t, openPostgres(t, nil))
			furnish(t, s)
			second := make(chan error, 1)
			err := s.InTx(ctx, func(inside context.Context) error {
				if err := c.first(inside, s); err != nil {
					return err
				}
				go func() { second <- c.second(ctx, s) }()
				return waited(ctx, s, second)
			})
			got := <-second
			if err != nil || !errors.Is(got, c.want) {
				t.Errorf("the first: %v; the second: %v, want %v", err, got, c.want)
			}
		})
	}
}

// waited returns once another transaction waits for a lock. An error says that second ended before,
// or that none waits.
func waited(ctx context.Context, s *gormstore.Store, second chan error) error {
	for begin := time.Now(); ; {
		var waiting int64
		err := s.DB(ctx).Raw("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error
		switch {
		case err != nil:
			return err
		case waiting > 0:
			return nil
		case len(second) > 0:
			return errors.New("the second one did not wait")
		case time.Since(begin) > 1500*time.Millisecond:
			return errors.New("nobody waits")
		}
		time.Sleep(time.Millisecond) //house: a real connection is awaited
	}
}

// Transactions of an application that do several things for one account wait for each other and end
// both, in whatever order they do them.
func TestLockOrder(t *testing.T) {
	sessions := func(ctx context.Context, s *gormstore.Store) error {
		_, err := s.DeleteSessionsOf(ctx, "1", "")
		return err
	}
	credentials := func(ctx context.Context, s *gormstore.Store) error {
		_, err := s.DeleteCredentialsOf(ctx, "knox", "1", "")
		return err
	}
	all := func(ctx context.Context, s *gormstore.Store) error {
		_, err := s.DeleteAllCredentialsOf(ctx, "1")
		return err
	}
	codes := func(ctx context.Context, s *gormstore.Store) error { return s.DeleteCodes(ctx, "1", "app") }
	grants := func(ctx context.Context, s *gormstore.Store) error { return s.DeleteDeviceGrants(ctx, "1", "app") }
	consent := func(ctx context.Context, s *gormstore.Store) error {
		if err := s.DeleteConsent(ctx, "1", "app"); !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return nil
	}
	agreed := func(ctx context.Context, s *gormstore.Store) error {
		if _, err := s.ConsentOf(ctx, "1", "app"); !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return nil
	}
	gone := func(ctx context.Context, s *gormstore.Store) error { return s.DeleteUser(ctx, "1") }
	client := func(ctx context.Context, s *gormstore.Store) error { return s.DeleteClient(ctx, "app") }
	for name, c := range map[string]struct {
		a, b func(context.Context, *gormstore.Store) error
		only bool // the second is b alone, which does more
	}{
		"attack_330_sessions_credentials": {sessions, credentials, false}, "attack_330_all_sessions": {all, sessions, false},
		"attack_330_codes_consent": {codes, consent, false}, "attack_330_grants_codes": {grants, codes, false},
		"attack_330_codes_user": {codes, gone, true}, "attack_330_consent_user": {consent, gone, true}, "attack_330_agreed_user": {agreed, gone, true},
		"attack_330_codes_client": {codes, client, true}, "attack_330_consent_client": {consent, client, true}, "attack_330_agreed_client": {agreed, client, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := migrated(t, openPostgres(t, nil))
			furnish(t, s)
			now := time.Unix(2000, 0)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(s.CreateClient(ctx, storage.Client{ID: "app", Method: "none", Grants: []string{"x"}}))
			must(s.CreateSession(ctx, storage.Session{Digest: storage.DigestOf("s"), ID: "s", Subject: "1", Created: now, LastSeen: now, Expires: now, Ends: now}, storage.Digest{}))
			_, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf("k"), ID: "k", Subject: "1"}, storage.CredentialLimit{})
			must(err)
			must(s.CreateCode(ctx, storage.Code{Digest: storage.DigestOf("c"), Client: "app", Subject: "1", Created: now, Expires: now, Kept: now}))
			must(s.PutConsent(ctx, storage.Consent{Subject: "1", Client: "app", Created: now, Expires: now}))
			g := storage.DeviceGrant{Digest: storage.DigestOf("d"), UserCode: storage.MAC{1}, Client: "app", Interval: time.Second, Created: now, Expires: now}
			must(s.CreateDeviceGrant(ctx, g))
			must(s.DecideDeviceGrant(ctx, storage.DeviceDecision{Digest: g.Digest, Approve: true, Subject: "1", Now: now.Add(-1)}))
			second := make(chan error, 1)
			first := s.InTx(ctx, func(inside context.Context) error {
				if err := c.a(inside, s); err != nil {
					return err
				}
				go func() {
					second <- s.InTx(ctx, func(inside context.Context) error {
						if err := c.b(inside, s); err != nil || c.only {
							return err
						}
						return c.a(inside, s)
					})
				}()
				if err := waited(ctx, s, second); err != nil {
					return err
				}
				if c.only { // what it has to lock too
					for _, next := range []func(context.Context, *gormstore.Store) error{grants, codes, consent} {
						if err := next(inside, s); err != nil {
							return err
						}
					}
					_, err := s.ClientByID(inside, "app")
					return err
				}
				return c.b(inside, s)
			})
			if then := <-second; first != nil || then != nil {
				t.Errorf("the first: %v; the second: %v", first, then)
			}
		})
	}
}

// A session that is used while its account is deleted is deleted too.
func TestDeletedWhileUsed(t *testing.T) {
	ctx := t.Context()
	s := migrated(t, openPostgres(t, nil))
	furnish(t, s)
	now := time.Unix(2000, 0)
	if err := s.CreateSession(ctx, storage.Session{
		Digest: storage.DigestOf("s"), ID: "s", Subject: "1", Created: now, LastSeen: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour),
	}, storage.Digest{}); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	err := s.InTx(ctx, func(inside context.Context) error {
		if ok, err := s.TouchSession(inside, storage.DigestOf("s"), now.Add(time.Minute), now.Add(time.Hour), now); err != nil || !ok {
			return errors.Join(err, errors.New("not touched"))
		}
		go func() { second <- s.DeleteUser(ctx, "1") }()
		return waited(ctx, s, second)
	})
	if then := <-second; err != nil || then != nil {
		t.Fatalf("%v; %v", err, then)
	}
	var left int64
	if err := s.DB(ctx).Raw("SELECT COUNT(*) FROM vestibule_sessions").Scan(&left).Error; err != nil || left != 0 {
		t.Errorf("%d sessions left, %v", left, err)
	}
}
