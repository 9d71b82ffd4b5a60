package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// The commands serve schemes that this program does not know, each by its purpose.
func TestCredentials(t *testing.T) {
	path := t.TempDir() + "/db"
	t.Setenv("VESTIBULE_DB", "sqlite:"+path)
	run := func(args ...string) (string, error) {
		var out strings.Builder
		err := command(strings.NewReader("wonderland-42\n"), &out, &out).Run(t.Context(), append([]string{"vestibule"}, args...))
		return out.String(), err
	}
	for _, args := range [][]string{{"migrate"}, {"user", "create", "alice"}} {
		if out, err := run(args...); err != nil {
			t.Fatal(out, err)
		}
	}
	db, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	u, err := db.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"apikey-1", "apikey-2", "knox-3", "apikey-4"} {
		purpose, _, _ := strings.Cut(id, "-")
		c := storage.Credential{Purpose: purpose, Digest: storage.DigestOf("text of " + id), ID: id, Subject: u.ID, Name: "robot", Created: time.Now()}
		if _, err := db.CreateCredential(t.Context(), c, storage.CredentialLimit{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		args string
		want []string // in the output, or in the error after "!"
		not  string
	}{
		{"credential list alice", []string{"PURPOSE", "apikey-1", "apikey-2", "knox-3", "yes"}, "text of"},
		{"credential list -purpose apikey alice", []string{"apikey-1", "apikey-4"}, "knox-3"},
		{"credential list -purpose oauth2 alice", []string{"PURPOSE"}, "apikey"},
		{"credential list -purpose Bad! alice", []string{"!purpose"}, ""},
		{"knox list alice", []string{"knox-3"}, "apikey"},
		{"credential revoke -id apikey-1 alice", []string{"!no -purpose given"}, ""},
		{"credential revoke -purpose apikey alice", []string{"!no credential given"}, ""},
		{"credential revoke -purpose apikey -all -id x alice", []string{"!both -id and -all"}, ""},
		{"credential revoke -purpose knox -id apikey-1 alice", []string{"!no such credential"}, ""},
		{"knox revoke -id apikey-1 alice", []string{"!no such token"}, ""},
		{"credential revoke -purpose apikey -id apikey-1 alice", []string{"revoked 1 credential of user alice"}, ""},
		{"credential revoke -purpose apikey -all alice", []string{"revoked 2 credentials of user alice"}, ""},
		{"credential list alice", []string{"knox-3"}, "apikey"},
		{"credential list bob", []string{"!does not exist"}, ""},
	} {
		out, err := run(strings.Fields(x.args)...)
		for _, want := range x.want {
			if fails := strings.TrimPrefix(want, "!"); fails != want {
				if err == nil || !strings.Contains(err.Error(), fails) {
					t.Errorf("%s: %v, want %q", x.args, err, fails)
				}
			} else if err != nil || !strings.Contains(out, want) {
				t.Errorf("%s: %s, %v, want %q", x.args, out, err, want)
			}
		}
		if x.not != "" && strings.Contains(out, x.not) {
			t.Errorf("%s shows %q: %s", x.args, x.not, out)
		}
	}
	if _, _, err := db.CredentialByDigest(t.Context(), "apikey", storage.DigestOf("text of apikey-1")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a revoked credential: %v", err)
	}
}
