package storagetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// A client may have been disabled because its secret was stolen. Enabling it again must not restore
// what it had.
func disabledForGood(k *kit) {
	k.needs(AccessTokens, AuthRequests, Codes, Consents, DeviceGrants, Families)
	u := k.add("alice")
	consent := func(client string) storage.Consent {
		return storage.Consent{Subject: u.ID, Client: client, Scopes: []string{"a"}, Created: born, Expires: born.Add(time.Hour)}
	}
	fill := func(id string, n int) {
		k.Helper()
		f := family(u.ID, 0, n)
		c, err := k.s.ClientByID(k.ctx, id)
		k.must(err)
		own := access(id, "", "", -n)
		f.Client, f.ClientRevoked, own.ClientRevoked = id, c.Revoked, c.Revoked
		k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
		k.must(k.s.CreateAccess(k.ctx, access(id, u.ID, f.ID, n)))
		k.must(k.s.CreateAccess(k.ctx, own))
		k.must(k.s.CreateCode(k.ctx, code(id, u.ID, n)))
		k.must(k.s.CreateAuthRequest(k.ctx, requestOf(id, u.ID, n)))
		k.must(k.s.CreateDeviceGrant(k.ctx, deviceGrant(id, n)))
		k.must(k.s.PutConsent(k.ctx, consent(id)))
	}
	// has checks whether the client has all of its records, or none.
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
	off := client("off") // a client that was created disabled
	off.Disabled = true
	k.must(k.s.CreateClient(k.ctx, off))
	k.must(k.s.CreateAuthRequest(k.ctx, requestOf("off", u.ID, 4)))
	set("off", false)
	_, err := k.s.AuthRequestByDigest(k.ctx, requestOf("off", u.ID, 4).Digest)
	k.is(err, storage.ErrNotFound, "a request from when it was disabled")
}

// A request that was authenticated before a client was disabled gets nothing after the client was
// enabled again.
func disabledWithinARequest(k *kit) {
	k.needs(AccessTokens, Families)
	u := k.add("alice")
	k.must(k.s.CreateClient(k.ctx, client("c")))
	create := func(n int, authenticated storage.Client) (own, grant error) {
		t, f := access("c", "", "", n), family(u.ID, 0, n)
		t.ClientRevoked = authenticated.Revoked
		f.Client, f.ClientRevoked = "c", authenticated.Revoked
		return k.s.CreateAccess(k.ctx, t), k.s.CreateFamily(k.ctx, f, refresh(f, 0))
	}
	before, err := k.s.ClientByID(k.ctx, "c")
	k.must(err)
	k.must(errors.Join(k.s.SetClientDisabled(k.ctx, "c", true), k.s.SetClientDisabled(k.ctx, "c", false)))
	own, grant := create(1, before)
	k.is(own, storage.ErrStale, "a token of a request from before")
	k.is(grant, storage.ErrStale, "a family of a request from before")
	_, err = k.s.AccessByDigest(k.ctx, access("c", "", "", 1).Digest)
	k.is(err, storage.ErrNotFound, "the token of a request from before")
	after, err := k.s.ClientByID(k.ctx, "c")
	k.must(err)
	own, grant = create(2, after)
	k.must(errors.Join(own, grant))
	if st, err := k.s.AccessByDigest(k.ctx, access("c", "", "", 2).Digest); err != nil || !st.Access.ClientRevoked.IsZero() {
		k.Errorf("got %+v, %v: the condition is not kept", st.Access, err)
	}
	if f, err := k.s.FamilyByID(k.ctx, "jwt", u.ID, family(u.ID, 0, 2).ID); err != nil || !f.ClientRevoked.IsZero() {
		k.Errorf("got %+v, %v: the condition is not kept", f, err)
	}
}

// Disabling a client does not undo another change of it, and no other change enables it.
func disabledAndChanged(k *kit) {
	k.needs(Transactor)
	k.is(k.s.SetClientDisabled(k.ctx, "none", true), storage.ErrNotFound, "there is none")
	k.is(k.s.SetClientDisabled(k.ctx, "\x00", true), storage.ErrNotFound, "there can be none")
	for n := range 3 {
		id := fmt.Sprint("c", n)
		k.must(k.s.CreateClient(k.ctx, client(id)))
		errs := race(func(i int) error {
			if i == together/2 {
				return k.s.SetClientDisabled(k.ctx, id, true)
			}
			return storage.ChangeClient(k.ctx, k.s, id, func(c *storage.Client) error {
				c.Scopes = append(c.Scopes, fmt.Sprint("s", i))
				return nil
			})
		})
		done := 0
		for i, err := range errs {
			switch {
			case err == nil && i != together/2:
				done++
			case err != nil && (i == together/2 || errors.Is(err, storage.ErrNotFound)):
				k.Errorf("%d: %v", i, err)
			}
		}
		if c, err := k.s.ClientByID(k.ctx, id); err != nil || !c.Disabled || len(c.Scopes) != done || done == 0 {
			k.Errorf("disabled %t with %d of %d changes, %v", c.Disabled, len(c.Scopes), done, err)
		}
		k.must(k.s.SetClientDisabled(k.ctx, id, false))
		if c, err := k.s.ClientByID(k.ctx, id); err != nil || c.Disabled || len(c.Scopes) != done {
			k.Errorf("got %+v, %v", c, err)
		}
		failed := errors.New("no")
		k.is(storage.ChangeClient(k.ctx, k.s, id, func(c *storage.Client) error { c.Name = "other"; return failed }), failed, "change fails")
		if c, err := k.s.ClientByID(k.ctx, id); err != nil || c.Name != "The "+id {
			k.Errorf("got %+v, %v: a change that failed is stored", c, err)
		}
	}
	k.is(storage.ChangeClient(k.ctx, k.s, "none", func(*storage.Client) error { return nil }), storage.ErrNotFound, "there is none")
}

func disabledBeside(k *kit) {
	k.needs(AccessTokens)
	for range 5 {
		k.must(k.s.CreateClient(k.ctx, client("c")))
		for i := range together { // changes that begin before the client is disabled
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
