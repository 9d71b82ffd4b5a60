package gormstore_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// Polling for a device code that is unknown or has expired waits for no write of others.
func TestVainPollsReadOnly_attack_301(t *testing.T) {
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := s.CreateClient(t.Context(), storage.Client{ID: "tv", Method: "none"}); err != nil {
		t.Fatal(err)
	}
	g := storage.DeviceGrant{
		Digest: storage.DigestOf("old"), UserCode: storage.MAC{1}, Client: "tv", Interval: time.Second, Created: now.Add(-time.Hour), Expires: now.Add(-time.Minute),
	}
	if err := s.CreateDeviceGrant(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	err = s.InTx(t.Context(), func(ctx context.Context) error {
		if err := s.Block(ctx, now.Add(time.Hour), storage.BlockKey{1}); err != nil { // holds the write lock
			return err
		}
		for code, want := range map[string]error{"unknown": storage.ErrNotFound, "old": nil} {
			short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := s.PollDeviceGrant(short, storage.DigestOf(code), "tv", now); !errors.Is(err, want) {
				t.Errorf("%s: %v", code, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
