package authz_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tokens are credentials of one account, by scheme, each with the scope "notes".
type tokens struct {
	store   storagetest.Store
	chain   authn.Chain
	subject string
	limited map[string]string // Authorization
	full    map[string]string
}

func newTokens(t *testing.T, s storagetest.Store) *tokens {
	t.Helper()
	ctx := t.Context()
	must(t, s.CreateUser(ctx, storage.User{ID: "alice", Name: "alice", Active: true, Created: time.Now()}))
	must(t, s.SetSubjectPermissions(ctx, "alice", []string{"notes.delete_note"}))
	quiet := slog.New(slog.DiscardHandler)
	x := &tokens{store: s, subject: "alice", limited: map[string]string{}, full: map[string]string{}}

	devices, err := knox.New(s, &knox.Options{Logger: quiet})
	must(t, err)
	text, _, err := devices.Issue(ctx, "alice", 0, knox.Token{Scopes: []string{"notes"}})
	must(t, err)
	x.limited["knox"] = "Knox " + text
	text, _, err = devices.Issue(ctx, "alice", 0, knox.Token{})
	must(t, err)
	x.full["knox"] = "Knox " + text

	key, err := jose.Generate(jose.EdDSA)
	must(t, err)
	ring, err := jose.NewKeySet(key)
	must(t, err)
	jwts, err := jwt.New("https://app.example", "https://api.example", ring, s, &jwt.Options{Logger: quiet})
	must(t, err)
	pair, err := jwts.Issue(ctx, "alice", 0, &jwt.Grant{Scopes: []string{"notes"}})
	must(t, err)
	x.limited["jwt"] = "Bearer " + pair.Access
	pair, err = jwts.Issue(ctx, "alice", 0, nil)
	must(t, err)
	x.full["jwt"] = "Bearer " + pair.Access

	grants, err := oauth2.New("https://auth.example", s, nil)
	must(t, err)
	must(t, s.CreateClient(ctx, storage.Client{ID: "app", Method: oauth2.None, RedirectURIs: []string{"https://app.example/cb"}, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"notes"}, Created: time.Now()}))
	access := credential.MustFormat("vat").Encode([32]byte{1, 2, 3})
	must(t, s.CreateFamily(ctx, storage.Family{ID: "f", Purpose: "oauth2", Subject: "alice", Client: "app", Scopes: []string{"notes"}, Created: time.Now(), Expires: time.Now().Add(time.Hour)}, storage.Refresh{Digest: storage.DigestOf("r"), Created: time.Now(), Expires: time.Now().Add(time.Hour)}))
	must(t, s.CreateAccess(ctx, storage.AccessToken{Digest: storage.DigestOf(access), ID: "a", Family: "f", Client: "app", Subject: "alice", Scopes: []string{"notes"}, Created: time.Now(), Expires: time.Now().Add(time.Hour)}))
	x.limited["oauth2"] = "Bearer " + access
	x.chain = authn.Chain{grants, jwts, devices}
	return x
}

func (x *tokens) ask(m http.Handler, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

func (x *tokens) mux(ps ...authz.Permission) *authz.Mux {
	m := authz.NewMux(authn.New(x.chain, &authn.Options{Logger: slog.New(slog.DiscardHandler)}))
	m.HandleFunc("/", say, ps...)
	return m
}

// Each shipped scheme answers a missing scope with its own challenge.
func TestScopeChallengesOfSchemes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		x := newTokens(t, s)
		m := x.mux(authz.IsAuthenticated, authz.HasScope("notes"), authz.HasScope("admin"))
		for scheme, want := range map[string]string{"knox": "Knox", "jwt": `Bearer error="insufficient_scope", scope="notes admin"`, "oauth2": `Bearer error="insufficient_scope", scope="notes admin"`} {
			t.Run("edge_A22/"+scheme, func(t *testing.T) {
				for range 2 {
					if w := x.ask(m, x.limited[scheme]); w.Code != 403 || !slices.Equal(w.Header()["Www-Authenticate"], []string{want}) {
						t.Errorf("%d %q %s", w.Code, w.Header()["Www-Authenticate"], w.Body)
					}
				}
			})
		}
		t.Run("edge_A22/nobody", func(t *testing.T) {
			if w := x.ask(m, ""); w.Code != 401 || !slices.Equal(w.Header()["Www-Authenticate"], []string{`Bearer scope="notes admin"`, "Knox"}) {
				t.Errorf("%d %q", w.Code, w.Header()["Www-Authenticate"])
			}
		})
	})
}

// A scope that is mapped to a permission grants it with every scheme. Without the mapping neither a
// guard nor a handler that calls the account gets the permission.
func TestPermissionsOfScopedTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		x := newTokens(t, s)
		byScope := x.mux(authz.ScopeGrants("notes", authz.HasPerm("notes.delete_note")))
		other := x.mux(authz.ScopeGrants("other", authz.HasPerm("notes.delete_note")))
		nested := x.mux(authz.ScopeGrants("notes", authz.And(authz.IsAuthenticated, authz.Or(authz.IsAdmin, authz.HasPerm("notes.delete_note")), authz.Not(authz.HasPerm("x.y")))))
		plain := x.mux(authz.HasPerm("notes.delete_note"))
		asks := authz.NewMux(authn.New(x.chain, nil))
		asks.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			u, _ := authn.UserFrom[*storage.Account](r.Context())
			has, err := u.HasPerm(r.Context(), "notes.delete_note")
			fmt.Fprint(w, has, err)
		}, authz.IsAuthenticated)
		for scheme, authorization := range x.limited {
			t.Run("edge_C20/"+scheme, func(t *testing.T) {
				for name, c := range map[string]struct {
					m    *authz.Mux
					want int
				}{"mapped": {byScope, 200}, "mapped, nested": {nested, 200}, "another scope": {other, 403}, "not mapped": {plain, 403}} {
					if w := x.ask(c.m, authorization); w.Code != c.want {
						t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
					}
				}
				if w := x.ask(asks, authorization); w.Body.String() != "false <nil>" {
					t.Errorf("a handler is told %s", w.Body)
				}
			})
		}
		for scheme, authorization := range x.full {
			if w := x.ask(asks, authorization); w.Body.String() != "true <nil>" {
				t.Errorf("edge_C20: unlimited %s: %s", scheme, w.Body)
			}
			if w := x.ask(plain, authorization); w.Code != 200 {
				t.Errorf("edge_C20: unlimited %s: %d", scheme, w.Code)
			}
		}
	})
}

// An account that a program sets in an identity has its permissions, or HasPerm returns an error.
func TestHandmadeAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storagetest.Store) {
		newTokens(t, s)
		u, err := s.UserByID(t.Context(), "alice")
		must(t, err)
		for name, c := range map[string]struct {
			user authn.User
			perm string
			want int
		}{
			"edge_C20/as the store returned it":         {&storage.Account{User: u}, "notes.delete_note", 500},
			"edge_C20/made by hand":                     {&storage.Account{User: storage.User{ID: "alice", Active: true}}, "notes.delete_note", 500},
			"edge_C20/made by hand, another permission": {&storage.Account{User: storage.User{ID: "alice", Active: true}}, "x.y", 500},
			"edge_C20/with permissions":                 {u.WithPermissions(s), "notes.delete_note", 200},
			"edge_C20/with permissions, not this":       {u.WithPermissions(s), "x.y", 403},
			"edge_C20/with none on purpose":             {u.WithPermissions(nil), "notes.delete_note", 403},
			"edge_C20/disabled":                         {storage.User{ID: "alice"}.WithPermissions(s), "notes.delete_note", 403},
			"edge_C20/of a limited identity":            {u.WithScopedPermissions(s), "notes.delete_note", 403},
		} {
			t.Run(name, func(t *testing.T) {
				id := authn.Identity{Subject: "alice", User: c.user}
				guard := authz.Require(authz.HasPerm(c.perm))
				w := httptest.NewRecorder()
				guard.HandlerFunc(say).ServeHTTP(w, authntest.As(httptest.NewRequest("GET", "/", nil), id))
				if w.Code != c.want {
					t.Errorf("As: %d, want %d", w.Code, c.want)
				}
				if got := guarded(guard.HandlerFunc(say), id, "GET"); got.Code != c.want { // a scheme of one's own
					t.Errorf("a scheme: %d, want %d", got.Code, c.want)
				}
				if got := guarded(authz.Require(authz.Not(authz.HasPerm(c.perm))).HandlerFunc(say), id, "GET"); c.want == 500 && got.Code != 500 {
					t.Errorf("Not: %d", got.Code)
				}
			})
		}
	})
}

// A database error about an invalid identifier is 500; a database that does not respond is 503.
func TestLoadErrors(t *testing.T) {
	storetest.EachOwn(t, func(t *testing.T, s storagetest.Store) {
		db, ok := s.(*gormstore.Store)
		if !ok {
			t.Skip("it has no SQL")
		}
		type row struct {
			ID   int64
			Name string
		}
		must(t, db.DB(t.Context()).Table("things").AutoMigrate(&row{}))
		must(t, db.DB(t.Context()).Table("things").Create(&row{1, "one"}).Error)
		load := func(query string, args ...any) func(*http.Request) (row, error) {
			return func(r *http.Request) (x row, err error) {
				err = db.DB(r.Context()).Table("things").Raw(query, args...).Take(&x).Error
				if errors.Is(err, gorm.ErrRecordNotFound) {
					err = authn.NotFound("")
				}
				return x, err
			}
		}
		show := func(w http.ResponseWriter, _ *http.Request, x row) { io.WriteString(w, x.Name) }
		guard := authz.Require(authz.IsAuthenticated)
		cast := "SELECT * FROM things WHERE id = CAST(? AS integer)"
		if db.DB(t.Context()).Name() == "sqlite" {
			cast = "SELECT * FROM things WHERE id = json(?)" // it casts anything; this it refuses
		}
		check := func(name string, f func(*http.Request) (row, error), want int) {
			t.Helper()
			t.Run("edge_C14/"+name, func(t *testing.T) {
				byHand := func(w http.ResponseWriter, r *http.Request) {
					if _, err := f(r); err != nil {
						authn.Respond(w, r, err)
					}
				}
				for where, h := range map[string]http.Handler{"HandleObject": authz.HandleObject(guard, f, show), "Respond": guard.HandlerFunc(byHand)} {
					got := guarded(h, alice, "GET")
					if got.Code != want || (got.Header().Get("Retry-After") != "") != (want == 503) || strings.Contains(got.Body.String(), "things") {
						t.Errorf("%s: %d %v %s, want %d", where, got.Code, got.Header(), got.Body, want)
					}
				}
			})
		}
		check("there", load("SELECT * FROM things WHERE id = ?", 1), 200)
		check("not there", load("SELECT * FROM things WHERE id = ?", 2), 404)
		check("a bad id", load(cast, "abc"), 500)
		check("no such table", load("SELECT * FROM nothing"), 500)
		check("bad SQL", load("SELEKT"), 500)
		check("a bug", func(*http.Request) (row, error) { return row{}, errors.New("bug") }, 500)
		check("out of time", func(r *http.Request) (row, error) {
			ctx, cancel := contextEnded(r)
			defer cancel()
			return load("SELECT * FROM things WHERE id = ?", 1)(r.WithContext(ctx))
		}, 503)
		check("said so", func(*http.Request) (row, error) { return row{}, authn.Undecided(errors.New("exotic")) }, 503)
		check("a store of ours, absent", func(r *http.Request) (row, error) {
			_, err := s.UserByID(r.Context(), "nobody")
			return row{}, err
		}, 500) // the loader did not say that this means 404
		must(t, db.Close())
		check("the database is gone", load("SELECT * FROM things WHERE id = ?", 1), 503)
		check("a store of ours is gone", func(r *http.Request) (row, error) {
			_, err := s.UserByID(r.Context(), "alice")
			return row{}, err
		}, 503)
	})
}
