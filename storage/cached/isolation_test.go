package cached_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	texts "github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// two are alice and bob, who have the same role, with a credential of each scheme, in front
// of a chain of all schemes.
type two struct {
	testing.TB
	store   cached.Base
	chain   authn.Chain
	headers map[string]map[string]http.Header // by scheme and name
}

func newTwo(t testing.TB, keeps bool) *two {
	db := memory.New(nil)
	ctx := t.Context()
	hasher := passwordtest.New(t, nil)
	hash, err := hasher.Hash(ctx, "", "wonderland-42")
	must(t, err)
	store := cached.Base(db)
	if keeps {
		store = over(t, db, &cached.Options{TTL: cached.MaxTTL})
	}
	out := &two{TB: t, store: store, headers: make(map[string]map[string]http.Header)}
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	secret, err := jose.NewSecret("k", jose.HS256, []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	signing, err := jose.NewKeySet(secret)
	must(t, err)
	tokens, err := token.New(store, ring, nil)
	must(t, err)
	devices, err := knox.New(store, &knox.Options{MinInterval: time.Hour})
	must(t, err)
	jwts, err := jwt.New("https://bench.example", "https://bench.example/api", signing, store, &jwt.Options{AccessTTL: time.Hour})
	must(t, err)
	site, err := csrf.New("https://bench.example", nil)
	must(t, err)
	browsers, err := session.New(store, site, &session.Options{Interval: time.Hour})
	must(t, err)
	grants, err := oauth2.New("https://bench.example/oauth2", store, nil)
	must(t, err)
	checker, err := password.New(store, hasher, nil)
	must(t, err)
	passwords, err := password.Cached(checker, nil)
	must(t, err)
	plain, err := basic.New(passwords, nil)
	must(t, err)
	out.chain = authn.Chain{browsers, jwts, grants, devices, tokens, plain}
	must(t, store.CreateClient(ctx, storage.Client{ID: "c", Method: "none"}))
	for _, name := range []string{"alice", "bob"} {
		add := func(scheme string, h http.Header) {
			if out.headers[scheme] == nil {
				out.headers[scheme] = make(map[string]http.Header)
			}
			out.headers[scheme][name] = h
		}
		bearer := func(keyword, text string) http.Header { return http.Header{"Authorization": {keyword + " " + text}} }
		id := "id-" + name
		must(t, store.CreateUser(ctx, storage.User{ID: id, Name: name, Active: true, Roles: []string{"staff"}, Password: hash}))
		must(t, store.SetSubjectPermissions(ctx, id, []string{"notes.view_note"}))
		text, err := tokens.GetOrCreate(ctx, id, 0)
		must(t, err)
		add("token", bearer("Token", text))
		text, _, err = devices.Issue(ctx, id, 0, knox.Token{Name: "phone"})
		must(t, err)
		add("knox", bearer("Knox", text))
		text, _, err = devices.Issue(ctx, id, 0, knox.Token{Name: "narrow", Scopes: []string{"read"}})
		must(t, err)
		add("knox with scopes", bearer("Knox", text))
		pair, err := jwts.Issue(ctx, id, 0, nil)
		must(t, err)
		add("jwt", bearer("Bearer", pair.Access))
		text = texts.MustFormat("vat").Encode(storage.DigestOf("access" + name))
		end := time.Now().Add(24 * time.Hour)
		must(t, store.CreateFamily(ctx, storage.Family{ID: "f" + name, Purpose: "bench", Subject: id, Client: "c", Expires: end}, storage.Refresh{Digest: storage.DigestOf("r" + name), Expires: end}))
		must(t, store.CreateAccess(ctx, storage.AccessToken{Digest: storage.DigestOf(text), ID: "a" + name, Family: "f" + name, Client: "c", Subject: id, Scopes: []string{"read"}, Expires: end}))
		add("oauth2", bearer("Bearer", text))
		r, w := httptest.NewRequest("POST", "https://bench.example/", nil), httptest.NewRecorder()
		must(t, browsers.Start(w, r, authn.Login{Subject: id, Name: name}))
		c := w.Result().Cookies()[0]
		add("session", http.Header{"Cookie": {c.Name + "=" + c.Value}})
		add("basic", bearer("Basic", base64.StdEncoding.EncodeToString([]byte(name+":wonderland-42"))))
	}
	must(t, store.CreateUser(ctx, storage.User{ID: "id-root", Name: "root", Active: true, Roles: []string{"admin"}, Password: hash}))
	must(t, store.SetSubjectPermissions(ctx, "id-root", []string{"*"}))
	return out
}

// forbidden are what alice and bob may not do, by any credential.
func forbidden() map[string]authz.Permission {
	roleOf := func(id authn.Identity) bool {
		u, ok := id.User.(*storage.Account)
		return ok && (slices.Contains(u.Roles, "admin") || u.ID == "id-root" || u.Name == "root")
	}
	return map[string]authz.Permission{
		"IsAdmin": authz.IsAdmin, "HasPerm": authz.HasPerm("notes.delete_note"),
		"HasScope": authz.And(authz.HasScope("admin"), authz.If(authn.Identity.Delegated)),
		"If": authz.If(func(id authn.Identity) bool {
			return slices.Contains(id.Roles, "admin") || id.Subject == "id-root" || roleOf(id)
		}),
		"On":     authz.On(func(id authn.Identity, _ string) bool { return roleOf(id) }),
		"grants": authz.ScopeGrants("admin", authz.IsAdmin),
	}
}

func (w *two) do(h http.Handler, header http.Header) int {
	r := httptest.NewRequest("GET", "https://bench.example/", nil)
	r.Header = header.Clone()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code
}

// guards checks that neither alice nor bob may do anything new.
func (w *two) guards(m *authn.Middleware, scheme, after string) {
	w.Helper()
	for what, p := range forbidden() {
		h := m.Handler(authz.HandleObject(authz.Require(p), func(*http.Request) (string, error) { return "object", nil }, func(http.ResponseWriter, *http.Request, string) {}))
		for name, header := range w.headers[scheme] {
			if code := w.do(h, header); code != 403 {
				w.Errorf("%s, after %s: %s gets %d from %s", scheme, after, name, code, what)
			}
		}
	}
	h := m.Handler(authz.Require(authz.IsAuthenticated).HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		u, ok := authn.UserFrom[*storage.Account](r.Context())
		if !ok || u.ID != id.Subject || !slices.Equal(u.RolesByScope(), []string{"staff"}) || id.Delegated() != (len(u.Roles) == 0) || !u.Active || len(id.Roles) > 0 && !slices.Equal(id.Roles, []string{"staff"}) || len(id.Scopes) > 0 && !slices.Equal(id.Scopes, []string{"read"}) {
			w.Errorf("%s, after %s: %+v, %+v", scheme, after, id, u)
		}
	}))
	for name, header := range w.headers[scheme] {
		if code := w.do(h, header); code != 200 {
			w.Errorf("%s, after %s: %s gets %d", scheme, after, name, code)
		}
	}
}

// edits are what a handler may do with what is its request's own.
var edits = map[string]func(*http.Request, *authn.Identity){
	"append": func(_ *http.Request, id *authn.Identity) {
		id.Roles, id.Scopes = append(id.Roles[:0], "admin"), append(id.Scopes[:0], "admin")
	},
	"append behind": func(_ *http.Request, id *authn.Identity) {
		id.Roles, id.Scopes = append(id.Roles, "admin"), append(id.Scopes, "admin")
	},
	"assign": func(_ *http.Request, id *authn.Identity) {
		for i := range id.Roles {
			id.Roles[i] = "admin"
		}
		for i := range id.Scopes {
			id.Scopes[i] = "admin"
		}
		id.Subject, id.Client = "id-root", ""
	},
	"delete": func(_ *http.Request, id *authn.Identity) {
		all := func(string) bool { return true }
		id.Roles, id.Scopes = slices.DeleteFunc(id.Roles, all), slices.DeleteFunc(id.Scopes, all)
	},
	"sort": func(_ *http.Request, id *authn.Identity) {
		slices.Sort(id.Roles)
		slices.Reverse(id.Scopes)
	},
	"account": func(r *http.Request, _ *authn.Identity) {
		u, _ := authn.UserFrom[*storage.Account](r.Context())
		u.Roles = append(u.Roles[:0], "admin")
		u.ID, u.Name, u.Active = "id-root", "root", false
		_, _ = u.HasPerm(r.Context(), "notes.delete_note")
	},
	"whole account": func(r *http.Request, _ *authn.Identity) {
		u, _ := authn.UserFrom[*storage.Account](r.Context())
		*u = *storage.User{ID: "id-root", Roles: []string{"admin"}, Active: true}.WithPermissions(nil)
	},
}

// What a handler does to its identity and its account stays in its request, and changes no
// decision of a later guard in the same request either. Over a store that keeps answers and
// over one that does not; 32 requests at once.
func TestIsolation_attack_255(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		w := newTwo(t, keeps)
		for scheme, headers := range w.headers {
			t.Run(fmt.Sprintf("edge_A10/keeps_%t/%s", keeps, scheme), func(t *testing.T) {
				w := &two{t, w.store, w.chain, w.headers}
				m := authn.New(w.chain, nil)
				for what, edit := range edits {
					var nested []http.Handler
					for _, p := range forbidden() {
						nested = append(nested, authz.Require(p).HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: a later guard is deceived", what) }))
					}
					byHand := func(r *http.Request) {
						if id := authn.FromContext(r.Context()); slices.Contains(id.Roles, "admin") || slices.Contains(id.Scopes, "admin") {
							t.Errorf("%s: a later FromContext sees it", what)
						}
					}
					h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						id := authn.FromContext(r.Context())
						edit(r, &id)
						byHand(r)
						for _, h := range nested {
							rec := httptest.NewRecorder()
							if h.ServeHTTP(rec, r); rec.Code != 403 {
								t.Errorf("%s: a later guard answers %d", what, rec.Code)
							}
						}
					}))
					for range 3 { // until it is kept
						w.do(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), headers["alice"])
						w.do(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), headers["bob"])
					}
					var wg sync.WaitGroup
					for i := range 32 {
						wg.Go(func() { w.do(h, headers[[]string{"alice", "bob"}[i%2]]) })
					}
					wg.Wait()
					w.guards(m, scheme, what)
				}
			})
		}
	}
}

// User and Credential may be shared by requests with one credential. A handler that writes
// to them all the same changes no decision, reaches no other account, and is found by
// Options.Edited.
func TestSharedEdits(t *testing.T) {
	w := newTwo(t, true)
	for scheme, headers := range w.headers {
		t.Run("edge_A10/"+scheme, func(t *testing.T) {
			w := &two{t, w.store, w.chain, w.headers}
			found := make(map[string]int)
			m := authn.New(w.chain, &authn.Options{Edited: func(_ *http.Request, field string) { found[field]++ }})
			look := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { authn.FromContext(r.Context()) }))
			for range 4 {
				w.do(look, headers["alice"])
				w.do(look, headers["bob"])
			}
			if len(found) != 0 {
				t.Fatalf("found %v where nobody wrote", found)
			}
			w.do(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				id := authn.FromContext(r.Context())
				switch c := id.Credential.(type) {
				case *storage.Credential:
					c.ID, c.Subject = "other", "id-root"
					if len(c.Scopes) > 0 {
						c.Scopes[0] = "admin"
					}
					c.Scopes = nil
				case *storage.StaticToken:
					c.Subject = "id-root"
					c.Salt[0]++
				case *storage.AccessToken:
					c.Scopes[0], c.Subject = "admin", "id-root"
					c.Resource = append(c.Resource, "x")
				case *jwt.Access:
					c.Subject, c.Roles = "id-root", append(c.Roles, "admin")
					c.Audience[0] = "x"
					copy(c.Claims.Raw(), bytes.Repeat([]byte("x"), 100))
				}
			})), headers["alice"])
			if scheme != "session" && scheme != "basic" && found["Credential"] != 1 {
				t.Errorf("found %v", found)
			}
			w.do(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				u := authn.FromContext(r.Context()).User.(*storage.Account)
				if len(u.Roles) > 0 { // not of a limited identity
					u.Roles[0] = "admin"
				}
				*u = *storage.User{ID: "id-root", Name: "root", Roles: []string{"admin"}, Active: true}.WithPermissions(nil)
			})), headers["alice"])
			if found["User"] != 1 {
				t.Errorf("found %v", found)
			}
			w.guards(authn.New(w.chain, nil), scheme, "edits of what is shared")
		})
	}
}

// A logout ends the credential that was presented, whatever a handler wrote into the record.
func TestSharedEditsAndLogout(t *testing.T) {
	t.Run("edge_A10/knox", func(t *testing.T) {
		w := newTwo(t, true)
		devices := w.chain[3].(*knox.Scheme)
		m := authn.New(w.chain, nil)
		header := w.headers["knox"]["alice"]
		for range 3 {
			w.do(m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if c, ok := authn.FromContext(r.Context()).Credential.(*storage.Credential); ok {
					c.ID = "other"
				}
			})), header)
		}
		r := httptest.NewRequest("POST", "https://bench.example/logout", nil)
		r.Header = header.Clone()
		rec := httptest.NewRecorder()
		devices.Logout().ServeHTTP(rec, r)
		if rec.Code != 204 {
			t.Errorf("logout: %d", rec.Code)
		}
		if code := w.do(m.Handler(http.NotFoundHandler()), header); code != 401 {
			t.Errorf("after the logout: %d", code)
		}
	})
}

// A permission of the application gets copies: what it writes reaches no other request.
func TestPermissionsWriteToCopies(t *testing.T) {
	w := newTwo(t, true)
	for scheme, headers := range w.headers {
		t.Run("edge_A10/"+scheme, func(t *testing.T) {
			w := &two{t, w.store, w.chain, w.headers}
			m := authn.New(w.chain, nil)
			spoil := func(id authn.Identity) bool {
				id.Roles, id.Scopes = append(id.Roles[:0], "admin"), append(id.Scopes[:0], "admin")
				u := id.User.(*storage.Account)
				u.Roles = append(u.Roles[:0], "admin")
				u.ID = "id-root"
				if c, ok := id.Credential.(*storage.Credential); ok && len(c.Scopes) > 0 {
					c.Scopes[0] = "admin"
				}
				return true
			}
			h := m.Handler(authz.HandleObject(authz.Require(authz.If(spoil), authz.On(func(id authn.Identity, _ string) bool { return spoil(id) }), spoiler(spoil), authz.Not(authz.IsAdmin)),
				func(*http.Request) (string, error) { return "", nil }, func(http.ResponseWriter, *http.Request, string) {}))
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() { w.do(h, headers[[]string{"alice", "bob"}[i%2]]) })
			}
			wg.Wait()
			w.guards(m, scheme, "permissions that write")
		})
	}
}

type spoiler func(authn.Identity) bool

func (s spoiler) Decide(a authz.Access) (authz.Decision, error) {
	s(a.Identity)
	return authz.Allow, nil
}

// What a lookup of the Store returns is the caller's own, also for those who waited for one
// that was under way.
func TestLookupsAreOwn(t *testing.T) {
	t.Run("edge_A10/lists", func(t *testing.T) {
		w := newTwo(t, true)
		ctx := t.Context()
		text := w.headers["token"]["alice"]["Authorization"][0][len("Token "):]
		narrow := w.headers["knox with scopes"]["alice"]["Authorization"][0][len("Knox "):]
		access := w.headers["oauth2"]["alice"]["Authorization"][0][len("Bearer "):]
		admins := func(what string, lists ...[]string) {
			for _, list := range lists {
				if slices.Contains(list, "admin") {
					t.Errorf("%s: another lookup's list was written to", what)
				}
				for i := range list {
					list[i] = "admin"
				}
				_ = append(list, "admin")
			}
		}
		for range 3 {
			var wg sync.WaitGroup
			w.store.(*cached.Store).FlushAll()
			for range 32 {
				wg.Go(func() {
					tok, u, err := w.store.StaticTokenByDigest(ctx, storage.DigestOf(text))
					must(t, err)
					admins("static", u.Roles)
					tok.Salt[0]++
					dev, u, err := w.store.CredentialByDigest(ctx, "knox", storage.DigestOf(narrow))
					must(t, err)
					admins("device", u.Roles, dev.Scopes)
					st, err := w.store.AccessByDigest(ctx, storage.DigestOf(access))
					must(t, err)
					admins("access", st.User.Roles, st.Access.Scopes)
					live, _, err := w.store.(*cached.Store).LiveUser(ctx, "id-alice")
					must(t, err)
					admins("live", live.Roles)
					names, err := w.store.SubjectPermissions(ctx, "id-alice")
					must(t, err)
					admins("permissions", names)
				})
			}
			wg.Wait()
		}
	})
	t.Run("edge_A10/what is too long to keep", func(t *testing.T) {
		db := memory.New(nil)
		s := over(t, db, nil)
		ctx := context.WithoutCancel(t.Context())
		long := make([]string, 0, 4)
		for range 4 {
			long = append(long, string(bytes.Repeat([]byte("r"), 1<<14)))
		}
		must(t, db.CreateUser(ctx, storage.User{ID: "a", Name: "a", Active: true, Roles: long}))
		must(t, db.PutStaticToken(ctx, storage.StaticToken{Digest: storage.DigestOf("x"), Subject: "a", Salt: []byte("salt"), KeyID: "k", Created: now}, storage.Digest{}))
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				_, u, err := s.StaticTokenByDigest(ctx, storage.DigestOf("x"))
				must(t, err)
				if u.Roles[0] == "admin" {
					t.Error("another lookup's list was written to")
				}
				u.Roles[0] = "admin"
			})
		}
		wg.Wait()
	})
}
