package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// broken is a store whose accounts cannot be read.
type broken struct{ *memory.Store }

func (broken) UserByID(context.Context, string) (storage.User, error) {
	return storage.User{}, errors.New("connection refused")
}

func (broken) UserByName(context.Context, string) (storage.User, error) {
	return storage.User{}, errors.New("connection refused")
}

// newStore has the active account alice with the ID 7, and the disabled account bob with the ID 8.
func newStore(t *testing.T) *memory.Store {
	t.Helper()
	db := memory.New(nil)
	for id, name := range map[string]string{"7": "alice", "8": "bob"} {
		if err := db.CreateUser(t.Context(), storage.User{ID: id, Name: name, Active: name == "alice", Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func call(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, "https://app.example"+path, nil), httptest.NewRecorder()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

func whoami(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	_, _ = w.Write([]byte(id.Subject + " by " + id.Scheme))
}

// Tokens that TokenGenerator of gin-jwt v2.10.3 issued with the key ginKey and the IdentityKey "id".
// TimeFunc was in 2100, and in 2020 for the expired one; ginOther has another key.
const (
	ginKey     = "an-old-key-of-gin-jwt-with-40-characters"
	ginAlice   = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDg0MDAsImlkIjoiYWxpY2UiLCJvcmlnX2lhdCI6NDEwMjQ0NDgwMH0.MyjJb_dl3GSU3yLS0BKu0Ly1VDhUyadMZn0txbey7IA"
	ginBob     = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDg0MDAsImlkIjoiYm9iIiwib3JpZ19pYXQiOjQxMDI0NDQ4MDB9.Zy8vVFQ2TmRFsbuWqdRFy7Mk4TJr1uL9bQtloMJJqbo"
	ginNobody  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDg0MDAsImlkIjoibm9ib2R5Iiwib3JpZ19pYXQiOjQxMDI0NDQ4MDB9.UN1WV6fnkTqcBJh3no4-GF66qOTkpJxP_HIvU6D2LNw"
	ginNoName  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDg0MDAsIm9yaWdfaWF0Ijo0MTAyNDQ0ODAwLCJvdGhlciI6ImFsaWNlIn0.kQZDTgjhLy-DCuuA5SWW-UcgQy3ao3XyJRzbCTFODyE"
	ginExpired = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE1Nzc4NDA0MDAsImlkIjoiYWxpY2UiLCJvcmlnX2lhdCI6MTU3NzgzNjgwMH0.CM3vC9_epI0vnDFDMuNkImlhJ9IBt-d6JbydPeBFzZQ"
	ginOther   = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDg0MDAsImlkIjoiYWxpY2UiLCJvcmlnX2lhdCI6NDEwMjQ0NDgwMH0.tLWl-lJT_VRDouNriXXZ3t4g1mun8oK17UpKyoeE2RE"
)

func ginServer(t *testing.T, db Store, until time.Time) http.Handler {
	t.Helper()
	devices, chain, err := newChain(db, []byte(ginKey), until)
	if err != nil {
		t.Fatal(err)
	}
	mux := authz.NewMux(authn.New(chain, nil))
	mux.HandleFunc("GET /me", whoami, authz.IsAuthenticated)
	mux.Public("POST /logout", devices.Logout())
	mux.Public("POST /logoutall", devices.LogoutAll())
	mux.Public("POST /logoutothers", devices.LogoutOthers())
	mountRefresh(mux, "GET /refresh_token", devices)
	return mux
}

func TestGinJWT(t *testing.T) {
	db, later := newStore(t), time.Now().Add(time.Hour)
	h := ginServer(t, db, later)
	for name, x := range map[string]struct {
		token  string
		status int
	}{
		"alice": {ginAlice, 200}, "disabled": {ginBob, 401}, "unknown": {ginNobody, 401}, "no name": {ginNoName, 401},
		"expired": {ginExpired, 401}, "another key": {ginOther, 401}, "changed": {ginAlice[:len(ginAlice)-4] + "AAAA", 401}, "junk": {"junk", 401},
	} {
		for _, path := range []string{"/me", "/refresh_token"} {
			if w := call(h, "GET", path, "Authorization", "Bearer "+x.token); w.Code != x.status {
				t.Errorf("%s: %s: %d %s, want %d", name, path, w.Code, w.Body, x.status)
			}
		}
	}
	if w := call(h, "GET", "/me", "Authorization", "Bearer "+ginAlice); w.Body.String() != "7 by ginjwt" {
		t.Error(w.Body)
	}
	if w := call(ginServer(t, db, time.Now()), "GET", "/me", "Authorization", "Bearer "+ginAlice); w.Code != 401 {
		t.Errorf("after Until: %d", w.Code)
	}
	if w := call(ginServer(t, broken{db}, later), "GET", "/me", "Authorization", "Bearer "+ginAlice); w.Code != 503 {
		t.Errorf("the store fails: %d", w.Code)
	}
	if _, _, err := newChain(db, []byte("secret key"), later); err == nil {
		t.Error("a key of 10 bytes is accepted")
	}
}

// A client of gin-jwt refreshes, and goes on with what it gets.
func TestGinRefresh(t *testing.T) {
	db := newStore(t)
	h := ginServer(t, db, time.Now().Add(time.Hour))
	refresh := func(token string) string {
		t.Helper()
		w := call(h, "GET", "/refresh_token", "Authorization", "Bearer "+token)
		var answer struct {
			Code          int
			Token, Expire string
		}
		err := json.Unmarshal(w.Body.Bytes(), &answer)
		if at, bad := time.Parse(time.RFC3339, answer.Expire); err != nil || bad != nil || w.Code != 200 || answer.Code != 200 || time.Until(at) < 9*time.Hour {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return answer.Token
	}
	first := refresh(ginAlice)
	if again := refresh(first); again != first || !strings.HasPrefix(first, "vkn_") {
		t.Errorf("%s, then %s", first, again)
	}
	if w := call(h, "GET", "/me", "Authorization", "Bearer "+first); w.Body.String() != "7 by knox" {
		t.Error(w.Body)
	}
	call(h, "POST", "/logout", "Authorization", "Bearer "+first)
	if w := call(h, "GET", "/me", "Authorization", "Bearer "+first); w.Code != 401 {
		t.Errorf("after the logout: %d", w.Code)
	}
	if w := call(h, "GET", "/refresh_token"); w.Code != 401 {
		t.Errorf("anonymous: %d", w.Code)
	}
}

// old is a program with another session library: it logs the user with this ID in, and returns the
// cookie.
type old struct {
	logIn func(userID string) string
	mount func(mux *authz.Mux, m *Mover, passwords authn.PasswordChecker)
}

func oldSCS() old {
	sm := scs.New()
	return old{
		logIn: func(userID string) string {
			w := call(sm.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				sm.Put(r.Context(), "userID", userID)
				sm.Put(r.Context(), "cart", "tea")
			})), "GET", "/")
			return w.Result().Cookies()[0].Name + "=" + w.Result().Cookies()[0].Value
		},
		mount: func(mux *authz.Mux, m *Mover, passwords authn.PasswordChecker) { mountSCS(mux, m, sm, passwords) },
	}
}

func oldGorilla() old {
	store := sessions.NewCookieStore([]byte("an-old-key-of-gorilla-sessions-1"))
	return old{
		logIn: func(userID string) string {
			w := call(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := must(store.Get(r, "session-name"))
				s.Values["user_id"] = userID
				if err := s.Save(r, w); err != nil {
					panic(err)
				}
			}), "GET", "/")
			return w.Result().Cookies()[0].Name + "=" + w.Result().Cookies()[0].Value
		},
		mount: func(mux *authz.Mux, m *Mover, passwords authn.PasswordChecker) {
			mountGorilla(mux, m, store, passwords)
		},
	}
}

// newSite is the new program, which accepts the sessions of the old one at /login.
func newSite(db Store, program old) (*authz.Mux, *session.Scheme) {
	m := must(NewMover(db, must(csrf.New("https://app.example", nil)), nil))
	mux := authz.NewMux(authn.New(authn.Chain{m.Browsers}, nil))
	program.mount(mux, m, must(password.New(db, must(password.NewHasher(nil)), nil)))
	return mux, m.Browsers
}

func TestSessions(t *testing.T) {
	for name, newOld := range map[string]func() old{"scs": oldSCS, "gorilla": oldGorilla} {
		t.Run(name, func(t *testing.T) {
			db, program := newStore(t), newOld()
			server := func(db Store) http.Handler {
				mux, _ := newSite(db, program)
				mux.Handle("GET /me", authn.Page("/login", http.HandlerFunc(whoami)), authz.IsAuthenticated)
				return mux
			}
			h, cookie := server(db), program.logIn("7")
			w := call(h, "GET", "/me", "Cookie", cookie)
			to := w.Header().Get("Location")
			if w.Code != 303 || to != "/login?next=%2Fme" {
				t.Fatalf("%d to %q", w.Code, to)
			}
			if w := call(server(broken{db}), "GET", to, "Cookie", cookie); w.Code != 503 {
				t.Errorf("the store fails: %d %s", w.Code, w.Body)
			}
			w = call(h, "GET", to, "Cookie", cookie)
			set := map[string]string{}
			for _, c := range w.Result().Cookies() {
				set[c.Name] = c.Name + "=" + c.Value
			}
			if w.Code != 303 || w.Header().Get("Location") != "/me" || set["__Host-session"] == "" {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
			if w := call(h, "GET", "/me", "Cookie", set["__Host-session"]); w.Body.String() != "7 by session" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			// What the browser keeps of the old session logs nobody in.
			kept, _, _ := strings.Cut(cookie, "=")
			if set[kept] != "" {
				cookie = set[kept]
			}
			for what, w := range map[string]*httptest.ResponseRecorder{
				"used":     call(h, "GET", to, "Cookie", cookie),
				"none":     call(h, "GET", to),
				"disabled": call(h, "GET", to, "Cookie", program.logIn("8")),
				"deleted":  call(h, "GET", to, "Cookie", program.logIn("9")),
				"junk":     call(h, "GET", to, "Cookie", kept+"=junk"),
			} {
				if w.Code != 200 || !strings.Contains(w.Body.String(), "<form") || strings.Contains(strings.Join(w.Header()["Set-Cookie"], " "), "__Host-session") {
					t.Errorf("%s: %d %v %s", what, w.Code, w.Header(), w.Body)
				}
			}
			// The next page is one of this origin.
			if w := call(h, "GET", "/login?next=//evil.example", "Cookie", program.logIn("7")); w.Code != 303 || w.Header().Get("Location") != "/" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			// A form is a login with a password, whatever the old session says.
			if w := call(h, "POST", "/login", "Cookie", program.logIn("7"), "Content-Type", "application/x-www-form-urlencoded"); w.Code == 303 {
				t.Errorf("POST: %d", w.Code)
			}
		})
	}
}

// What the old program issued is worth nothing at the new one after a revocation there.
func TestRevoked(t *testing.T) {
	for what, revoke := range map[string]func(*memory.Store) error{
		"new_password":       func(db *memory.Store) error { return db.SetPassword(t.Context(), "7", "!x") },
		"log_out_everywhere": func(db *memory.Store) error { _, err := storage.LogoutEverywhere(t.Context(), db, "7"); return err },
		"disabled": func(db *memory.Store) error {
			return errors.Join(db.SetActive(t.Context(), "7", false), db.SetActive(t.Context(), "7", true))
		},
	} {
		for name, newOld := range map[string]func() old{"scs": oldSCS, "gorilla": oldGorilla} {
			t.Run("attack_439_"+what+"_"+name, func(t *testing.T) {
				db, program := newStore(t), newOld()
				mux, _ := newSite(db, program)
				before, stolen := program.logIn("7"), program.logIn("7")
				if w := call(mux, "GET", "/login", "Cookie", before); w.Code != 303 {
					t.Fatal(w.Code)
				}
				if err := revoke(db); err != nil {
					t.Fatal(err)
				}
				if w := call(mux, "GET", "/login", "Cookie", stolen); w.Code != 200 || !strings.Contains(w.Body.String(), "<form") || strings.Contains(strings.Join(w.Header()["Set-Cookie"], " "), "__Host-session") {
					t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
				}
			})
		}
		t.Run("attack_439_"+what+"_ginjwt", func(t *testing.T) {
			db := newStore(t)
			h := ginServer(t, db, time.Now().Add(time.Hour))
			if w := call(h, "GET", "/me", "Authorization", "Bearer "+ginAlice); w.Code != 200 {
				t.Fatal(w.Code)
			}
			if err := revoke(db); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/me", "/refresh_token"} {
				if w := call(h, "GET", path, "Authorization", "Bearer "+ginAlice); w.Code != 401 {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
}
