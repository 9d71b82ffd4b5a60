package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// purpose is the purpose of the credentials under test, and otherPurpose that of another scheme.
const (
	purpose      = "knox"
	otherPurpose = "api-key"
)

// credential returns a credential. n is its number among those of a subject, and their order.
func credential(subject string, epoch int64, n int) storage.Credential {
	return storage.Credential{
		Purpose: purpose, Digest: storage.DigestOf(fmt.Sprintf("device %s %d", subject, n)), ID: fmt.Sprintf("device-%04d", n), Subject: subject,
		Name: fmt.Sprint("phone ", n), Scopes: []string{"read", "a:b/c"}, Epoch: epoch, Created: born.Add(time.Duration(n) * time.Second),
		Expires: born.Add(24 * time.Hour), TTL: 10 * time.Hour, Max: born.Add(30 * 24 * time.Hour),
		Data: []byte{0, 1, 0xff},
	}
}

// anyNumber means no limit.
var anyNumber = storage.CredentialLimit{Now: born}

// giveCredential stores a credential of an existing account.
func (k *kit) giveCredential(subject string, n int) storage.Credential {
	k.Helper()
	t := credential(subject, k.epoch(subject), n)
	_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
	k.must(err)
	return t
}

// credentialIDs returns the IDs of a list.
func credentialIDs(list []storage.Credential) (ids []string) {
	for _, t := range list {
		ids = append(ids, t.ID)
	}
	return ids
}

// credentialsLeft returns the IDs that ListCredentials returns for the subject.
func (k *kit) credentialsLeft(subject string) []string {
	k.Helper()
	list, err := k.s.ListCredentials(k.ctx, purpose, subject, 1000)
	k.must(err)
	return credentialIDs(list)
}

// usableCredential reports whether a scheme would accept the token.
func (k *kit) usableCredential(d storage.Digest) bool {
	k.Helper()
	t, u, err := k.s.CredentialByDigest(k.ctx, purpose, d)
	if err != nil {
		k.is(err, storage.ErrNotFound, "a token is there or absent")
		return false
	}
	return u.Active && t.Epoch == u.Epoch
}

func credentials(t *testing.T, s *suite) {
	s.rules(t, map[string]func(*kit){
		"round_trip: a credential comes back as it was stored, with its account, by digest and in lists": func(k *kit) {
			u := k.add("alice")
			want := k.giveCredential(u.ID, 1)
			got, owner, err := k.s.CredentialByDigest(k.ctx, purpose, want.Digest)
			k.must(err)
			if !reflect.DeepEqual(got, want) || !isOwner(owner, u) {
				k.Errorf("got %+v of %+v, want %+v", got, owner, want)
			}
			list, err := k.s.ListCredentials(k.ctx, purpose, u.ID, 10)
			k.must(err)
			if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
				k.Errorf("got %+v", list)
			}
		},
		"scopes_nil_or_none: nil scopes stay nil and an empty list stays empty: the first does not limit, the second allows nothing": func(k *kit) {
			u := k.add("alice")
			for i, scopes := range [][]string{nil, {}, {"a"}, {"a", "b", "a"}} {
				t := credential(u.ID, 0, i)
				t.Scopes = scopes
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.must(err)
				got, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
				k.must(err)
				if !reflect.DeepEqual(got.Scopes, scopes) {
					k.Errorf("%#v came back as %#v: nil does not limit, an empty list allows none", scopes, got.Scopes)
				}
			}
			list, err := k.s.ListCredentials(k.ctx, purpose, u.ID, 10)
			k.must(err)
			if list[3].Scopes != nil || list[2].Scopes == nil || len(list[2].Scopes) != 0 {
				k.Errorf("listed as %#v and %#v", list[3].Scopes, list[2].Scopes)
			}
		},
		"times_are_utc: times come back in UTC, to the microsecond, and no time as the zero time": func(k *kit) {
			u := k.add("alice")
			t := credential(u.ID, 0, 1)
			t.Created, t.Expires, t.Max = t.Created.In(time.FixedZone("", 3600)), time.Time{}, time.Time{}
			t.LastUsed, t.TTL = born.In(time.FixedZone("", -7200)), 0
			_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
			k.must(err)
			got, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
			k.must(err)
			if !got.Created.Equal(t.Created) || !got.LastUsed.Equal(born) || got.Created.Location() != time.UTC || got.LastUsed.Location() != time.UTC {
				k.Errorf("created %v, last used %v: times are UTC, to the microsecond", got.Created, got.LastUsed)
			}
			if !got.Expires.IsZero() || !got.Max.IsZero() || got.TTL != 0 {
				k.Errorf("no end came back as %v, %v, %v", got.Expires, got.Max, got.TTL)
			}
		},
		"expired_is_returned: an expired credential is returned: the scheme judges expiry": func(k *kit) {
			u := k.add("alice")
			t := credential(u.ID, 0, 1)
			t.Expires = born.Add(-time.Hour)
			_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
			k.must(err)
			got, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
			k.must(err)
			if !got.Expired(born) || len(k.credentialsLeft(u.ID)) != 1 {
				k.Errorf("%+v: the scheme judges expiry", got)
			}
		},
		"epoch_of_now_comes_along: the account comes with the subject's present epoch, the credential with its own": func(k *kit) {
			u := k.add("alice")
			t := k.giveCredential(u.ID, 1)
			n, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			got, owner, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
			k.must(err)
			if got.Epoch != t.Epoch || owner.Epoch != n {
				k.Errorf("token %d, account %d: want %d and %d", got.Epoch, owner.Epoch, t.Epoch, n)
			}
			if left := k.credentialsLeft(u.ID); len(left) != 0 {
				k.Errorf("%q are listed: their epoch is past", left)
			}
		},
		"attack_334_touch: a use by a clock that was ahead is corrected, with the expiry that it moved": func(k *kit) {
			u := k.add("alice")
			for i, max := range []time.Time{{}, born.Add(90 * time.Minute)} {
				t := credential(u.ID, 0, i)
				t.Expires, t.LastUsed, t.TTL, t.Max = born.Add(time.Hour), time.Time{}, time.Hour, max
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.must(err)
				touch := func(used, expires, before time.Duration, want bool, why string) {
					k.Helper()
					to := time.Time{}
					if expires != 0 {
						to = born.Add(expires)
					}
					if got, err := k.s.TouchCredential(k.ctx, purpose, t.Digest, born.Add(used), to, born.Add(before)); err != nil || got != want {
						k.Errorf("touched %t, %v: %s", got, err, why)
					}
				}
				expect := func(used, expires time.Duration) {
					k.Helper()
					got, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
					k.must(err)
					if !got.LastUsed.Equal(born.Add(used)) || !got.Expires.Equal(born.Add(expires)) {
						k.Errorf("used after %v, expires after %v; want %v, %v", got.LastUsed.Sub(born), got.Expires.Sub(born), used, expires)
					}
				}
				touch(25*time.Minute, 85*time.Minute, 0, true, "ahead")
				touch(time.Minute, 61*time.Minute, 24*time.Minute, false, "used later than before")
				expect(25*time.Minute, 85*time.Minute)
				touch(time.Minute, 61*time.Minute, 25*time.Minute, true, "used at before")
				expect(time.Minute, 61*time.Minute)
				touch(2*time.Minute, 80*time.Minute, 25*time.Minute, false, "not ahead")
				touch(50*time.Minute, 0, 25*time.Minute, true, "an ordinary use")
				touch(40*time.Minute, 0, 50*time.Minute, true, "no expiry to correct")
				expect(40*time.Minute, 61*time.Minute)
				touch(30*time.Minute, 100*time.Minute, 50*time.Minute, true, "forward")
				want := 100 * time.Minute
				if !max.IsZero() {
					want = 90 * time.Minute
				}
				expect(30*time.Minute, want)
				touch(100*time.Minute, 0, 200*time.Minute, false, "expired")
			}
		},
		"absent: what is absent or malformed gets ErrNotFound, an empty list, or 0": func(k *kit) {
			_, _, err := k.s.CredentialByDigest(k.ctx, purpose, storage.DigestOf("x"))
			k.is(err, storage.ErrNotFound, "there is no such token")
			_, _, err = k.s.CredentialByDigest(k.ctx, purpose, storage.Digest{})
			k.is(err, storage.ErrNotFound, "no token has the zero digest")
			for _, bad := range []string{"nobody", "", "a\x00", "\xff", strings.Repeat("x", 300)} {
				k.is(k.s.DeleteCredential(k.ctx, purpose, bad, "x"), storage.ErrNotFound, "a malformed subject counts as absent")
				k.is(k.s.DeleteCredential(k.ctx, purpose, "x", bad), storage.ErrNotFound, "a malformed id counts as absent")
				if left := k.credentialsLeft(bad); len(left) != 0 {
					k.Errorf("%q has %q", bad, left)
				}
				if !k.has(CredentialList) {
					continue
				}
				n, err := k.s.DeleteCredentialsOf(k.ctx, purpose, bad, bad)
				all, allErr := k.s.DeleteAllCredentialsOf(k.ctx, bad)
				purposes, listErr := k.s.CredentialPurposes(k.ctx, bad)
				if err := errors.Join(err, allErr, listErr); err != nil || n != 0 || all != 0 || len(purposes) != 0 {
					k.Errorf("%q: %d and %d deleted, purposes %q, %v", bad, n, all, purposes, err)
				}
			}
		},
		"invalid: a credential that cannot be kept is refused with ErrInvalid, and nothing changes": func(k *kit) {
			u := k.add("alice")
			for what, change := range map[string]func(*storage.Credential){
				"no subject": func(t *storage.Credential) { t.Subject = "" }, "subject": func(t *storage.Credential) { t.Subject = "\x00" },
				"no purpose": func(t *storage.Credential) { t.Purpose = "" }, "purpose": func(t *storage.Credential) { t.Purpose = "Knox " }, "long data": func(t *storage.Credential) { t.Data = make([]byte, storage.MaxDataBytes+1) },
				"no id": func(t *storage.Credential) { t.ID = "" }, "id": func(t *storage.Credential) { t.ID = "a\xff" },
				"name": func(t *storage.Credential) { t.Name = "a\x00" }, "long name": func(t *storage.Credential) { t.Name = strings.Repeat("x", 256) },
				"empty scope": func(t *storage.Credential) { t.Scopes = []string{""} }, "scope with a blank": func(t *storage.Credential) { t.Scopes = []string{"a b"} },
				"scope": func(t *storage.Credential) { t.Scopes = []string{"ä"} }, "long scopes": func(t *storage.Credential) { t.Scopes = []string{strings.Repeat("x", storage.MaxScopesBytes)} },
			} {
				t := credential(u.ID, 0, 1)
				change(&t)
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.is(err, storage.ErrInvalid, what)
			}
			if left := k.credentialsLeft(u.ID); len(left) != 0 {
				k.Errorf("a refused token is there: %q", left)
			}
			t := credential(u.ID, 0, 1)
			t.Name = ""
			_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
			k.is(err, nil, "a device needs no name")
		},
		"stale: a credential of a subject that is absent, disabled or of another epoch gets ErrStale": func(k *kit) {
			u := k.add("alice")
			create := func(t storage.Credential) error {
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				return err
			}
			k.is(create(credential("nobody", 0, 1)), storage.ErrStale, "there is no such subject")
			k.is(create(credential(u.ID, 5, 1)), storage.ErrStale, "the epoch is another")
			k.must(k.s.SetActive(k.ctx, u.ID, false))
			k.is(create(credential(u.ID, k.epoch(u.ID), 1)), storage.ErrStale, "the subject is disabled")
			if left := k.credentialsLeft(u.ID); len(left) != 0 {
				k.Errorf("nothing was written, but %q", left)
			}
		},
		"taken: a digest, and an ID of the subject, is taken once; ErrConflict changes nothing": func(k *kit) {
			u, bob := k.add("alice"), k.add("bob")
			first := k.giveCredential(u.ID, 1)
			for what, change := range map[string]func(*storage.Credential){
				"both": func(*storage.Credential) {}, "digest": func(t *storage.Credential) { t.ID = "other" }, "id": func(t *storage.Credential) { t.Digest = storage.DigestOf("other") },
				"digest of another's": func(t *storage.Credential) { t.ID, t.Subject = "other", bob.ID },
			} {
				t := first
				t.Name = "changed"
				change(&t)
				_, err := k.s.CreateCredential(k.ctx, t, storage.CredentialLimit{Max: 2, Evict: true, Now: born})
				k.is(err, storage.ErrConflict, what)
			}
			got, _, err := k.s.CredentialByDigest(k.ctx, purpose, first.Digest)
			k.must(err)
			if left := k.credentialsLeft(u.ID); got.Name != first.Name || got.Subject != u.ID || !slices.Equal(left, []string{first.ID}) {
				k.Errorf("a refused token changed something: %+v, %q", got, left)
			}
		},
		"list: lists show the last created first, then by the bytes of the ID, up to the limit, and only the subject's": func(k *kit) {
			k.needs(CredentialList)
			u := k.add("alice")
			for _, n := range []int{3, 1, 2} {
				k.giveCredential(u.ID, n)
			}
			for _, id := range []string{"z", "B", "a", "ä"} {
				t := credential(u.ID, 0, 9)
				t.ID, t.Digest = id, storage.DigestOf(id)
				_, err := k.s.CreateCredential(k.ctx, t, anyNumber)
				k.must(err)
			}
			k.giveCredential(k.add("bob").ID, 1)
			want := []string{"B", "a", "z", "ä", "device-0003", "device-0002", "device-0001"}
			if got := k.credentialsLeft(u.ID); !slices.Equal(got, want) {
				k.Errorf("got %q, want %q: the last created first, then by the bytes of the ID", got, want)
			}
			for limit, n := range map[int]int{-1: 0, 0: 0, 2: 2, 100: 7} {
				if list, err := k.s.ListCredentials(k.ctx, purpose, u.ID, limit); err != nil || !slices.Equal(credentialIDs(list), want[:n]) && n > 0 || len(list) != n {
					k.Errorf("up to %d: %q, %v", limit, credentialIDs(list), err)
				}
			}
			k.counts(u.ID, 7)
			_, err := k.s.BumpEpoch(k.ctx, u.ID)
			k.must(err)
			k.counts(u.ID, 0)
		},
		"what_is_kept_is_a_copy: lists and data are not shared with the caller, neither those given nor those returned": func(k *kit) {
			u := k.add("alice")
			t := k.giveCredential(u.ID, 1)
			t.Scopes[0], t.Data[1] = "changed", 9
			for range 2 {
				got, _, err := k.s.CredentialByDigest(k.ctx, purpose, t.Digest)
				k.must(err)
				list, err := k.s.ListCredentials(k.ctx, purpose, u.ID, 1)
				k.must(err)
				if got.Scopes[0] != "read" || list[0].Scopes[0] != "read" || got.Data[1] != 1 || list[0].Data[1] != 1 {
					k.Error("a caller changed a stored token")
				}
				got.Scopes[0], list[0].Scopes[0], got.Data[1], list[0].Data[1] = "changed", "changed", 9, 9
			}
		},
	})
}
