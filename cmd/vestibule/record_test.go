package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/byurl"
)

// administered is a database with the commands that change it.
type administered struct {
	*testing.T
	db   *gormstore.Store
	last string // ID of the last event that was read
}

func administer(t *testing.T, url string) *administered {
	t.Helper()
	t.Setenv("VESTIBULE_DB", url)
	t.Setenv("VESTIBULE_KEY", strings.Repeat("a1b2", 16))
	a := &administered{T: t}
	if out, err := a.run("migrate"); err != nil {
		t.Fatal(out, err)
	}
	var err error
	if a.db, err = byurl.Open(url, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.db.Close() })
	return a
}

func (a *administered) run(args string) (string, error) {
	var out strings.Builder
	err := command(strings.NewReader("wonderland-42\n"), &out, &out).Run(a.Context(), append([]string{"vestibule"}, strings.Fields(args)...))
	return out.String(), err
}

// events returns the events since the last call, as text.
func (a *administered) events() (list []string) {
	a.Helper()
	records, err := a.db.AuditAfter(a.Context(), a.last, 100)
	if err != nil {
		a.Fatal(err)
	}
	for _, r := range records {
		a.last = r.ID
		var e audit.Event
		if err := json.Unmarshal(r.Event, &e); err != nil {
			a.Fatal(err)
		}
		if e.Scheme != "cli" || e.Actor != "" || !strings.HasPrefix(e.Reason, reason) || strings.Contains(string(r.Event), "wonderland") {
			a.Errorf("%s", r.Event)
		}
		about := "-"
		if e.Subject != "" {
			about = e.Subject
		}
		if e.Client != "" {
			about = e.Client
		}
		list = append(list, fmt.Sprintf("%s %s %d%s", r.Kind, about, e.Count, strings.TrimPrefix(e.Reason, reason)))
	}
	slices.Sort(list)
	return list
}

// Every command that changes an account, a client, a credential or a key stores its event. What
// changes nothing, or fails, stores none.
func TestRecorded_attack_486(t *testing.T) {
	urls := map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + t.TempDir() + "/db" },
		"postgres": func(t *testing.T) string { return pgtest.URL(t) },
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			a := administer(t, url(t))
			subject, fails := "", false
			is := func(args string, want ...string) {
				t.Helper()
				out, err := a.run(strings.ReplaceAll(args, "SUBJECT", subject))
				if (err != nil) != fails {
					t.Errorf("%s: %s, %v", args, out, err)
				}
				for i := range want {
					want[i] = strings.ReplaceAll(want[i], "SUBJECT", subject)
				}
				if got := a.events(); !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", args, got, want)
				}
			}
			for _, name := range []string{"bob", "alice"} {
				if out, err := a.run("user create " + name); err != nil {
					t.Fatal(out, err)
				}
				u, err := a.db.UserByName(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				subject = u.ID
				if got := a.events(); !slices.Equal(got, []string{"account.created " + subject + " 1"}) {
					t.Error(got)
				}
			}
			is("user passwd alice", "password.changed SUBJECT 1")
			is("user disable alice", "account.disabled SUBJECT 1")
			is("user enable alice", "account.enabled SUBJECT 1")
			is("user roles alice admin", "account.changed SUBJECT 1: roles")
			is("user roles alice")
			is("user logout-everywhere alice", "logout.everywhere SUBJECT 1")
			is("user logout-everywhere -all", "logout.everywhere - 2: all accounts")
			is("token create alice", "token.created SUBJECT 1")
			is("token create alice")
			is("token create -reset alice", "token.created SUBJECT 1", "token.revoked SUBJECT 1")
			is("token revoke alice", "token.revoked SUBJECT 1")
			for _, id := range []string{"k1", "k2", "k3"} {
				epoch, err := a.db.SubjectEpoch(t.Context(), subject)
				if err != nil {
					t.Fatal(err)
				}
				c := storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: subject, Epoch: epoch, Created: time.Now()}
				if _, err := a.db.CreateCredential(t.Context(), c, storage.CredentialLimit{}); err != nil {
					t.Fatal(err)
				}
			}
			is("knox revoke -id k1 alice", "token.revoked SUBJECT 1: knox")
			is("credential revoke -purpose knox -all alice", "token.revoked SUBJECT 2: knox")
			is("credential revoke -purpose knox -all alice")
			is("client create -id app -name App -redirect https://app.example/cb", "client.created app 1")
			is("client rotate-secret app", "client.changed app 1: new secret")
			is("client disable app", "client.disabled app 1")
			is("client enable app", "client.changed app 1: enabled")
			is("client delete app", "client.disabled app 1: deleted")
			is("keys generate -issuer https://a.example", "key.rotated - 1: first key")
			is("keys rotate -issuer https://a.example", "key.rotated - 1")
			is("keys expire -all", "key.rotated - 1: expired", "key.rotated - 1: expired")
			is("keys expire -all")
			is("user list")
			is("check")
			is("user delete -yes alice", "account.deleted SUBJECT 1")
			fails = true
			is("user disable alice")
			is("token revoke bob")
			is("knox revoke -id k9 bob")
			is("client disable app")
			is("keys expire -issuer https://a.example -id none")
			is("keys expire -issuer https://a.example")
			is("keys expire -all -issuer https://a.example")

			// Without the table a change fails and changes nothing. What only reads works.
			if err := a.db.DB(t.Context()).Exec("ALTER TABLE vestibule_audit RENAME TO kept").Error; err != nil {
				t.Fatal(err)
			}
			for _, args := range []string{"user disable bob", "user logout-everywhere -all", "user create carol", "token create bob", "keys generate -issuer https://b.example"} {
				if out, err := a.run(args); err == nil || !strings.Contains(err.Error(), "events not stored") || !strings.Contains(err.Error(), "vestibule_audit") {
					t.Errorf("%s: %s, %v", args, out, err)
				}
			}
			u, err := a.db.UserByName(t.Context(), "bob")
			if _, again := a.db.UserByName(t.Context(), "carol"); err != nil || !u.Active || !errors.Is(again, storage.ErrNotFound) {
				t.Error(u.Active, err, again)
			}
			for _, args := range []string{"user list", "token list", "keys list", "keys expire -all"} {
				if out, err := a.run(args); err != nil {
					t.Errorf("%s: %s, %v", args, out, err)
				}
			}
		})
	}
}

// A change that is too large for one transaction follows its event. If the event cannot be stored, it
// is not made.
func TestRecorded_attack_486_pieces(t *testing.T) {
	a := administer(t, "sqlite:"+t.TempDir()+"/db")
	made := 0
	large := func(ctx context.Context) error {
		if a.db.InTransaction(ctx) {
			return fmt.Errorf("too much: %w", context.DeadlineExceeded)
		}
		made++
		return nil
	}
	e := audit.Event{Kind: audit.ClientDisabled, Client: "app"}
	if err := recorded(t.Context(), a.db, e, "", large); err != nil || made != 1 || !slices.Equal(a.events(), []string{"client.disabled app 1"}) {
		t.Error(made, err)
	}
	if err := a.db.DB(t.Context()).Exec("DROP TABLE vestibule_audit").Error; err != nil {
		t.Fatal(err)
	}
	if err := recorded(t.Context(), a.db, e, "", large); err == nil || made != 1 {
		t.Error(made, err)
	}
}

// A restored database has a signing key that was revoked since the backup. One command revokes all
// keys, so a token of the leaked key is rejected, and the server signs with a new key.
func TestExpireAll_attack_485(t *testing.T) {
	a := administer(t, "sqlite:"+t.TempDir()+"/db")
	ring, err := keys.ParseHex(strings.Repeat("a1b2", 16))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	stored := func(issuer string) *jwt.StoredKeys {
		t.Helper()
		k, err := jwt.NewStoredKeys(a.db, ring, issuer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Ensure(ctx); err != nil { // as at the start of a server
			t.Fatal(err)
		}
		return k
	}
	verify := func(k *jwt.StoredKeys, text string) error {
		_, err := jose.Verify(ctx, text, k, "at+jwt")
		return err
	}
	issuers := []string{"https://a.example", "https://b.example"}
	leaked := make(map[string]string)
	for _, issuer := range issuers {
		k := stored(issuer)
		if leaked[issuer], err = k.Sign(ctx, "at+jwt", []byte(`{"sub":"admin"}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Rotate(ctx); err != nil { // a next key, which the backup may have too
			t.Fatal(err)
		}
		if err := verify(k, leaked[issuer]); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("VESTIBULE_KEY", "") // the command needs no master key
	if out, err := a.run("keys expire -all"); err != nil || !strings.Contains(out, "4 keys have expired") {
		t.Fatal(out, err)
	}
	for _, issuer := range issuers {
		k := stored(issuer)
		if err := verify(k, leaked[issuer]); err == nil {
			t.Errorf("%s: the leaked key verifies", issuer)
		}
		fresh, err := k.Sign(ctx, "at+jwt", []byte(`{"sub":"admin"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(k, fresh); err != nil {
			t.Errorf("%s: the new key: %v", issuer, err)
		}
	}
}
