//go:build interop

package interop

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// formTo is a page with a form of hidden fields that goes to "to".
var formTo = template.Must(template.New("").Parse(`<!doctype html><title>a form</title><form method="post" action="{{.to}}">
{{range $name, $value := .fields}}<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}<button>go</button></form>`))

// farClient is a client's site: its addresses lead on to a third site, as those of a proxy do.
func farClient(third string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /form", page(func(w http.ResponseWriter, r *http.Request) {
		fields := map[string]string{}
		for name, list := range r.URL.Query() {
			if name != "to" {
				fields[name] = list[0]
			}
		}
		_ = formTo.Execute(w, map[string]any{"to": r.URL.Query().Get("to"), "fields": fields})
	}))
	for _, path := range []string{"/cb", "/bye"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, third+path+"?"+r.URL.RawQuery, http.StatusFound)
		})
	}
	return mux
}

// provides is the authorization server with its pages, and a page of its own.
func provides(t *testing.T, origin, client, third string) http.Handler {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db := memory.New(nil)
	must(db.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
	must(db.CreateClient(t.Context(), storage.Client{
		ID: "far", Name: "Far", Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode}, Scopes: []string{"openid"},
		RedirectURIs: []string{client + "/cb"}, LogoutURIs: []string{client + "/bye"},
	}))
	site, err := csrf.New(origin, nil)
	must(err)
	browsers, err := session.New(db, site, nil)
	must(err)
	key, err := jose.Generate(jose.ES256)
	must(err)
	signing, err := jose.NewKeySet(key)
	must(err)
	ring, err := keys.NewRing(keys.Generate())
	must(err)
	api, err := oauth2.New(origin, db, nil)
	must(err)
	srv, err := server.New(api, db, &server.Options{Keys: ring, SigningKeys: signing, Origins: []string{third}})
	must(err)
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	_, err = openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent})
	must(err)
	_, err = consent.New(srv, sessions, "/login", nil)
	must(err)
	mux := authz.NewMux(authn.New(authn.Chain{browsers}, nil))
	mux.Public("/login", browsers.LoginForm(knows{db}, nil))
	mux.Public("GET /kill", page(func(w http.ResponseWriter, r *http.Request) {
		_, err := browsers.EndAll(r.Context(), "id-alice", "")
		fmt.Fprint(w, err)
	}))
	for _, r := range srv.Routes() {
		if r.Access == server.ForClients {
			mux.Public(r.Pattern, r.Handler)
		} else {
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		}
	}
	mux.Handle("GET /me", ownPage(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<!doctype html><p>Hello %s</p>", authn.FromContext(r.Context()).Subject)
	}), authz.IsAuthenticated)
	return mux
}

// ownPage declares an application's own page.
func ownPage(h http.HandlerFunc) http.Handler { return authn.Page("/login", page(h)) }

// A real browser gets through the pages where the client's addresses redirect to another site,
// by POST, from scripts, and after the session ended elsewhere.
func TestPagesInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	hosts := map[string]http.Handler{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(r.Host, ":")
		hosts[name].ServeHTTP(w, r)
	}))
	s.StartTLS()
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	at := func(host string) string { return "https://" + host + ":" + port }
	server, client, third := at("login.example"), at("client.example"), at("third.example")
	hosts["login.example"], hosts["client.example"] = provides(t, server, client, third), farClient(third)
	hosts["third.example"] = page(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>landed") })

	seen := walk(t, "pages.mjs", chromium, server, client, third)
	for name, group := range map[string]map[string]string{
		"edge_B05": {
			"allow": `"third/cb"`, "landed": `["a state",true]`, "deny": `["third/cb","access_denied"]`, "logout": `["third/bye","z"]`, "out": `"/login"`,
		},
		"edge_B08": {"post_request": `"/login"`, "login": `"/oauth2/authorize"`},
		"edge_B07": {
			"question_by_post": `["/oauth2/logout",true]`, "stay": `["/oauth2/logout","You are still logged in."]`, "still_in": `["/me","Hello id-alice"]`,
			"logout_by_post": `["third/bye","z"]`, "out_by_post": `"/login"`, "nothing_to_end": `false`,
		},
		"edge_B04": {
			"exchange": `[200,true]`, "error_is_read": `[401,"invalid_client"]`, "authorize_by_script": `"TypeError"`, "token_from_elsewhere": `"TypeError"`,
			"document /.well-known/oauth-authorization-server": `200`, "document /.well-known/openid-configuration": `200`, "document /oauth2/jwks": `200`,
		},
		"edge_B06": {
			"login_again": `"/me"`, "before /me": `["__Host-session"]`, "ended /me": `["/login",[]]`, "back /me": `"/me"`, "ended /oauth2/authorize": `["/login",[]]`, "back /oauth2/authorize": `"/oauth2/authorize"`,
			"ended /oauth2/device": `["/login",[]]`, "back /oauth2/device": `"/oauth2/device"`, "ended /oauth2/applications": `["/login",[]]`, "back /oauth2/applications": `"/oauth2/applications"`,
			"allow_too_late": `["/login","/oauth2/authorize"]`, "allow_again": `"third/cb"`, "silent": `["third/cb","login_required"]`,
		},
	} {
		t.Run(name, func(t *testing.T) { is(t, seen, group) })
	}
}
