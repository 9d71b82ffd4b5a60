package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func TestExchange(t *testing.T) {
	db, s := open(t)
	e := exchangeOf(t, db, s)
	h := e.api
	send := func(claims string, args ...any) (int, string) {
		t.Helper()
		text, err := e.old.Sign(t.Context(), "JWT", fmt.Appendf(nil, claims, args...))
		if err != nil {
			t.Fatal(err)
		}
		return e.send(text)
	}
	later := time.Now().Add(time.Hour).Unix()
	for name, user := range map[string]string{"number": "1", "text": `"2"`} {
		code, body := send(`{"token_type":"refresh","exp":%d,"iat":1,"jti":"%s","user_id":%s}`, later, name, user)
		var pair struct{ Access, Refresh string }
		if err := json.Unmarshal([]byte(body), &pair); err != nil || code != http.StatusOK || pair.Refresh == "" {
			t.Fatalf("%s: %d %s", name, code, body)
		}
		if code, body := ask(t, h, "Bearer "+pair.Access); code != http.StatusOK || body != strings.Trim(user, `"`)+" jwt" {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if err := db.DB(t.Context()).Exec("INSERT INTO token_blacklist_outstandingtoken (token, expires_at, jti) VALUES ('x', '2100-01-01', 'listed')").Error; err != nil {
		t.Fatal(err)
	}
	if err := db.DB(t.Context()).Exec("INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT '2026-01-01', id FROM token_blacklist_outstandingtoken WHERE jti = 'listed'").Error; err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]string{
		"used before":  `{"token_type":"refresh","exp":%d,"jti":"number","user_id":1}`,
		"access token": `{"token_type":"access","exp":%d,"jti":"a","user_id":1}`,
		"blacklisted":  `{"token_type":"refresh","exp":%d,"jti":"listed","user_id":1}`,
		"disabled":     `{"token_type":"refresh","exp":%d,"jti":"b","user_id":3}`,
		"unknown user": `{"token_type":"refresh","exp":%d,"jti":"c","user_id":9999}`,
		"no user":      `{"token_type":"refresh","exp":%d,"jti":"d"}`,
		"no jti":       `{"token_type":"refresh","exp":%d,"user_id":1}`,
	} {
		if code, body := send(claims, later); code != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if code, body := send(`{"token_type":"refresh","exp":%d,"jti":"e","user_id":1}`, time.Now().Add(-time.Second).Unix()); code != http.StatusUnauthorized {
		t.Errorf("expired: %d %s", code, body)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := send(`{"token_type":"refresh","exp":%d,"jti":"f","user_id":1}`, later); code != http.StatusServiceUnavailable {
		t.Errorf("database closed: %d %s", code, body)
	}
}

func TestImportClients(t *testing.T) {
	db, s := open(t)
	imported, err := ImportClients(t.Context(), db, []string{"read"})
	if imported != 4 || err == nil || !strings.Contains(err.Error(), "client-password") || !strings.Contains(err.Error(), "client-implicit") {
		t.Errorf("%d, %v", imported, err)
	}
	if again, _ := ImportClients(t.Context(), db, []string{"read"}); again != 0 {
		t.Errorf("again: %d", again)
	}
	c, err := db.ClientByID(t.Context(), "client-code")
	if err != nil || len(c.RedirectURIs) != 2 || c.Public() || c.Trusted {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := db.ClientByID(t.Context(), "client-skip"); err != nil || !c.Trusted {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := db.ClientByID(t.Context(), "client-public"); err != nil || !c.Public() || c.Password != "" {
		t.Errorf("%+v, %v", c, err)
	}
	// A client gets a token with the secret that it has.
	api, err := oauth2.New("https://auth.example", db, nil)
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(api, db, &server.Options{
		Scopes: map[string]string{"read": "Read"}, InsecureChosenSecrets: &server.ChosenSecrets{Verifier: hasher},
	})
	if err != nil {
		t.Fatal(err)
	}
	apps := part[struct {
		Apps map[string]struct {
			Secret string `json:"client_secret"`
		}
	}](t, s, "oauth2").Apps
	for secret, want := range map[string]int{apps["cc"].Secret: http.StatusOK, "wrong": http.StatusUnauthorized} {
		r := httptest.NewRequest("POST", "https://auth.example/oauth2/token", strings.NewReader("grant_type=client_credentials&scope=read"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("client-cc", secret)
		w := httptest.NewRecorder()
		srv.Token().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// The next import leaves out a client that was deleted here, and its secret from Django.
func TestImportDeletedClient(t *testing.T) {
	t.Run("attack_442", func(t *testing.T) {
		each(t, func(t *testing.T, db *gormstore.Store, _ secrets) {
			if n, _ := ImportClients(t.Context(), db, []string{"read"}); n != 4 {
				t.Fatal(n)
			}
			if err := db.DeleteClient(t.Context(), "client-code"); err != nil {
				t.Fatal(err)
			}
			if n, _ := ImportClients(t.Context(), db, []string{"read"}); n != 0 {
				t.Errorf("imported %d", n)
			}
			if _, err := db.ClientByID(t.Context(), "client-code"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the deleted client: %v", err)
			}
		})
	})
}
