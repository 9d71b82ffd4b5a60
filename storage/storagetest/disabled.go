package storagetest

import (
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// A client that is enabled again may be one whose secret a thief had.
func disabledForGood(k *kit) {
	k.needs(AccessTokens, AuthRequests, Codes, Consents, DeviceGrants, Families)
	u := k.add("alice")
	consent := func(client string) storage.Consent {
		return storage.Consent{Subject: u.ID, Client: client, Scopes: []string{"a"}, Created: born, Expires: born.Add(time.Hour)}
	}
	fill := func(id string, n int) {
		k.Helper()
		f := family(u.ID, 0, n)
		f.Client = id
		k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
		k.must(k.s.CreateAccess(k.ctx, access(id, u.ID, f.ID, n)))
		k.must(k.s.CreateAccess(k.ctx, access(id, "", "", -n)))
		k.must(k.s.CreateCode(k.ctx, code(id, u.ID, n)))
		k.must(k.s.CreateAuthRequest(k.ctx, requestOf(id, u.ID, n)))
		k.must(k.s.CreateDeviceGrant(k.ctx, deviceGrant(id, n)))
		k.must(k.s.PutConsent(k.ctx, consent(id)))
	}
	// has reports what the client has: all of it, or nothing.
	has := func(id string, n int) bool {
		k.Helper()
		found, absent := "", ""
		note := func(what string, err error) {
			switch {
			case err == nil:
				found += " " + what
			case errors.Is(err, storage.ErrNotFound):
				absent += " " + what
			default:
				k.Fatal(err)
			}
		}
		f := family(u.ID, 0, n)
		_, err := k.s.RefreshByDigest(k.ctx, refresh(f, 0).Digest)
		note("refresh token", err)
		_, err = k.s.AccessByDigest(k.ctx, access(id, u.ID, f.ID, n).Digest)
		note("access token", err)
		_, err = k.s.AccessByDigest(k.ctx, access(id, "", "", -n).Digest)
		note("own access token", err)
		_, _, err = k.s.CodeByDigest(k.ctx, code(id, u.ID, n).Digest)
		note("code", err)
		_, err = k.s.AuthRequestByDigest(k.ctx, requestOf(id, u.ID, n).Digest)
		note("request", err)
		_, err = k.s.DeviceGrantByUserCode(k.ctx, deviceGrant(id, n).UserCode)
		note("device grant", err)
		_, err = k.s.ConsentOf(k.ctx, u.ID, id)
		note("consent", err)
		if found != "" && absent != "" {
			k.Errorf("%s has%s, but not%s", id, found, absent)
		}
		return found != ""
	}
	epoch := func(id string) int64 {
		k.Helper()
		c, err := k.s.ClientByID(k.ctx, id)
		k.must(err)
		if _, st, err := k.s.SignedAccessStatus(k.ctx, id, "", "", storage.BlockKeys{}); err != nil || !c.Disabled && (st.Blocked || st.Epoch != c.Epoch()) {
			k.Errorf("signed tokens: %+v, %v, want epoch %d", st, err, c.Epoch())
		}
		return c.Epoch()
	}
	set := func(id string, disabled bool) {
		k.Helper()
		c := client(id)
		c.Disabled = disabled
		k.must(k.s.UpdateClient(k.ctx, c))
	}
	for _, id := range []string{"c", "other"} {
		k.must(k.s.CreateClient(k.ctx, client(id)))
	}
	fill("c", 1)
	fill("other", 2)
	first := epoch("c")
	set("c", false)
	if !has("c", 1) || epoch("c") != first {
		k.Error("an update that disables nothing revokes something")
	}
	set("c", true)
	set("c", false)
	second := epoch("c")
	if has("c", 1) || second <= first {
		k.Errorf("a client that was disabled has something back; epochs %d, %d", first, second)
	}
	fill("c", 3)
	set("c", false)
	if !has("c", 3) || epoch("c") != second || !has("other", 2) || epoch("other") != first {
		k.Error("what it got since, or another client, lost something")
	}
	set("c", true)
	set("c", true)
	if set("c", false); has("c", 3) || epoch("c") <= second {
		k.Errorf("a client that was disabled again has something back; epochs %d, %d", second, epoch("c"))
	}
	off := client("off") // and one that was created so
	off.Disabled = true
	k.must(k.s.CreateClient(k.ctx, off))
	k.must(k.s.CreateAuthRequest(k.ctx, requestOf("off", u.ID, 4)))
	set("off", false)
	_, err := k.s.AuthRequestByDigest(k.ctx, requestOf("off", u.ID, 4).Digest)
	k.is(err, storage.ErrNotFound, "a request from when it was disabled")
}

func disabledBeside(k *kit) {
	k.needs(AccessTokens)
	for range 5 {
		k.must(k.s.CreateClient(k.ctx, client("c")))
		for i := range together { // before
			k.must(k.s.CreateAccess(k.ctx, access("c", "", "", i)))
		}
		off := client("c")
		off.Disabled = true
		k.must(k.s.UpdateClient(k.ctx, off))
		for i, err := range race(func(i int) error {
			switch {
			case i == together/2:
				return k.s.UpdateClient(k.ctx, client("c"))
			case i%16 == 7:
				return k.s.UpdateClient(k.ctx, off)
			}
			return k.s.CreateAccess(k.ctx, access("c", "", "", together+i))
		}) {
			if err != nil && (i == together/2 || i%16 == 7 || !errors.Is(err, storage.ErrStale)) {
				k.Errorf("%d: %v", i, err)
			}
		}
		k.must(k.s.UpdateClient(k.ctx, off))
		k.must(k.s.UpdateClient(k.ctx, client("c")))
		for i := range 2 * together {
			_, err := k.s.AccessByDigest(k.ctx, access("c", "", "", i).Digest)
			k.is(err, storage.ErrNotFound, "it was created before the client was disabled")
		}
		k.must(k.s.DeleteClient(k.ctx, "c"))
	}
}
