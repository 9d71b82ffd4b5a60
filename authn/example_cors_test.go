package authn_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// #region cors

// allowScripts allows scripts of those origins to call an API with credentials in Authorization. It
// wraps the router, because a preflight request has no credentials and a guard would reject it.
func allowScripts(origins []string, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		h.Add("Vary", "Origin")
		if slices.Contains(origins, origin) {
			h.Set("Access-Control-Allow-Origin", origin) // errors too, so that the script can read them
			h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce, Retry-After")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, DPoP")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

// #endregion cors

// An API for scripts of another origin, which send a token in Authorization. No cookies are used,
// so there is no Access-Control-Allow-Credentials.
func ExampleMiddleware_cors() {
	tokens := authn.Func(func(r *http.Request) (authn.Identity, error) {
		text, err := authn.Credentials(r, "Token", "token")
		if err != nil {
			return authn.Identity{}, err
		}
		return authn.Identity{Subject: text, Scheme: "token"}, nil
	})
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "notes of ", authn.FromContext(r.Context()).Subject)
	}, authz.IsAuthenticated)
	api := allowScripts([]string{"https://front.example"}, mux)

	preflight := httptest.NewRequest("OPTIONS", "/notes", nil)
	preflight.Header.Set("Origin", "https://front.example")
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	preflight.Header.Set("Access-Control-Request-Headers", "authorization")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, preflight)
	fmt.Println(w.Code, w.Header().Get("Access-Control-Allow-Headers"))

	r := httptest.NewRequest("GET", "/notes", nil)
	r.Header.Set("Origin", "https://front.example")
	r.Header.Set("Authorization", "Token alice")
	w = httptest.NewRecorder()
	api.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body, w.Header().Get("Access-Control-Allow-Origin"))
	// Output:
	// 204 Authorization, Content-Type, Accept, DPoP
	// 200 notes of alice https://front.example
}

// The code of the guide for an API with Authorization: preflight requests are answered before
// authentication, scripts can read errors, and other origins get no access.
func TestScriptsOfOtherOrigins(t *testing.T) {
	w := newWorld(t)
	mux := authz.NewMux(authn.New(authn.Chain{w.token}, &authn.Options{Logger: quiet}))
	mux.HandleFunc("GET /notes", who, authz.IsAuthenticated)
	api := allowScripts([]string{"https://front.example"}, mux)
	for name, c := range map[string]struct {
		method, origin string
		headers        []string
		status         int
	}{
		"preflight":        {"OPTIONS", "https://front.example", []string{"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}, 204},
		"good":             {"GET", "https://front.example", []string{"Authorization: Token " + w.good}, 200},
		"bad":              {"GET", "https://front.example", []string{"Authorization: Token junk"}, 401},
		"nobody":           {"GET", "https://front.example", nil, 401},
		"another origin":   {"OPTIONS", "https://evil.example", []string{"Access-Control-Request-Method: GET"}, 401}, // the mux asks who it is before it says which methods there are
		"null":             {"GET", "null", []string{"Authorization: Token " + w.good}, 200},
		"a longer origin":  {"GET", "https://front.example.evil", []string{"Authorization: Token " + w.good}, 200},
		"no script at all": {"GET", "", []string{"Authorization: Token " + w.good}, 200},
	} {
		t.Run("edge_B04/"+name, func(t *testing.T) {
			if c.origin != "" {
				c.headers = append(c.headers, "Origin: "+c.origin)
			}
			rec := ask(api, c.method, "/notes", c.headers...)
			want := ""
			if c.origin == "https://front.example" {
				want = c.origin
			}
			if rec.Code != c.status || rec.Header().Get("Access-Control-Allow-Origin") != want || rec.Header().Get("Access-Control-Allow-Credentials") != "" || !slices.Contains(rec.Header()["Vary"], "Origin") {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
	}
}
