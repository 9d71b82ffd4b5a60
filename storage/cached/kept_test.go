package cached_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// ours is a scheme of somebody else that lets its identities be kept: one method and one line.
type ours struct {
	store storage.Credentials
	asked atomic.Int64
}

func (o *ours) Name() string      { return "ours" }
func (o *ours) Headers() []string { return []string{"Authorization"} }

func (o *ours) Challenge(*http.Request, error) string { return "ApiKey" }

func (o *ours) Presented(r *http.Request) (text string, guessable bool) {
	return authn.RawCredentials(r, "ApiKey"), false
}

func (o *ours) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "ApiKey", "key")
	if err != nil {
		return authn.Identity{}, err
	}
	o.asked.Add(1)
	t, u, err := o.store.CredentialByDigest(r.Context(), "ours", storage.DigestOf(text))
	if err != nil || t.Epoch != u.Epoch || !u.Active {
		return authn.Identity{}, authn.AuthenticationFailed("Invalid key.")
	}
	id := authn.Identity{Subject: u.ID, Scheme: "ours", Roles: u.Roles, Scopes: t.Scopes, User: u.WithPermissions(nil), Credential: &t, Expires: t.Expires}
	return id.Kept(o, authn.Keep{Lease: u.LeaseOf(o.store)}), nil
}

// A scheme of somebody else is called once for a credential in use, and each of its ends is seen
// by the next request, with 64 at once.
func TestKeptThirdParty(t *testing.T) {
	each(t, func(t *testing.T, base cached.Base) {
		w := newWorld(t, base, nil)
		o := &ours{store: w.s}
		h := authn.New(authn.Chain{o}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).
			Handler(authz.Require(authz.IsAuthenticated).HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		n := 0
		give := func() (id, text, name string, c credential) {
			n++
			id = fmt.Sprint("user", n)
			text, name = "key-of-"+id, "name of "+id
			w.add(id)
			_, err := w.s.CreateCredential(w.ctx, storage.Credential{Purpose: "ours", Digest: storage.DigestOf(text), ID: name, Subject: id, Scopes: []string{"read"}, Created: w.clock.now()}, storage.CredentialLimit{})
			w.must(err)
			return id, text, name, credential{name: "ours", good: func(context.Context, *cached.Store) (bool, error) {
				r, rec := httptest.NewRequest("POST", "/", nil), httptest.NewRecorder()
				r.Header.Set("Authorization", "ApiKey "+text)
				h.ServeHTTP(rec, r)
				if rec.Code != 200 && rec.Code != 401 {
					return false, fmt.Errorf("status %d", rec.Code)
				}
				return rec.Code == 200, nil
			}}
		}
		_, _, _, c := give()
		for range 10 {
			w.is(c, true, "in use")
		}
		if n := o.asked.Load(); n > 2 { // the first answer of a store is not leased
			t.Errorf("called %d times", n)
		}
		t.Run("attack_042_third_party", func(t *testing.T) {
			w.TB = t
			id, _, name, c := give()
			w.against("revoke", func(s *cached.Store) error { return s.DeleteCredential(w.ctx, "ours", id, name) }, c)
			for what := range everywhere(w.ctx, "", 0) {
				id, _, _, c := give()
				w.against(what, everywhere(w.ctx, id, 0)[what], c)
			}
		})
	})
}

// Of an account that is deleted nothing is accepted, of no scheme.
func TestKeptAndDeletedAccount(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	s := newSite(w, siteOptions{})
	w.add("alice")
	list := s.logIn("alice")
	for _, c := range list {
		s.warm(c)
		if !s.shared(c.header) {
			t.Fatalf("%s: not kept", c.name)
		}
	}
	w.must(w.s.DeleteUser(w.ctx, "alice"))
	w.add("alice") // a new account of that ID, against the rule: nothing of the old one fits it
	for _, c := range list {
		for range 3 {
			s.is(c.credential, false, "the account was deleted")
		}
	}
}
