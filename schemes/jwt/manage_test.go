package jwt_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/storage"
)

// A user can list and revoke their own logins. Logins of others return 404.
func TestLogins(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	schemetest.Must(t, w.store.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
	mux := http.NewServeMux()
	mux.Handle("/logins", w.Logins())
	mux.Handle("/logins/{id}", w.RevokeLogin())
	send := func(method, path, token string, as ...authn.Identity) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		rec := httptest.NewRecorder()
		authn.New(authn.Chain{}, &authn.Options{Logger: schemetest.Quiet}).Handler(http.HandlerFunc(func(rw http.ResponseWriter, in *http.Request) {
			for _, id := range as {
				in = authntest.As(in, id)
			}
			mux.ServeHTTP(rw, in)
		})).ServeHTTP(rec, r)
		return rec
	}
	type login struct {
		ID, Name, Created, Expiry string
		Current                   bool
	}
	list := func(rec *httptest.ResponseRecorder) (list []login) {
		t.Helper()
		if rec.Code != 200 || rec.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		schemetest.Must(t, json.Unmarshal(rec.Body.Bytes(), &list))
		return list
	}
	phone, err := w.Issue(t.Context(), "id-alice", 0, &jwt.Grant{Name: "phone"})
	schemetest.Must(t, err)
	w.clock.Pass(time.Second)
	laptop, err := w.Issue(t.Context(), "id-alice", 0, &jwt.Grant{Name: "laptop"})
	schemetest.Must(t, err)
	bobs, err := w.Issue(t.Context(), "id-bob", 0, nil)
	schemetest.Must(t, err)
	mine := list(send("GET", "/logins", phone.Access))
	if len(mine) != 2 || mine[0].Name != "laptop" || mine[0].Current || !mine[1].Current || mine[0].Created == "" || mine[0].Expiry == "" {
		t.Fatalf("%+v", mine)
	}
	his := list(send("GET", "/logins", bobs.Access))
	if got := list(send("GET", "/logins", "", authn.Identity{Subject: "id-alice", Scheme: "session"})); len(got) != 2 || got[0].Current || got[1].Current {
		t.Errorf("by a session: %+v", got)
	}
	limited, err := w.Issue(t.Context(), "id-alice", 0, &jwt.Grant{Scopes: []string{"read"}})
	schemetest.Must(t, err)
	if id, err := w.Authenticate(bearer(limited.Access)); err != nil || id.Roles != nil || !id.Delegated() {
		t.Errorf("limited to scopes: %+v, %v: it has no roles", id, err)
	}
	if id, err := w.Authenticate(bearer(phone.Access)); err != nil || len(id.Roles) != 1 {
		t.Errorf("not limited: %+v, %v", id, err)
	}
	for what, c := range map[string]struct {
		rec  *httptest.ResponseRecorder
		want int
	}{
		"nobody":                      {send("GET", "/logins", ""), 401},
		"nobody ends":                 {send("DELETE", "/logins/"+mine[0].ID, ""), 401},
		"junk":                        {send("GET", "/logins", "junk"), 401},
		"limited to scopes":           {send("GET", "/logins", limited.Access), 403},
		"limited to scopes ends":      {send("DELETE", "/logins/"+mine[0].ID, limited.Access), 403},
		"another issuer's":            {send("GET", "/logins", "", authn.Identity{Subject: "id-alice", Issuer: "https://idp.example"}), 403},
		"a client alone":              {send("GET", "/logins", "", authn.Identity{Client: "c"}), 403},
		"another's":                   {send("DELETE", "/logins/"+his[0].ID, phone.Access), 404},
		"unheard of":                  {send("DELETE", "/logins/x", phone.Access), 404},
		"an id that cannot be":        {send("DELETE", "/logins/a%00b", phone.Access), 404},
		"another method for the list": {send("POST", "/logins", phone.Access), 405},
		"another method for one":      {send("GET", "/logins/x", phone.Access), 405},
	} {
		if c.rec.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", what, c.rec.Code, c.want, c.rec.Body)
		}
	}
	if w.status(laptop.Access) != 200 || w.status(bobs.Access) != 200 {
		t.Error("a refused request ended something")
	}
	if rec := send("DELETE", "/logins/"+mine[0].ID, phone.Access); rec.Code != 204 || w.status(laptop.Access) != 401 || w.status(phone.Access) != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := send("DELETE", "/logins/"+mine[0].ID, phone.Access); rec.Code != 404 {
		t.Errorf("again: %d", rec.Code)
	}
	if _, code := w.refreshes(t, laptop.Refresh); code != 401 {
		t.Errorf("the ended login refreshes: %d", code)
	}
}

// Revoking a revoked login sends no second event.
func TestOneEventForOneLogout(t *testing.T) {
	w := newWorld(t, jwt.Options{})
	p := w.issue(t)
	for range 2 {
		schemetest.Must(t, w.Revoke(t.Context(), p.Refresh))
	}
	if n := len(w.events.Events()); n != 2 || w.events.Events()[1].Kind != audit.Logout {
		t.Errorf("%d events: %v", n, w.events.Events())
	}
	p = w.issue(t)
	w.clock.Pass(1000 * time.Hour)
	schemetest.Must(t, w.Revoke(t.Context(), p.Refresh))
	if n := len(w.events.Events()); n != 3 {
		t.Errorf("%d events: %v", n, w.events.Events())
	}
}
