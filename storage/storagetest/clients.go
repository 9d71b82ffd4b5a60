package storagetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func client(id string) storage.Client {
	return storage.Client{ID: id, Name: "The " + id, Method: "client_secret_basic", Created: born}
}

func clients(t *testing.T, s *suite) {
	ids := func(k *kit, after string, limit int) (ids []string) {
		k.Helper()
		list, err := k.s.ListClients(k.ctx, after, limit)
		k.must(err)
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		return ids
	}
	s.rules(t, map[string]func(*kit){
		"round_trip: a client comes back as it was stored; its ID is unique and compared byte for byte": func(k *kit) {
			want := storage.Client{
				ID: "c", Name: "Ünïcode", Method: "private_key_jwt", Secret: storage.DigestOf("secret"), Registration: storage.DigestOf("token"), Keys: []byte{0, 1, 0xff}, Native: true,
				RedirectURIs: []string{"https://a.example/cb?x=1", "http://127.0.0.1/cb"}, LogoutURIs: []string{"https://a.example/bye"},
				Grants: []string{"authorization_code", "refresh_token"}, Scopes: []string{"b", "a"}, Default: []string{"a"}, Resources: []string{"https://api.example", "https://a.example"},
				RequirePushed: true, AccessTTL: time.Minute, RefreshTTL: 1500 * time.Microsecond, AbsoluteTTL: 400 * 24 * time.Hour,
				Document: storage.ClientDocument{Fetched: born, Fresh: born.Add(time.Hour), Changed: born.Add(-time.Hour)}, Serves: []string{"https://b.example", "https://c.example"},
				Trusted: true, Disabled: true, Created: born,
			}
			given := want
			given.Created = born.In(time.FixedZone("", 3600))
			k.must(k.s.CreateClient(k.ctx, given))
			if got, err := k.s.ClientByID(k.ctx, "c"); err != nil || !reflect.DeepEqual(got, want) {
				k.Errorf("got %+v, %v", got, err)
			}
			k.must(k.s.CreateClient(k.ctx, storage.Client{ID: "d", Method: "none", Created: born}))
			if got, err := k.s.ClientByID(k.ctx, "d"); err != nil || !got.Public() || got.Name != "" || len(got.RedirectURIs)+len(got.Keys) != 0 || !got.Secret.IsZero() {
				k.Errorf("got %+v, %v", got, err)
			}
			pinned := storage.Client{ID: "https://app.example/c", Method: "private_key_jwt", KeysURI: "https://app.example/keys", Document: storage.ClientDocument{Pinned: true}, Created: born}
			k.must(k.s.CreateClient(k.ctx, pinned))
			if got, err := k.s.ClientByID(k.ctx, pinned.ID); err != nil || got.FromDocument() || !reflect.DeepEqual(got, pinned) {
				k.Errorf("got %+v, %v", got, err)
			}
			k.is(k.s.CreateClient(k.ctx, client("c")), storage.ErrConflict, "the ID is taken")
			_, err := k.s.ClientByID(k.ctx, "C")
			k.is(err, storage.ErrNotFound, "another ID")
		},
		"update: UpdateClient replaces everything except Created": func(k *kit) {
			k.must(k.s.CreateClient(k.ctx, client("c")))
			next := storage.Client{ID: "c", Name: "new", Method: "client_secret_post", Password: "hash", Scopes: []string{"x"}, Created: born.Add(time.Hour)}
			k.must(k.s.UpdateClient(k.ctx, next))
			next.Created = born
			if got, err := k.s.ClientByID(k.ctx, "c"); err != nil || !reflect.DeepEqual(got, next) {
				k.Errorf("got %+v, %v: all but Created is replaced", got, err)
			}
			k.is(k.s.UpdateClient(k.ctx, client("d")), storage.ErrNotFound, "there is none")
			if got := ids(k, "", 10); !slices.Equal(got, []string{"c"}) {
				k.Errorf("%q: an update makes none", got)
			}
		},
		"read_to_be_changed: a client that was read in a transaction stays as it is until the transaction ends": func(k *kit) {
			k.needs(Transactor)
			k.must(k.s.CreateClient(k.ctx, client("c")))
			disabled := make(chan error, 1)
			k.must(k.s.InTx(k.ctx, func(ctx context.Context) error {
				c, err := k.s.ClientByID(ctx, "c")
				k.must(err)
				other := client("c")
				other.Disabled = true
				go func() { disabled <- k.s.UpdateClient(k.ctx, other) }()
				select { // the other change waits for the transaction
				case err := <-disabled:
					disabled <- err
				case <-time.After(100 * time.Millisecond):
				}
				mine := c
				mine.Name = "new"
				return k.s.UpdateClient(ctx, mine)
			}))
			k.must(<-disabled)
			if c, err := k.s.ClientByID(k.ctx, "c"); err != nil || !c.Disabled {
				k.Errorf("got %+v, %v: a client that was disabled meanwhile is not any more", c, err)
			}
		},
		"list: pages of clients follow each other in the order of the IDs' bytes": func(k *kit) {
			for _, id := range []string{"b", "a", "B", "c"} {
				k.must(k.s.CreateClient(k.ctx, client(id)))
			}
			for limit, want := range map[int]string{-1: "", 0: "", 2: "B a", 9: "B a b c"} {
				if got := strings.Join(ids(k, "", limit), " "); got != want {
					k.Errorf("up to %d: %q, want %q", limit, got, want)
				}
			}
			if got := ids(k, "a", 9); !slices.Equal(got, []string{"b", "c"}) {
				k.Errorf("after a: %q", got)
			}
		},
		"attack_152_sql_in_pages: text that looks like SQL is a text": func(k *kit) {
			k.add("alice")
			for _, id := range []string{"a", "b"} {
				k.must(k.s.CreateClient(k.ctx, client(id)))
			}
			for _, after := range append([]string{"zz'; DROP TABLE vestibule_clients; --", "zz' OR '1'='1", `zz" OR 1=1`, "zz{\"$gt\":\"\"}"}, odd...) {
				for _, id := range ids(k, after, 9) {
					if id <= after {
						k.Errorf("after %q: %q", after, id)
					}
				}
				list, err := k.s.ListUsers(k.ctx, after, 9)
				if err != nil || len(list) > 0 && list[0].Name <= after {
					k.Errorf("after %q: %+v, %v", after, list, err)
				}
			}
			if got := ids(k, "", 9); !slices.Equal(got, []string{"a", "b"}) {
				k.Errorf("%q are left", got)
			}
		},
		"invalid: a client that cannot be kept is refused with ErrInvalid, and nothing changes": func(k *kit) {
			for what, change := range map[string]func(*storage.Client){
				"id": func(c *storage.Client) { c.ID = "" }, "NUL": func(c *storage.Client) { c.ID = "a\x00" }, "name": func(c *storage.Client) { c.Name = "\xff" },
				"method": func(c *storage.Client) { c.Method = "" }, "blank": func(c *storage.Client) { c.Scopes = []string{"a b"} }, "empty": func(c *storage.Client) { c.RedirectURIs = []string{""} },
				"long":     func(c *storage.Client) { c.Keys = make([]byte, storage.MaxClientBytes+1) },
				"lifetime": func(c *storage.Client) { c.RefreshTTL = -1 }, "keys twice": func(c *storage.Client) { c.Keys, c.KeysURI = []byte("{}"), "https://a.example/keys" },
				"key URI": func(c *storage.Client) { c.KeysURI = "https://a.example/k eys" }, "pinned": func(c *storage.Client) { c.Document = storage.ClientDocument{Fetched: born, Pinned: true} },
				"two": func(c *storage.Client) { c.Secret, c.Password = storage.DigestOf("x"), "y" },
			} {
				c := client("c")
				change(&c)
				k.is(k.s.CreateClient(k.ctx, c), storage.ErrInvalid, what)
				k.is(k.s.UpdateClient(k.ctx, c), storage.ErrInvalid, what)
			}
			for _, bad := range []string{"", "a\x00", "\xff", strings.Repeat("a", 300)} {
				_, err := k.s.ClientByID(k.ctx, bad)
				k.is(err, storage.ErrNotFound, "no ID")
				k.is(k.s.DeleteClient(k.ctx, bad), storage.ErrNotFound, "no ID")
			}
		},
		"attack_378_disabled_for_good: nothing that a client had before it was disabled comes back when it is enabled":                        disabledForGood,
		"attack_378_disabled_beside: no token outlives a client that is disabled, whatever is created, disabled and enabled at the same time": disabledBeside,
		"attack_403_disabled_within_a_request: nothing is issued for what was authenticated before the client was disabled and enabled again": disabledWithinARequest,
		"attack_404_disabled_and_changed: disabling a client loses no other change, and no other change enables it":                           disabledAndChanged,
		"delete_takes_all_of_it: DeleteClient deletes the client's codes, tokens, families and requests": func(k *kit) {
			k.needs(AccessTokens, AuthRequests, Codes)
			k.owns(Families)
			u := k.add("alice")
			var kept storage.AccessToken
			for i, id := range []string{"gone", "stays"} {
				k.must(k.s.CreateClient(k.ctx, client(id)))
				f := family(u.ID, 0, i)
				f.Client = id
				k.must(k.s.CreateFamily(k.ctx, f, refresh(f, 0)))
				k.must(k.s.CreateCode(k.ctx, code(id, u.ID, i)))
				k.must(k.s.CreateAuthRequest(k.ctx, pushed(id)))
				kept = access(id, u.ID, f.ID, i)
				k.must(k.s.CreateAccess(k.ctx, kept))
			}
			k.must(k.s.DeleteClient(k.ctx, "gone"))
			k.is(k.s.DeleteClient(k.ctx, "gone"), storage.ErrNotFound, "deleted already")
			k.must(k.s.CreateClient(k.ctx, client("gone"))) // another client with that ID
			_, _, err := k.s.CodeByDigest(k.ctx, code("gone", u.ID, 0).Digest)
			k.is(err, storage.ErrNotFound, "its codes are gone")
			_, err = k.s.AuthRequestByDigest(k.ctx, pushed("gone").Digest)
			k.is(err, storage.ErrNotFound, "its requests are gone")
			_, err = k.s.AuthRequestByDigest(k.ctx, pushed("stays").Digest)
			k.must(err)
			_, err = k.s.AccessByDigest(k.ctx, access("gone", u.ID, "", 0).Digest)
			k.is(err, storage.ErrNotFound, "its access tokens are gone")
			if left := k.familiesLeft(u.ID); len(left) != 1 {
				k.Errorf("families %q: its families are gone", left)
			}
			if st, err := k.s.AccessByDigest(k.ctx, kept.Digest); err != nil || st.Ended {
				k.Errorf("another's token: %+v, %v", st, err)
			}
		},
	})
}

func pushed(client string) storage.AuthRequest {
	return storage.AuthRequest{Digest: storage.DigestOf("pushed by " + client), Purpose: "pushed", Client: client, Created: born, Expires: born.Add(time.Minute)}
}

func code(client, subject string, n int) storage.Code {
	return storage.Code{
		Digest: storage.DigestOf(fmt.Sprint("code", client, subject, n)), Client: client, Subject: subject,
		Created: born, Expires: born.Add(time.Minute), Kept: born.Add(time.Hour),
	}
}

// access returns a token of a user's family, or of the client itself if subject and family are "".
func access(client, subject, family string, n int) storage.AccessToken {
	return storage.AccessToken{
		Digest: storage.DigestOf(fmt.Sprint("access", client, n)), ID: fmt.Sprintf("access-%s-%d", client, n), Client: client, Subject: subject, Family: family,
		Created: born, Expires: born.Add(time.Hour),
	}
}
