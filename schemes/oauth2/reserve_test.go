//go:build linux

package oauth2_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
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
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)))
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir
}

// fill writes a file until so many bytes are free.
func fill(t *testing.T, dir string, free int64) {
	t.Helper()
	var s syscall.Statfs_t
	must(t, syscall.Statfs(dir, &s))
	if n := int64(s.Bavail)*int64(s.Bsize) - free; n > 0 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("full", free)), bytes.Repeat([]byte{1}, int(n)), 0o600))
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
			must(t, err)
			t.Cleanup(func() { _ = db.Close() })
			must(t, db.Migrate(ctx))
			w := newDevices(t, db, func(o *oauth2.Options) {
				o.Registration = &oauth2.Registration{Allow: func(*httpRequest) error { return nil }, Scopes: []string{"read"}}
			})
			if got := w.post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 200 {
				t.Fatalf("with 80 MiB: %s", got.Body)
			}
			pair, other := w.exchange("spa", w.code("spa", nil)), w.exchange("app", w.code("app", nil))
			sessions := make([]storage.Digest, 8)
			for i := range sessions {
				sessions[i] = storage.DigestOf(fmt.Sprint("session", i))
				must(t, db.CreateSession(ctx, storage.Session{Digest: sessions[i], ID: fmt.Sprint("s", i), Subject: "id-alice", Created: born, LastSeen: born, Expires: born.Add(time.Hour), Ends: born.Add(time.Hour)}, storage.Digest{}))
			}
			fill(t, dir, free)
			for i := range 400 {
				for what, got := range map[string]reply{
					"device": w.post(w.DeviceAuthorization(), "", "client_id", "tv"),
					"pushed": w.post(w.Push(), "spa", "response_type", "code", "redirect_uri", redirect, "state", longText, "code_challenge", challengeOf(verifier), "code_challenge_method", "S256"),
				} {
					if got.Status != 503 || got.Header.Get("Retry-After") == "" {
						t.Fatalf("%s, %d: %d %s", what, i, got.Status, got.Body)
					}
				}
			}
			if got := w.manages("POST", "/oauth2/register", "x", `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`); got.Status != 503 {
				t.Errorf("registration: %d %s", got.Status, got.Body)
			}
			if err := db.CreateSession(ctx, storage.Session{Digest: storage.DigestOf("n"), ID: "n", Created: born, LastSeen: born, Expires: born.Add(time.Hour), Ends: born.Add(time.Hour)}, storage.Digest{}); err != gormstore.ErrReserve {
				t.Errorf("an anonymous session: %v", err)
			}
			// What ends something still fits, and a logged-in user goes on.
			for _, d := range sessions {
				must(t, db.EndSession(ctx, d))
			}
			if got := w.post(w.Revoke(), "spa", "token", pair.Refresh); got.Status != 200 || w.status(pair.Access) != 401 {
				t.Errorf("revocation: %d %s", got.Status, got.Body)
			}
			if got := w.refreshes("app", other.Refresh); got.Status != 200 {
				t.Errorf("refresh: %d %s", got.Status, got.Body)
			}
			if _, err := db.BumpEpoch(ctx, "id-alice"); err != nil {
				t.Errorf("log out everywhere: %v", err)
			}
			must(t, os.Remove(filepath.Join(dir, fmt.Sprint("full", free))))
			if got := w.post(w.DeviceAuthorization(), "", "client_id", "tv"); got.Status != 200 {
				t.Errorf("with room again: %d %s", got.Status, got.Body)
			}
		})
	}
}
