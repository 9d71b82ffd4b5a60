package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const sessionCookie = "__Host-session"

// started returns the cookie of the session that the response starts, or "".
func started(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if c.Name == sessionCookie && c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// site is the new program. The owner has moved; a thief with a copy of another old session has not.
type site struct {
	*authz.Mux
	browsers      *session.Scheme
	owner, stolen string
}

func (s site) post(t *testing.T, path string) {
	t.Helper()
	w := call(s, "POST", path, "Cookie", s.owner, "Origin", "https://app.example", "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusNoContent {
		t.Fatal(w.Code, w.Body)
	}
}

func newSiteWithOwner(t *testing.T, db Store, program old) site {
	t.Helper()
	mux, browsers := newSite(db, program)
	mux.HandleFunc("GET /me", whoami, authz.IsAuthenticated)
	mux.Handle("POST /others", browsers.EndOthers(), authz.FirstParty)
	mux.Handle("DELETE /sessions/{id}", browsers.End(), authz.FirstParty)
	mux.Public("POST /logout", browsers.Logout())
	owner := started(call(mux, "GET", "/login", "Cookie", program.logIn("7")))
	if owner == "" {
		t.Fatal("the owner's session did not move")
	}
	return site{mux, browsers, owner, program.logIn("7")}
}

// A session of the old program may be stolen, and nobody typed a password: it is no recent login.
func TestOldSessionIsNoRecentLogin(t *testing.T) {
	for name, newOld := range map[string]func() old{"scs": oldSCS, "gorilla": oldGorilla} {
		t.Run(name, func(t *testing.T) {
			db, program := newStore(t), newOld()
			mux, _ := newSite(db, program)
			mux.HandleFunc("GET /me", whoami, authz.IsAuthenticated)
			mux.HandleFunc("GET /transfers", whoami, authz.Fresh(5*time.Minute))
			moved := started(call(mux, "GET", "/login", "Cookie", program.logIn("7")))
			for path, status := range map[string]int{"/me": http.StatusOK, "/transfers": http.StatusForbidden} {
				if w := call(mux, "GET", path, "Cookie", moved); w.Code != status {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
		})
	}
}

// What the new program revokes, old sessions do not bring back.
func TestOldSessionAfterRevocation(t *testing.T) {
	for what, end := range map[string]func(*testing.T, site){
		"end_others": func(t *testing.T, s site) {
			s.post(t, "/others")
			if w := call(s, "GET", "/me", "Cookie", s.owner); w.Code != http.StatusOK {
				t.Errorf("the owner's own session: %d", w.Code)
			}
		},
		"end_all": func(t *testing.T, s site) {
			if n, err := s.browsers.EndAll(t.Context(), "7", ""); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		},
		"end_one": func(t *testing.T, s site) {
			list := must(s.browsers.Sessions(t.Context(), "7", 10))
			w := call(s, "DELETE", "/sessions/"+list[0].ID, "Cookie", s.owner, "Origin", "https://app.example", "Sec-Fetch-Site", "same-origin")
			if w.Code != http.StatusNoContent {
				t.Fatal(w.Code, w.Body)
			}
		},
		"logout": func(t *testing.T, s site) { s.post(t, "/logout") },
	} {
		for name, newOld := range map[string]func() old{"scs": oldSCS, "gorilla": oldGorilla} {
			t.Run("attack_483_"+what+"_"+name, func(t *testing.T) {
				db, program := newStore(t), newOld()
				s := newSiteWithOwner(t, db, program)
				end(t, s)
				w := call(s, "GET", "/login", "Cookie", s.stolen)
				if started(w) != "" || w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<form") {
					t.Errorf("%d %v", w.Code, w.Header())
				}
				if list := must(s.browsers.Sessions(t.Context(), "7", 10)); len(list) > 1 {
					t.Errorf("%d sessions", len(list))
				}
				// A login with a password is not affected.
				if err := s.browsers.Start(httptest.NewRecorder(), httptest.NewRequest("POST", "https://app.example/", nil), loginOf(t, db, "7")); err != nil {
					t.Errorf("a new login: %v", err)
				}
			})
		}
	}
}

// Old sessions move all the time while the owner ends all sessions. None is left.
func TestOldSessionsRace(t *testing.T) {
	t.Run("attack_483_race", func(t *testing.T) {
		db, program := newStore(t), oldSCS()
		s := newSiteWithOwner(t, db, program)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []string
		first := make(chan struct{}, 40)
		for range cap(first) {
			cookie := program.logIn("7")
			wg.Go(func() {
				got := started(call(s, "GET", "/login", "Cookie", cookie))
				mu.Lock()
				all = append(all, got)
				mu.Unlock()
				first <- struct{}{}
			})
		}
		<-first
		if _, err := s.browsers.EndAll(t.Context(), "7", ""); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for _, cookie := range all {
			if cookie == "" {
				continue
			}
			if w := call(s, "GET", "/me", "Cookie", cookie); w.Code != http.StatusUnauthorized {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}

func ginRefresh(t *testing.T, h http.Handler, token string) (string, int) {
	t.Helper()
	w := call(h, "GET", "/refresh_token", "Authorization", "Bearer "+token)
	var answer struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err, w.Body)
	}
	return answer.Token, w.Code
}

// After a logout of device tokens, a copied token of gin-jwt is no longer accepted or exchanged.
func TestGinTokenAfterLogout(t *testing.T) {
	for _, path := range []string{"/logout", "/logoutall", "/logoutothers"} {
		t.Run("attack_483_ginjwt_"+path[1:], func(t *testing.T) {
			h := ginServer(t, newStore(t), time.Now().Add(time.Hour))
			mine, code := ginRefresh(t, h, ginAlice)
			if code != http.StatusOK {
				t.Fatal(code)
			}
			if w := call(h, "POST", path, "Authorization", "Bearer "+mine); w.Code != http.StatusNoContent {
				t.Fatal(w.Code, w.Body)
			}
			for _, at := range []string{"/me", "/refresh_token"} {
				if w := call(h, "GET", at, "Authorization", "Bearer "+ginAlice); w.Code != http.StatusUnauthorized {
					t.Errorf("%s: %d %s", at, w.Code, w.Body)
				}
			}
		})
	}
	// The exchange itself checks too: the identity may be older than the revocation.
	t.Run("attack_483_ginjwt_between", func(t *testing.T) {
		m := Moving{newStore(t)}
		c := storage.Credential{Purpose: "knox", ID: "1", Subject: "7", Digest: storage.DigestOf("x"), Created: time.Now()}
		if _, err := m.DeleteCredentialsOf(t.Context(), "knox", "7", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := m.CreateCredential(moved(t.Context()), c, storage.CredentialLimit{}); err == nil {
			t.Error("exchanged")
		}
		if list, err := m.ListCredentials(t.Context(), "knox", "7", 10); len(list) != 0 || err != nil {
			t.Errorf("%v, %v", list, err)
		}
		if _, err := m.CreateCredential(t.Context(), c, storage.CredentialLimit{}); err != nil {
			t.Errorf("a login: %v", err)
		}
	})
}

func ginToken(t *testing.T, claims string) string {
	t.Helper()
	keys := must(jose.NewKeySet(must(jose.NewSecret("gin-jwt", jose.HS256, []byte(ginKey)))))
	return must(keys.Sign(t.Context(), "JWT", fmt.Appendf(nil, `{"exp":%d,%s}`, time.Now().Add(time.Hour).Unix(), claims)))
}

// The same key may sign tokens for other programs and purposes, and a name may have had another
// owner.
func TestGinForeignTokens(t *testing.T) {
	t.Run("attack_483_ginjwt_foreign", func(t *testing.T) {
		db, now := newStore(t), time.Now()
		h := ginServer(t, db, now.Add(time.Hour))
		if err := db.CreateUser(t.Context(), storage.User{ID: "9", Name: "carol", Active: true}); err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf(`"orig_iat":%d`, now.Unix()+1)
		for name, x := range map[string]struct {
			claims string
			status int
		}{
			"own":                      {`"id":"alice",` + at, 200},
			"another issuer":           {`"id":"alice","iss":"https://other.example",` + at, 401},
			"another audience":         {`"id":"alice","aud":["other"],` + at, 401},
			"another purpose":          {`"id":"alice"`, 401},
			"older than the account":   {fmt.Sprintf(`"id":"alice","orig_iat":%d`, now.Add(-time.Hour).Unix()), 401},
			"account of unknown age":   {`"id":"carol",` + at, 401},
			"issuer of the wrong type": {`"id":"alice","iss":1,` + at, 401},
		} {
			if w := call(h, "GET", "/me", "Authorization", "Bearer "+ginToken(t, x.claims)); w.Code != x.status {
				t.Errorf("%s: %d, want %d", name, w.Code, x.status)
			}
		}
	})
}

// folding is a store whose database compares names without regard to case.
type folding struct{ *memory.Store }

func (f folding) UserByName(ctx context.Context, name string) (storage.User, error) {
	return f.Store.UserByName(ctx, strings.ToLower(name))
}

// In the old program, Alice and alice could be two accounts.
func TestGinOtherSpelling(t *testing.T) {
	t.Run("attack_483_ginjwt_spelling", func(t *testing.T) {
		h := ginServer(t, folding{newStore(t)}, time.Now().Add(time.Hour))
		for name, status := range map[string]int{"alice": http.StatusOK, "Alice": http.StatusUnauthorized} {
			text := ginToken(t, fmt.Sprintf(`"id":%q,"orig_iat":%d`, name, time.Now().Unix()+1))
			if w := call(h, "GET", "/me", "Authorization", "Bearer "+text); w.Code != status {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
	})
}

func loginOf(t *testing.T, db *memory.Store, id string) authn.Login {
	t.Helper()
	return authn.Login{Subject: id, Epoch: must(db.SubjectEpoch(t.Context(), id))}
}
