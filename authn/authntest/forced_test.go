package authntest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// application is tested with its production chain, and with Forced of that chain.
func application(t *testing.T) (real, forced *authz.Mux, good string, log *bytes.Buffer) {
	db := memory.New(nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.CreateUser(t.Context(), storage.User{ID: "42", Name: "alice", Active: true}))
	ring, err := keys.NewRing(keys.Generate())
	must(err)
	browsers, err := session.New(db, csrf.Loopback(), nil)
	must(err)
	devices, err := knox.New(db, nil)
	must(err)
	tokens, err := token.New(db, ring, nil)
	must(err)
	good, err = tokens.GetOrCreate(t.Context(), "42", 0)
	must(err)
	own := authn.Func(func(*http.Request) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials })
	chain := authn.Chain{authn.Chain{browsers, devices}, tokens, own}
	log = new(bytes.Buffer)
	routes := func(a authn.Authenticator) *authz.Mux {
		m := authz.NewMux(authn.New(a, &authn.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
		who := func(w http.ResponseWriter, r *http.Request) {
			id := authn.FromContext(r.Context())
			fmt.Fprintf(w, "%s by %s", id.Subject, id.Scheme)
		}
		m.HandleFunc("GET /me", who, authz.IsAuthenticated)
		m.HandleFunc("GET /admin", who, authz.IsAdmin)
		m.HandleFunc("GET /notes", who, authz.HasScope("notes"))
		m.HandleFunc("GET /open", who, authz.AllowAny)
		return m
	}
	return routes(chain), routes(authntest.Forced(chain)), good, log
}

func answer(h http.Handler, r *http.Request) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return fmt.Sprint(w.Code, " ", w.Body, " ", w.Header()["Www-Authenticate"], w.Header()["Vary"])
}

func request(path string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// Requests that are not forced get the same responses as in production.
func TestForcedIsTheRealChain(t *testing.T) {
	real, forced, good, _ := application(t)
	for _, path := range []string{"/me", "/admin", "/notes", "/open", "/none"} {
		for name, headers := range map[string][]string{
			"anonymous": nil, "good": {"Authorization", "Token " + good}, "bad": {"Authorization", "Token vst_x"}, "nobody's": {"Authorization", "Token junk"}, "two": {"Authorization", "Token a", "Authorization", "Token b"},
			"a dead session": {"Cookie", "session=x"}, "a browser": {"Sec-Fetch-Mode", "cors"}, "malformed": {"Authorization", "Knox a b"}, "unknown keyword": {"Authorization", "Other x"}, "both": {"Authorization", "Token " + good, "Cookie", "session=x"},
		} {
			want, got := answer(real, request(path, headers...)), answer(forced, request(path, headers...))
			if got != want {
				t.Errorf("edge_C21: %s %s: %s, want %s", path, name, got, want)
			}
		}
	}
	var a, b bytes.Buffer
	_, _ = authz.WriteRoutes(&a, real.Routes()), authz.WriteRoutes(&b, forced.Routes())
	if a.String() != b.String() {
		t.Errorf("edge_C21: the route lists differ:\n%s\n%s", &a, &b)
	}
}

func TestForced(t *testing.T) {
	_, forced, good, log := application(t)
	for name, x := range map[string]struct {
		path string
		id   authn.Identity
		want string
	}{
		"a user":                      {"/me", authn.Identity{Subject: "7", Scheme: "token"}, "200 7 by token"},
		"an administrator":            {"/admin", authn.Identity{Subject: "7", Roles: []string{"admin"}, Scheme: "knox"}, "200 7 by knox"},
		"by session: nothing renewed": {"/me", authn.Identity{Subject: "7", Scheme: "session"}, "200 7 by session"},
		"no scheme":                   {"/me", authn.Identity{Subject: "7"}, "200 7 by session"},
		"a scheme of no chain":        {"/me", authn.Identity{Subject: "7", Scheme: "oauth2"}, "200 7 by oauth2"},
		"may not":                     {"/admin", authn.Identity{Subject: "7", Scheme: "token"}, "403"},
		"a client without scopes":     {"/notes", authn.Identity{Client: "app", Scheme: "token"}, "403"},
		"anonymous":                   {"/me", authn.Identity{}, "401"},
		"anonymous on an open route":  {"/open", authn.Identity{}, "200  by "},
	} {
		t.Run("edge_C21/"+name, func(t *testing.T) {
			for _, headers := range [][]string{nil, {"Authorization", "Token " + good}, {"Cookie", "session=x"}, {"Authorization", "Token junk"}} {
				w := httptest.NewRecorder()
				forced.ServeHTTP(w, authntest.As(request(x.path, headers...), x.id))
				got := fmt.Sprint(w.Code)
				if w.Code == 200 {
					got += " " + w.Body.String()
				}
				if got != x.want {
					t.Errorf("%v: %s, want %s", headers, got, x.want)
				}
				challenges := w.Header()["Www-Authenticate"]
				if w.Code == 401 && !slices.Equal(challenges, []string{`Session realm="api"`, "Knox", "Token"}) || x.path == "/notes" && !slices.Equal(challenges, []string{"Token"}) {
					t.Errorf("%v: %q", headers, challenges)
				}
			}
		})
	}
	if log.Len() > 0 && bytes.Contains(log.Bytes(), []byte("level=ERROR")) {
		t.Errorf("edge_C21: %s", log)
	}
	if err := authn.Check(authntest.Forced(authn.Chain{nil})); err == nil {
		t.Error("a nil scheme is taken")
	}
}
