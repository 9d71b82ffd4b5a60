package knox_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
)

// Another scheme stores its credentials in the same table. Neither scheme accepts the other's
// credentials, even if a record of the other scheme has the digest of a well-formed Knox token.
func TestOtherPurposes(t *testing.T) {
	each(t, func(t *testing.T, s store) {
		ctx := t.Context()
		schemetest.Add(t, s, "alice")
		var c schemetest.Clock
		x := scheme(t, s, &knox.Options{Limit: 2, EvictOldest: true, Clock: c.Now})
		mine, rec := issue(t, x, "id-alice", knox.Token{})
		c.Set(time.Second)
		forged, gone := issue(t, x, "id-alice", knox.Token{}) // a text of the right form, with its checksum
		schemetest.Must(t, x.Revoke(ctx, "id-alice", gone.ID))
		theirs := storage.Credential{Purpose: "apikey", Digest: storage.DigestOf(forged), ID: "theirs", Subject: "id-alice", Created: born.Add(-time.Hour)}
		if !refused(t, x, forged) {
			t.Error("a revoked token is accepted")
		}
		_, err := s.CreateCredential(ctx, theirs, storage.CredentialLimit{})
		schemetest.Must(t, err)
		found := func(what string) {
			t.Helper()
			for range 2 { // what a cache keeps, too
				if got, _, err := s.CredentialByDigest(ctx, "apikey", theirs.Digest); err != nil || got.Purpose != "apikey" || !got.LastUsed.IsZero() {
					t.Errorf("%s: the other scheme's credential is %+v, %v", what, got, err)
				}
				if _, _, err := s.CredentialByDigest(ctx, "apikey", rec.Digest); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%s: the other scheme is shown a Knox token: %v", what, err)
				}
				if !refused(t, x, forged) {
					t.Errorf("%s: Knox accepts another scheme's credential", what)
				}
			}
		}
		found("presented")
		if w := schemetest.Do(x.Logout(), schemetest.Request("POST", "Knox "+forged)); w.Code != 401 {
			t.Errorf("logout with another scheme's credential: %d", w.Code)
		}
		list, err := x.List(ctx, "id-alice")
		schemetest.Must(t, err)
		if ids := ids(list); !slices.Equal(ids, []string{rec.ID}) {
			t.Errorf("Knox lists %q", ids)
		}
		if err := x.Revoke(ctx, "id-alice", theirs.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Knox revokes another scheme's credential: %v", err)
		}
		if err := s.DeleteCredential(ctx, "apikey", "id-alice", rec.ID); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the other scheme revokes a Knox token: %v", err)
		}
		found("revoked")
		for i := range 3 { // the limit is 2: the older of Knox's own are evicted
			c.Set(time.Duration(2+i) * time.Second)
			issue(t, x, "id-alice", knox.Token{})
		}
		if !refused(t, x, mine) {
			t.Error("the oldest Knox token was not evicted")
		}
		found("evicted")
		_, err = x.RevokeAll(ctx, "id-alice")
		schemetest.Must(t, err)
		found("revoked all")
		_, err = s.BumpEpoch(ctx, "id-alice")
		schemetest.Must(t, err)
		if got, u, err := s.CredentialByDigest(ctx, "apikey", theirs.Digest); err != nil || got.Epoch == u.Epoch {
			t.Errorf("log-out-everywhere does not reach the other scheme: %+v, %v", got, err)
		}
	})
}

func ids(list []storage.Credential) (ids []string) {
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}
