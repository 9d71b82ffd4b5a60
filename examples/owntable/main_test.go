package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/walktest"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

func TestMain(m *testing.M) { walktest.Main(m, main) }

// The commands of the doc comment print what it says.
func TestDoc(t *testing.T) { walktest.Doc(t) }

func start(t *testing.T, db *gormstore.Store) http.Handler {
	t.Helper()
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	h, err := server(t.Context(), db, ring, passwordtest.New(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func call(h http.Handler, method, path, token, form string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader(form)), httptest.NewRecorder()
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Token "+token)
	}
	h.ServeHTTP(w, r)
	return w
}

func logIn(t *testing.T, h http.Handler, path, form string) string {
	t.Helper()
	w := call(h, "POST", path, "", form)
	var body struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Token == "" {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return body.Token
}

func TestServer(t *testing.T) {
	for name, open := range map[string]func() (*gormstore.Store, error){
		"sqlite":   func() (*gormstore.Store, error) { return sqlite.Open(t.TempDir()+"/db", options()) },
		"postgres": func() (*gormstore.Store, error) { return postgres.Open(pgtest.URL(t), options()) },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			h := start(t, db)
			is := func(status int, body, method, path, token, form string) {
				t.Helper()
				if w := call(h, method, path, token, form); w.Code != status || body != "" && strings.TrimSpace(w.Body.String()) != body {
					t.Errorf("%s %s: %d %s, want %d %s", method, path, w.Code, w.Body, status, body)
				}
			}
			set := func(changes string) {
				t.Helper()
				if err := db.DB(t.Context()).Exec("UPDATE accounts SET " + changes + " WHERE login = 'alice'").Error; err != nil {
					t.Fatal(err)
				}
			}
			const invalid, login = `{"detail":"Invalid token."}`, "username=alice&password=wonderland-42"
			alice := logIn(t, h, "/api/auth-token", login)
			is(200, `{"email":"alice@example.com","plan":"free","username":"alice"}`, "GET", "/api/profile", alice, "")
			set("banned = TRUE")
			is(401, invalid, "GET", "/api/profile", alice, "")
			set("banned = FALSE")

			// Account 1 of the other table is somebody else.
			staff := logIn(t, h, "/staff/auth-token", "username=sam&password=sam-at-the-desk-42")
			is(200, `{"id":"1","subject":"staff:1"}`, "GET", "/staff/whoami", staff, "")
			is(401, invalid, "GET", "/staff/whoami", alice, "")
			is(401, invalid, "GET", "/api/profile", staff, "")
			is(401, "", "POST", "/staff/auth-token", "", login)

			is(204, "", "DELETE", "/api/account", alice, "")
			is(401, invalid, "GET", "/api/profile", alice, "")
			is(401, "", "POST", "/api/auth-token", "", login)
			set("deleted_at = NULL") // the tokens were revoked, not hidden
			is(401, invalid, "GET", "/api/profile", alice, "")
			is(200, `{"id":"1","subject":"staff:1"}`, "GET", "/staff/whoami", staff, "")
		})
	}
}

// The accounts whose passwords everybody knows are added to tables that this run creates, not beside
// accounts of one's own in either of them, and not again when they were deleted.
func TestPublishedAccounts_attack_343(t *testing.T) {
	for own, model := range map[string]any{"": nil, "a customer": &Account{Login: "kim"}, "an employee": &Employee{Login: "kim"}} {
		t.Run(own, func(t *testing.T) {
			db, err := sqlite.Open(t.TempDir()+"/db", options())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			tx := db.DB(t.Context())
			if model != nil {
				if err := errors.Join(tx.AutoMigrate(model), tx.Create(model).Error); err != nil {
					t.Fatal(err)
				}
			}
			for again := range 2 {
				start(t, db)
				var accounts, staff int64
				if err := errors.Join(tx.Model(&Account{}).Where("login = 'alice'").Count(&accounts).Error, tx.Model(&Employee{}).Where("login = 'sam'").Count(&staff).Error,
					tx.Exec("DELETE FROM accounts WHERE login = 'alice'").Error, tx.Exec("DELETE FROM employees WHERE login = 'sam'").Error); err != nil {
					t.Fatal(err)
				}
				want := int64(1)
				if model != nil || again == 1 {
					want = 0
				}
				if accounts != want || staff != want {
					t.Errorf("run %d: alice %d, sam %d, want %d", again, accounts, staff, want)
				}
			}
		})
	}
}
