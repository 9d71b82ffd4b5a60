package migrate

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/django"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// secrets are those of the recorded database, in clear.
type secrets map[string]json.RawMessage

// fixture returns the path of a file that Django 5.2 wrote.
func fixture(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("VESTIBULE_VECTORS must name the folder that holds django/fixture")
		}
		t.Skip("not run: set VESTIBULE_VECTORS to the folder that holds django/fixture")
	}
	return filepath.Join(dir, "django/fixture", name)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// open copies a database that Django 5.2 wrote and opens it.
func open(t *testing.T) (*gormstore.Store, secrets) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "django.sqlite3")
	if err := os.WriteFile(path, read(t, fixture(t, "sqlite_modern.sqlite3")), 0o600); err != nil {
		t.Fatal(err)
	}
	return opened(t, "sqlite:"+path, "secrets_modern_sqlite.json")
}

// each runs f on a database of each kind that Django 5.2 wrote.
func each(t *testing.T, f func(*testing.T, *gormstore.Store, secrets)) {
	t.Run("sqlite", func(t *testing.T) {
		db, s := open(t)
		f(t, db, s)
	})
	t.Run("postgres", func(t *testing.T) {
		dump := fixture(t, "postgres_modern.sql")
		url := pgtest.URL(t)
		var lines []string
		for _, line := range strings.Split(string(read(t, dump)), "\n") {
			if !strings.HasPrefix(line, `\`) { // commands of psql
				lines = append(lines, line)
			}
		}
		conn, err := pgconn.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), strings.Join(lines, "\n")).ReadAll()
		if err := errors.Join(err, conn.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		db, s := opened(t, url, "secrets_modern_postgres.json")
		f(t, db, s)
	})
}

func opened(t *testing.T, url, file string) (*gormstore.Store, secrets) {
	t.Helper()
	db, err := Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	var s secrets
	if err := json.Unmarshal(read(t, fixture(t, file)), &s); err != nil {
		t.Fatal(err)
	}
	return db, s
}

func ask(t *testing.T, h http.Handler, authorization string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// whoami answers with the subject, or 401.
func whoami(chain authn.Chain) http.Handler {
	return authn.New(chain, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		if id.Subject == "" {
			authn.Respond(w, r, authn.ErrNoCredentials)
			return
		}
		_, _ = w.Write([]byte(id.Subject + " " + id.Scheme))
	}))
}

func part[T any](t *testing.T, s secrets, name string) (v T) {
	t.Helper()
	if err := json.Unmarshal(s[name], &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Every active account of Django logs in with its password, and no hash changes.
func TestPasswords(t *testing.T) {
	db, s := open(t)
	passwords, err := Passwords(db, &password.Options{InsecureNoLimiter: true})
	if err != nil {
		t.Fatal(err)
	}
	users := part[map[string]struct {
		ID       int
		Password string
		Active   bool `json:"is_active"`
		Hash     string
	}](t, s, "users")
	checked := 0
	for name, u := range users {
		if checked == 4 || !u.Active || !strings.HasPrefix(u.Hash, "pbkdf2_") && !strings.HasPrefix(u.Hash, "argon2") {
			continue // a hash takes a second
		}
		checked++
		l, err := passwords.CheckPassword(httptest.NewRequest("POST", "/", nil), name, u.Password)
		if err != nil || l.Subject != strconv.Itoa(u.ID) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
		stored, err := db.UserByName(t.Context(), name)
		if err != nil || string(stored.Password) != u.Hash {
			t.Errorf("%s: the hash changed: %v", name, err)
		}
	}
	if checked == 0 {
		t.Error("nobody was checked")
	}
	if _, err := passwords.CheckPassword(httptest.NewRequest("POST", "/", nil), "alice", "wrong"); err == nil {
		t.Error("a wrong password")
	}
}

func TestImportTokens(t *testing.T) {
	db, s := open(t)
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.New(db, ring, &token.Options{Format: token.Hex40})
	if err != nil {
		t.Fatal(err)
	}
	h := whoami(authn.Chain{tokens})
	text := part[map[string]string](t, s, "authtoken")
	if code, body := ask(t, h, "Token "+text["alice"]); code != http.StatusUnauthorized {
		t.Errorf("before: %d %s", code, body)
	}
	first, err := ImportTokens(t.Context(), db, ring)
	if err != nil || first < 5 {
		t.Fatalf("%d, %v", first, err)
	}
	if again, err := ImportTokens(t.Context(), db, ring); again != 0 || err != nil {
		t.Errorf("again: %d, %v", again, err)
	}
	for name, want := range map[string]string{"alice": "1 token", "bob": "2 token", "carol": ""} { // carol is disabled
		if code, body := ask(t, h, "Token "+text[name]); (code == http.StatusOK) != (want != "") || want != "" && body != want {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	// A login cannot show an imported token again, so it replaces it.
	fresh, err := tokens.GetOrCreate(t.Context(), "1", 0)
	if err != nil || fresh == text["alice"] {
		t.Errorf("%q, %v", fresh, err)
	}
	if code, _ := ask(t, h, "Token "+text["alice"]); code != http.StatusUnauthorized {
		t.Errorf("the replaced token: %d", code)
	}
	if code, body := ask(t, h, "Token "+fresh); code != http.StatusOK {
		t.Errorf("the new token: %d %s", code, body)
	}
}

func TestKnox(t *testing.T) {
	db, s := open(t)
	hash, err := django.NewKnoxHash(django.Knox5, "")
	if err != nil {
		t.Fatal(err)
	}
	devices, err := knox.New(db, &knox.Options{Keywords: []string{"Token"}})
	if err != nil {
		t.Fatal(err)
	}
	h := whoami(authn.Chain{devices, Knox{DB: db, Hash: hash}})
	old := part[map[string]struct{ Token, User string }](t, s, "knox")
	if code, body := ask(t, h, "Token "+old["alice"].Token); code != http.StatusOK || body != "1 djangoknox" {
		t.Errorf("%d %s", code, body)
	}
	for name, k := range old {
		u, err := db.UserByName(t.Context(), k.User)
		if err != nil {
			t.Fatal(name, err)
		}
		if code, body := ask(t, h, "Token "+k.Token); code == http.StatusOK && (body != u.ID+" djangoknox" || !u.Active) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	text, _, err := devices.Issue(t.Context(), "1", 0, knox.Token{})
	if err != nil {
		t.Fatal(err)
	}
	if code, body := ask(t, h, "Token "+text); code != http.StatusOK || body != "1 knox" {
		t.Errorf("%d %s", code, body)
	}
	changed := []byte(old["alice"].Token)
	changed[60] ^= 1
	for _, bad := range []string{string(changed), "junk", strings.Repeat("a", 64)} {
		if code, body := ask(t, h, "Token "+bad); code != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
	if err := db.DB(t.Context()).Exec("UPDATE auth_user SET is_active = FALSE WHERE id = 1").Error; err != nil {
		t.Fatal(err)
	}
	if code, _ := ask(t, h, "Token "+old["alice"].Token); code != http.StatusUnauthorized {
		t.Errorf("disabled: %d", code)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := ask(t, h, "Token "+old["bob"].Token); code != http.StatusServiceUnavailable {
		t.Errorf("database closed: %d %s", code, body)
	}
}
