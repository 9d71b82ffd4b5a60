package authz_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// ownAccount is an application's account type that embeds storage.Account.
type ownAccount struct {
	*storage.Account
	Suspended bool
}

// HasPerm denies every permission to a suspended account.
func (a *ownAccount) HasPerm(ctx context.Context, name string) (bool, error) {
	if a.Suspended {
		return false, nil
	}
	return a.Account.HasPerm(ctx, name)
}

// ownRecord is an application's record that embeds a record of package storage.
type ownRecord struct {
	*storage.Credential
	Frozen bool
}

// TestEmbeddingTypes checks that promoted optional methods do not bypass what a type overrides when
// it embeds an account, a record or a store of this module.
func TestEmbeddingTypes(t *testing.T) {
	ctx := t.Context()
	db := memory.New(nil)
	if err := db.CreateUser(ctx, storage.User{ID: "1", Name: "alice", Active: true}); err != nil {
		t.Fatal(err)
	}
	if err := db.SetSubjectPermissions(ctx, "1", []string{"notes.delete"}); err != nil {
		t.Fatal(err)
	}
	caching, err := cached.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	load := func(store storage.Users) storage.User {
		u, err := store.UserByID(ctx, "1")
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	status := func(id authn.Identity, p authz.Permission) int {
		m := authn.New(authn.Func(func(*http.Request) (authn.Identity, error) { return id, nil }), nil)
		rec := httptest.NewRecorder()
		m.Handler(authz.Require(p).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if a, ok := authn.UserFrom[*ownAccount](r.Context()); id.Credential != nil && (!ok || a == nil) {
				t.Error("UserFrom does not have the application's account")
			}
		})).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		return rec.Code
	}
	for _, suspended := range []bool{true, false} {
		want := map[bool]int{true: 403, false: 200}[suspended]
		id := authn.Identity{Subject: "1", Scheme: "x", User: &ownAccount{load(db).WithPermissions(db), suspended}, Credential: &ownRecord{&storage.Credential{}, suspended}}
		name := map[bool]string{true: "attack_286_suspended/", false: "not_suspended/"}[suspended]
		t.Run(name+"account", func(t *testing.T) {
			if got := status(id, authz.HasPerm("notes.delete")); got != want {
				t.Errorf("HasPerm: %d, want %d", got, want)
			}
		})
		t.Run(name+"condition", func(t *testing.T) {
			if got := status(id, authz.If(func(id authn.Identity) bool { a, ok := id.User.(*ownAccount); return ok && !a.Suspended })); got != want {
				t.Errorf("If: %d, want %d", got, want)
			}
		})
		t.Run(name+"record", func(t *testing.T) {
			if got := status(id, authz.If(func(id authn.Identity) bool { r, ok := id.Credential.(*ownRecord); return ok && !r.Frozen })); got != want {
				t.Errorf("If: %d, want %d", got, want)
			}
		})
		t.Run(name+"scoped", func(t *testing.T) {
			id := id
			id.Scopes = []string{"notes"}
			id.User = &ownAccount{load(db).WithScopedPermissions(db), suspended}
			if got := status(id, authz.ScopeGrants("notes", authz.HasPerm("notes.delete"))); suspended && got != 403 {
				t.Errorf("ScopeGrants: %d, want 403", got)
			}
		})
		t.Run(name+"store", func(t *testing.T) {
			var store storage.Permissions = caching
			if suspended {
				store = frozen{caching}
			}
			id := authn.Identity{Subject: "1", Scheme: "x", User: load(caching).WithPermissions(store)}
			for range 2 {
				if got := status(id, authz.HasPerm("notes.delete")); got != want {
					t.Errorf("HasPerm: %d, want %d", got, want)
				}
			}
		})
	}
}

// frozen is an application's store in front of the cache; it gives no account any permission.
type frozen struct{ *cached.Store }

func (frozen) SubjectPermissions(context.Context, string) ([]string, error) { return nil, nil }
