package cached_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// made is a store in which every digest is a good credential of the account that the
// context names, so that what a cache in front of it takes can be measured.
type made struct{ cached.Base }

type userKey struct{}

func ofUser(t testing.TB, id string) context.Context {
	return context.WithValue(t.Context(), userKey{}, id)
}

func (made) InTransaction(context.Context) bool { return false }

func userOf(ctx context.Context) storage.User {
	id := ctx.Value(userKey{}).(string)
	return storage.User{
		ID: id, Name: "name-" + id[:8], Email: "name-" + id[:8] + "@example.com", Active: true, Roles: []string{"staff"}, Created: now, Epoch: 1_770_000_000_000_000,
		Password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5",
	}
}

func (made) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	u := userOf(ctx)
	return storage.StaticToken{Digest: d, Subject: u.ID, Salt: make([]byte, 32), KeyID: hex.EncodeToString(d[:4]), Epoch: u.Epoch, Created: now}, u, nil
}

func (made) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	u := userOf(ctx)
	return storage.Credential{
		Purpose: purpose, Digest: d, ID: hex.EncodeToString(d[:16]), Subject: u.ID, Name: "my new phone", Scopes: []string{"read", "write"}, Epoch: u.Epoch,
		Created: now, Expires: now.Add(time.Hour), LastUsed: now, TTL: time.Hour, Max: now.Add(24 * time.Hour),
	}, u, nil
}

func (made) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	u := userOf(ctx)
	return storage.Session{
		Digest: d, ID: hex.EncodeToString(d[:16]), Subject: u.ID, Epoch: u.Epoch, Version: 1, Created: now, AuthTime: now, LastSeen: now,
		Expires: now.Add(time.Hour), Ends: now.Add(24 * time.Hour), Address: "203.0.113.7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	}, u, nil
}

func (made) TokenStatusWithUser(ctx context.Context, _ string, _ storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	u := userOf(ctx)
	return u, storage.TokenStatus{Epoch: u.Epoch}, nil
}

var madeKinds = []string{"static", "device", "session", "access", "user_standing"}

func (made) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	u := userOf(ctx)
	return storage.AccessState{User: u, Access: storage.AccessToken{
		Digest: d, ID: hex.EncodeToString(d[:16]), Family: hex.EncodeToString(d[16:]), Client: "a-client", Subject: u.ID, Epoch: u.Epoch,
		Scopes: []string{"profile"}, AuthTime: now, Created: now, Expires: now.Add(time.Hour),
	}}, nil
}

// askMade looks the i-th credential of a kind up.
func askMade(t testing.TB, s *cached.Store, kind string, i int) (err error) {
	owner := storage.DigestOf(fmt.Sprint("user", i))
	id, d := hex.EncodeToString(owner[:13]), storage.DigestOf(fmt.Sprint("token", i))
	ctx := ofUser(t, id)
	switch kind {
	case "static":
		_, _, err = s.StaticTokenByDigest(ctx, d)
	case "device":
		_, _, err = s.CredentialByDigest(ctx, "knox", d)
	case "session":
		_, _, err = s.SessionByDigest(ctx, d)
	case "access":
		_, err = s.AccessByDigest(ctx, d)
	case "user_standing":
		_, _, err = s.TokenStatusWithUser(ctx, id, madeKeys(d))
	}
	return err
}

func madeKeys(d storage.Digest) storage.BlockKeys {
	return storage.BlockKeys{JTI: storage.BlockKey(d), SID: storage.BlockKey(d), Subject: storage.BlockKey(d)}
}
