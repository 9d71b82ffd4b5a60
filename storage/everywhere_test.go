package storage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// fill gives alice one of each, and bob a static token.
func fill(t *testing.T, s storagetest.Store) (d storage.Digest) {
	t.Helper()
	ctx, d, end := t.Context(), storage.DigestOf("x"), time.Now().Add(time.Hour)
	for _, err := range []error{
		s.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true}),
		s.CreateUser(ctx, storage.User{ID: "bob", Name: "bob", Active: true}),
		s.PutStaticToken(ctx, storage.StaticToken{Digest: d, Subject: "alice", Salt: []byte("salt")}, storage.Digest{}),
		s.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf("bob"), Subject: "bob", Salt: []byte("salt")}, storage.Digest{}),
		s.CreateSession(ctx, storage.Session{Digest: d, ID: "x", Subject: "alice", Expires: end, Ends: end}, storage.Digest{}),
		s.CreateFamily(ctx, storage.Family{ID: "x", Purpose: "p", Subject: "alice", Expires: end}, storage.Refresh{Digest: d, Expires: end}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: d, ID: "x", Subject: "alice"}, storage.CredentialLimit{}); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLogoutEverywhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		ctx, d := t.Context(), fill(t, s)
		out, err := storage.LogoutEverywhere(ctx, s, "alice")
		if err != nil || out.StaticTokens != 1 || out.Credentials != 1 || out.Sessions != 1 || out.Uncleaned != nil {
			t.Errorf("%+v, %v", out, err)
		}
		if n, err := s.SubjectEpoch(ctx, "alice"); err != nil || n == 0 || n != out.Epoch {
			t.Errorf("epoch %d, %v", n, err)
		}
		_, _, err1 := s.StaticTokenByDigest(ctx, d)
		_, _, err2 := s.CredentialByDigest(ctx, "knox", d)
		_, _, err3 := s.SessionByDigest(ctx, d)
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
		if st, err := s.RefreshByDigest(ctx, d); err != nil || st.Family.Epoch == st.User.Epoch {
			t.Errorf("%+v, %v", st, err)
		}
		if _, u, err := s.StaticTokenByDigest(ctx, storage.DigestOf("bob")); err != nil || u.Epoch != 0 {
			t.Errorf("another's ended: %v", err)
		}
		again, err := storage.LogoutEverywhere(ctx, s, "alice")
		if err != nil || again.StaticTokens+again.Credentials+again.Sessions != 0 || again.Uncleaned != nil || again.Epoch <= out.Epoch {
			t.Errorf("again: %+v, %v", again, err)
		}
		if _, err := storage.LogoutEverywhere(ctx, s, ""); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("nobody: %v", err)
		}
	})
}

// broken cannot delete, or cannot even bump.
type broken struct {
	*memory.Store
	bump error
}

var errBroken = errors.New("broken")

func (b broken) BumpEpoch(ctx context.Context, subject string) (int64, error) {
	if b.bump != nil {
		return 0, b.bump
	}
	return b.Store.BumpEpoch(ctx, subject)
}
func (broken) DeleteStaticTokenOf(context.Context, string) error { return errBroken }
func (broken) DeleteAllCredentialsOf(context.Context, string) (int, error) {
	return 0, errBroken
}

// subjects keeps epochs and nothing else.
type subjects struct{ storage.Subjects }

func TestLogoutEverywhereUncleaned(t *testing.T) {
	s := memory.New(nil)
	d := fill(t, s)
	if out, err := storage.LogoutEverywhere(t.Context(), broken{s, errBroken}, "alice"); !errors.Is(err, errBroken) || out != (storage.LoggedOut{}) {
		t.Errorf("%+v, %v", out, err)
	}
	if _, u, err := s.SessionByDigest(t.Context(), d); err != nil || u.Epoch != 0 {
		t.Errorf("without a new epoch something was removed: %v", err)
	}
	out, err := storage.LogoutEverywhere(t.Context(), broken{s, nil}, "alice")
	if err != nil || !errors.Is(out.Uncleaned, errBroken) || out.Sessions != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if tok, u, err := s.StaticTokenByDigest(t.Context(), d); err != nil || tok.Epoch == u.Epoch {
		t.Errorf("the token that is left is good: %v", err)
	}
	if out, err := storage.LogoutEverywhere(t.Context(), subjects{s}, "alice"); err != nil || out.Uncleaned != nil || out.Sessions != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}
