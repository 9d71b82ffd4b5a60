package cached_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// wide is a store of device tokens, each with long scopes of its own.
type wide struct{ made }

func (wide) CredentialByDigest(_ context.Context, _ string, d storage.Digest) (storage.Credential, storage.User, error) {
	scope := fmt.Sprintf("%x", d[:]) + strings.Repeat("s", 8000)
	return storage.Credential{Purpose: "knox", Digest: d, ID: "id", Subject: "alice", Scopes: []string{scope}},
		storage.User{ID: "alice", Name: "alice", Active: true}, nil
}

// What is forgotten leaves nothing behind, also where each had long lists of its own.
func TestLongLists(t *testing.T) {
	if raceEnabled {
		t.Skip("measures")
	}
	const bytes = 1 << 20
	s := over(t, wide{}, &cached.Options{MaxBytes: bytes, MaxEntries: 1000, Clock: still})
	before := heap()
	for i := range 1000 {
		_, _, err := s.CredentialByDigest(t.Context(), "knox", storage.DigestOf(fmt.Sprint(i)))
		must(t, err)
	}
	if took := int64(heap()) - int64(before); took > 2*bytes {
		t.Errorf("%d bytes, want %d at most", took, bytes)
	}
	runtime.KeepAlive(s)
}
