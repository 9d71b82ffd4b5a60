package migrate

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/django"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// with returns a refresh token of Django for the account 1, with more claims.
func (e exchanging) with(t *testing.T, id, more string) string {
	t.Helper()
	text, err := e.old.Sign(t.Context(), "JWT", fmt.Appendf(nil, `{"token_type":"refresh","exp":%d,"jti":%q,"user_id":"1"%s}`, time.Now().Add(time.Hour).Unix(), id, more))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// hashClaim is the claim that CHECK_REVOKE_TOKEN adds.
func hashClaim(hash string) string {
	return fmt.Sprintf(`,"hash_password":"%X"`, md5.Sum([]byte(hash)))
}

// With CHECK_REVOKE_TOKEN, a new password in Django revokes all tokens there, and so it does here.
func TestExchangeAfterNewPasswordInDjango(t *testing.T) {
	t.Run("attack_482_password", func(t *testing.T) {
		each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
			e := exchangeOf(t, db, s)
			u, err := db.UserByID(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			claim := hashClaim(string(u.Password))
			checking := Exchange(db, SimpleJWT{Keys: e.old}, e.tokens)
			for name, x := range map[string]struct {
				more            string
				strict, relaxed int // with and without CHECK_REVOKE_TOKEN
			}{
				"current":     {claim, http.StatusOK, http.StatusOK},
				"absent":      {"", http.StatusUnauthorized, http.StatusOK},
				"not a text":  {`,"hash_password":1`, http.StatusUnauthorized, http.StatusUnauthorized},
				"null":        {`,"hash_password":null`, http.StatusUnauthorized, http.StatusUnauthorized},
				"empty":       {`,"hash_password":""`, http.StatusUnauthorized, http.StatusUnauthorized},
				"of no hash":  {hashClaim(""), http.StatusUnauthorized, http.StatusUnauthorized},
				"of another":  {hashClaim("pbkdf2_sha256$1$a$b"), http.StatusUnauthorized, http.StatusUnauthorized},
				"lower digit": {hashClaim(string(u.Password) + " "), http.StatusUnauthorized, http.StatusUnauthorized},
			} {
				if code, body := e.send(e.with(t, name+"1", x.more)); code != x.relaxed {
					t.Errorf("%s: %d %s", name, code, body)
				}
				if code, body := (exchanging{Handler: checking}).send(e.with(t, name+"2", x.more)); code != x.strict {
					t.Errorf("%s, with CHECK_REVOKE_TOKEN: %d %s", name, code, body)
				}
			}
			stolen := e.with(t, "stolen", claim)
			exec(t, db, "UPDATE auth_user SET password = 'pbkdf2_sha256$1000000$aaaaaaaaaaaa$bbbb' WHERE id = 1")
			for _, h := range []http.Handler{e.Handler, checking} {
				if code, body := (exchanging{Handler: h}).send(stolen); code != http.StatusUnauthorized {
					t.Errorf("%d %s", code, body)
				}
			}
		})
	})
}

// A refresh token of Django shows no login of now, so routes that require a recent one reject its user.
func TestExchangeIsNoLogin(t *testing.T) {
	t.Run("attack_495_simplejwt", func(t *testing.T) {
		db, s := open(t)
		e := exchangeOf(t, db, s)
		code, body := e.send(e.with(t, "1", ""))
		var pair struct{ Access string }
		if err := json.Unmarshal([]byte(body), &pair); err != nil || code != http.StatusOK {
			t.Fatal(code, body, err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+pair.Access)
		if id, err := e.tokens.Authenticate(r); err != nil || !id.AuthTime.Equal(authn.UnknownAuthTime) {
			t.Errorf("logged in at %s, %v", id.AuthTime, err)
		}
	})
}

// The key of Django may sign tokens for other issuers and audiences, too.
func TestExchangeForeign(t *testing.T) {
	t.Run("attack_482_issuer", func(t *testing.T) {
		db, s := open(t)
		e := exchangeOf(t, db, s)
		own := SimpleJWT{Keys: e.old, InsecureAnyPassword: true, Issuer: "https://django.example", Audience: "api"}
		noAudience := own
		noAudience.Audience = ""
		for i, x := range []struct {
			old    SimpleJWT
			more   string
			status int
		}{
			{own, `,"iss":"https://django.example","aud":"api"`, http.StatusOK},
			{own, `,"iss":"https://django.example","aud":["other","api"]`, http.StatusOK},
			{own, `,"iss":"https://django.example","aud":"other"`, http.StatusUnauthorized},
			{own, `,"iss":"https://django.example","aud":[]`, http.StatusUnauthorized},
			{own, `,"iss":"https://django.example"`, http.StatusUnauthorized},
			{own, `,"iss":"https://django.example.evil","aud":"api"`, http.StatusUnauthorized},
			{own, `,"aud":"api"`, http.StatusUnauthorized},
			{noAudience, `,"iss":"https://django.example"`, http.StatusOK},
			{noAudience, `,"iss":"https://django.example","aud":"api"`, http.StatusUnauthorized},
			{noAudience, `,"iss":"https://django.example","aud":""`, http.StatusUnauthorized},
			{SimpleJWT{Keys: e.old, InsecureAnyPassword: true}, `,"iss":"https://other.example"`, http.StatusUnauthorized},
			{SimpleJWT{Keys: e.old, InsecureAnyPassword: true}, `,"aud":["other"]`, http.StatusUnauthorized},
		} {
			h := exchanging{Handler: Exchange(db, x.old, e.tokens)}
			if code, body := h.send(e.with(t, fmt.Sprint(i), x.more)); code != x.status {
				t.Errorf("%s: %d %s", x.more, code, body)
			}
		}
	})
}

// "Log out everywhere" of the device tokens ends the tokens of Django, too.
func TestKnoxLogoutAll(t *testing.T) {
	for name, endpoint := range map[string]func(*knox.Scheme) http.Handler{"all": (*knox.Scheme).LogoutAll, "others": (*knox.Scheme).LogoutOthers} {
		t.Run("attack_483_knox_logout_"+name, func(t *testing.T) {
			each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
				hash, err := django.NewKnoxHash(django.Knox5, "")
				if err != nil {
					t.Fatal(err)
				}
				devices, err := knox.New(Devices{db}, nil)
				if err != nil {
					t.Fatal(err)
				}
				h := whoami(authn.Chain{devices, Knox{DB: db, Hash: hash}})
				text := part[map[string]struct{ Token string }](t, s, "knox")["alice"].Token
				mine, _, err := devices.Issue(t.Context(), "1", 0, knox.Token{})
				if err != nil {
					t.Fatal(err)
				}
				others := count(t, db, "SELECT count(*) FROM knox_authtoken WHERE user_id <> 1")
				if code, body := ask(t, h, "Token "+text); code != http.StatusOK {
					t.Fatal(code, body)
				}
				r := httptest.NewRequest("POST", "/", nil)
				r.Header.Set("Authorization", "Token "+mine)
				w := httptest.NewRecorder()
				endpoint(devices).ServeHTTP(w, r)
				if w.Code != http.StatusNoContent {
					t.Fatal(w.Code, w.Body)
				}
				if code, body := ask(t, h, "Token "+text); code != http.StatusUnauthorized {
					t.Errorf("%d %s", code, body)
				}
				if n := count(t, db, "SELECT count(*) FROM knox_authtoken WHERE user_id <> 1"); n != others {
					t.Errorf("%d tokens of others, and %d before", n, others)
				}
				if code, _ := ask(t, h, "Token "+mine); (code == http.StatusOK) != (name == "others") {
					t.Errorf("own token: %d", code)
				}
			})
		})
	}
}

// A token that Django deletes or replaces, such as at a logout there, is revoked at the next import.
func TestImportAfterLogoutInDjango(t *testing.T) {
	for name, next := range map[string]string{"deleted": "", "replaced": "cccccccccccccccccccccccccccccccccccccccc"} {
		t.Run("attack_483_authtoken_"+name, func(t *testing.T) {
			each(t, func(t *testing.T, db *gormstore.Store, s secrets) {
				i := importing(t, db, s)
				i.run(t)
				i.want(t, "imported", i.text, http.StatusOK)
				bob := part[map[string]string](t, s, "authtoken")["bob"]
				exec(t, db, "DELETE FROM authtoken_token WHERE user_id = 1")
				if next != "" {
					exec(t, db, putAgain, next, time.Now())
				}
				i.run(t)
				i.want(t, "after the logout in Django", i.text, http.StatusUnauthorized)
				i.want(t, "another account", bob, http.StatusOK)
				if next != "" {
					i.want(t, "the new token", next, http.StatusOK)
				}
				// A token that was issued here stays: Django never had it.
				fresh, err := i.tokens.Replace(t.Context(), "1", 0)
				if err != nil {
					t.Fatal(err)
				}
				i.run(t)
				i.want(t, "issued here", fresh, http.StatusOK)
			})
		})
	}
}

var _ storage.CredentialList = Devices{}
