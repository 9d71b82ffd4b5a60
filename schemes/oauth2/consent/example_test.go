package consent_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/openid"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func need[T any](v T, err error) T {
	check(err)
	return v
}

// authorizationServer returns a whole server, with OpenID Connect and the API that its tokens are
// for. In production replace memory.New by sqlite.Open or postgres.Open, keys.Generate by keys.Load
// and csrf.Loopback by csrf.New, and use an https issuer.
func authorizationServer(issuer string) (http.Handler, *memory.Store) {
	ctx := context.Background()
	db := memory.New(nil)
	ring := need(keys.NewRing(keys.Generate()))
	hasher := need(password.NewHasher(nil))
	passwords := need(password.New(db, hasher, nil))
	need(passwords.Register(ctx, password.NewUser{Name: "alice", Password: "wonderland-42"}))
	browsers := need(session.New(db, csrf.Loopback(), nil))
	signing := need(jwt.NewStoredKeys(db, ring, issuer, &jwt.KeyOptions{Algorithm: jose.RS256}))
	check(signing.Ensure(ctx))
	api := need(oauth2.New(issuer, db, nil))
	srv := need(server.New(api, db, &server.Options{
		Scopes:      map[string]string{"notes:read": "Read your notes", "profile": "See your name"},
		SigningKeys: signing,
	}))
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	need(openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent}))
	need(consent.New(srv, sessions, "/login", nil))

	mux := authz.NewMux(authn.New(authn.Chain{browsers, api}, nil)).RequireScopes()
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	for _, r := range srv.Routes() {
		switch r.Access {
		case server.ForClients:
			mux.Public(r.Pattern, r.Handler)
		case server.ForVisitors:
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		case server.ForAccounts:
			mux.Handle(r.Pattern, r.Handler, authz.FirstParty)
		}
	}
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		user, ok := authn.UserFrom[*storage.Account](r.Context())
		if !ok { // a client that acts for itself
			authn.Respond(w, r, authn.PermissionDenied("These are the notes of users."))
			return
		}
		fmt.Fprintf(w, "notes of %s for %s, who may %v", user.Name, id.Client, id.Scopes)
	}, authz.IsAuthenticated, authz.HasScope("notes:read"))
	return mux, db
}

// An authorization server, and what a browser and a client do with it.
func Example() {
	site := httptest.NewUnstartedServer(nil)
	issuer := "http://" + site.Listener.Addr().String()
	handler, db := authorizationServer(issuer)
	site.Config.Handler = handler
	site.Start()
	defer site.Close()

	// What "vestibule client create -public -native" does:
	client := storage.Client{
		ID: "phone", Name: "Notes for Phones", Method: oauth2.None, Native: true, RedirectURIs: []string{"http://127.0.0.1/callback"},
		Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"openid", "profile", "notes:read"},
	}
	check(oauth2.CheckClient(client))
	check(db.CreateClient(context.Background(), client))

	// The client sends alice's browser to the server; she logs in and allows it.
	verifier := "a-random-text-of-43-characters-and-more-0123456789"
	sum := sha256.Sum256([]byte(verifier))
	redirect := "http://127.0.0.1:8400/callback"
	ask := issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {redirect}, "scope": {"openid profile notes:read"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	jar := need(cookiejar.New(nil))
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	fetch(browser, "POST", issuer+"/login", url.Values{"username": {"alice"}, "password": {"wonderland-42"}})
	_, page := fetch(browser, "GET", ask, nil)
	field := func(name string) []string {
		return regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)[1:]
	}
	answer, _ := fetch(browser, "POST", issuer+"/oauth2/authorize", url.Values{"handle": field("handle"), csrf.Field: field(csrf.Field), "decision": {"allow"}})
	back := need(answer.Location())
	fmt.Println(back.Query().Get("state"), back.Query().Get("iss") == issuer)

	// The client exchanges the code and calls the API.
	_, body := fetch(http.DefaultClient, "POST", issuer+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {client.ID}, "code": {back.Query().Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	})
	var token struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
		Scope  string
	}
	check(json.Unmarshal([]byte(body), &token))
	fmt.Println(token.Type, token.Scope)
	r := need(http.NewRequest("GET", issuer+"/notes", nil))
	r.Header.Set("Authorization", "Bearer "+token.Access)
	_, body = send(http.DefaultClient, r)
	fmt.Println(body)
	// Output:
	// s true
	// Bearer openid profile notes:read
	// notes of alice for phone, who may [openid profile notes:read]
}

// fetch sends a form, or asks where there is none.
func fetch(c *http.Client, method, address string, form url.Values) (*http.Response, string) {
	r := need(http.NewRequest(method, address, strings.NewReader(form.Encode())))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return send(c, r)
}

func send(c *http.Client, r *http.Request) (*http.Response, string) {
	answer := need(c.Do(r))
	defer answer.Body.Close()
	return answer, string(need(io.ReadAll(answer.Body)))
}
