//go:build linux

package server_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// disk is a small file system of its own.
func disk(t *testing.T, megabytes int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	oauthtest.Must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)))
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir
}

// fill writes a file until so many bytes are free.
func fill(t *testing.T, dir string, free int64) {
	t.Helper()
	var s syscall.Statfs_t
	oauthtest.Must(t, syscall.Statfs(dir, &s))
	if n := int64(s.Bavail)*int64(s.Bsize) - free; n > 0 {
		oauthtest.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("full", free)), bytes.Repeat([]byte{1}, int(n)), 0o600))
	}
}

// When the disk is nearly full, what anonymous callers write is refused, and what ends
// something still fits.
func TestReserve(t *testing.T) {
	for _, free := range []int64{gormstore.Reserve - 1<<20, 1 << 20} {
		t.Run(fmt.Sprint("edge_A13/", free>>20, " MiB free"), func(t *testing.T) {
			ctx := context.Background()
			dir := disk(t, 80)
			db, err := sqlite.Open(filepath.Join(dir, "db"), nil)
			oauthtest.Must(t, err)
			t.Cleanup(func() { _ = db.Close() })
			oauthtest.Must(t, db.Migrate(ctx))
			w := oauthtest.NewDevices(t, db, func(o *oauthtest.Options) {
				o.Registration = &oauthtest.Registration{Allow: func(*httpRequest) error { return nil }, Scopes: []string{"read"}}
			})
			if got := w.Post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 200 {
				t.Fatalf("with 80 MiB: %s", got.Body)
			}
			pair, other := w.Exchange("spa", w.Code("spa", nil)), w.Exchange("app", w.Code("app", nil))
			sessions := make([]storage.Digest, 8)
			for i := range sessions {
				sessions[i] = storage.DigestOf(fmt.Sprint("session", i))
				oauthtest.Must(t, db.CreateSession(ctx, storage.Session{Digest: sessions[i], ID: fmt.Sprint("s", i), Subject: "id-alice", Created: oauthtest.Born, LastSeen: oauthtest.Born, Expires: oauthtest.Born.Add(time.Hour), Ends: oauthtest.Born.Add(time.Hour)}, storage.Digest{}))
			}
			fill(t, dir, free)
			for i := range 400 {
				for what, got := range map[string]oauthtest.Reply{
					"device": w.Post(w.DeviceAuthorization(), "", "client_id", "tv"),
					"pushed": w.Post(w.PushedAuthorization(), "spa", "response_type", "code", "redirect_uri", oauthtest.Redirect, "state", longText, "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256"),
				} {
					if got.Status != 503 || got.Header.Get("Retry-After") == "" {
						t.Fatalf("%s, %d: %d %s", what, i, got.Status, got.Body)
					}
				}
			}
			if got := w.Manages("POST", "/oauth2/register", "x", `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`); got.Status != 503 {
				t.Errorf("registration: %d %s", got.Status, got.Body)
			}
			if err := db.CreateSession(ctx, storage.Session{Digest: storage.DigestOf("n"), ID: "n", Created: oauthtest.Born, LastSeen: oauthtest.Born, Expires: oauthtest.Born.Add(time.Hour), Ends: oauthtest.Born.Add(time.Hour)}, storage.Digest{}); err != gormstore.ErrReserve {
				t.Errorf("an anonymous session: %v", err)
			}
			// What ends something still fits, and a logged-in user goes on.
			for _, d := range sessions {
				oauthtest.Must(t, db.DeleteSession(ctx, d))
			}
			if got := w.Post(w.Revoke(), "spa", "token", pair.Refresh); got.Status != 200 || w.Status(pair.Access) != 401 {
				t.Errorf("revocation: %d %s", got.Status, got.Body)
			}
			if got := w.Refreshes("app", other.Refresh); got.Status != 200 {
				t.Errorf("refresh: %d %s", got.Status, got.Body)
			}
			if _, err := db.BumpEpoch(ctx, "id-alice"); err != nil {
				t.Errorf("log out everywhere: %v", err)
			}
			oauthtest.Must(t, os.Remove(filepath.Join(dir, fmt.Sprint("full", free))))
			if got := w.Post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 200 {
				t.Errorf("with room again: %d %s", got.Status, got.Body)
			}
		})
	}
}
