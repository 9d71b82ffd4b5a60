//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
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

// longName is a name that fits into no line of a phone.
const longName = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"

// peoplePages is a server with all pages of the library for people. GET /code begins the login of a
// device and responds with the code that the device shows, GET /exchange exchanges a code, and GET
// /mail responds with the last link.
func peoplePages(t *testing.T, origin, client string) http.Handler {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db := memory.New(nil)
	scopes := map[string]string{"openid": "Know who you are", "notes:read": "Read your notes", "notes:write": "", "contacts": "Read and change all of your contacts, their addresses and when you last wrote to them"}
	for _, c := range []storage.Client{
		{ID: "own", Name: "Notes", Scopes: []string{"openid", "notes:read", "notes:write"}},
		{ID: "self", Name: longName, Scopes: []string{"openid", "notes:read", "notes:write", "contacts"}, Registration: storage.DigestOf("x")},
	} {
		c.Method, c.Grants, c.RedirectURIs, c.Created = oauth2.None, []string{oauth2.AuthorizationCode, oauth2.DeviceCode}, []string{client + "/cb"}, time.Now()
		c.Resources = []string{"https://notes.example/api", "https://contacts.example/" + strings.Repeat("very-long-path/", 8)}
		must(db.CreateClient(t.Context(), c))
	}
	passwords, err := password.New(db, passwordtest.New(t, nil), &password.Options{InsecureNoLimiter: true})
	must(err)
	_, err = passwords.Register(t.Context(), password.NewUser{Name: "alice", Email: "alice@app.example", Password: "wonderland-42"})
	must(err)
	site, err := csrf.New(origin, nil)
	must(err)
	browsers, err := session.New(db, site, &session.Options{Remember: &session.RememberOptions{}})
	must(err)
	key, err := jose.Generate(jose.ES256)
	must(err)
	signing, err := jose.NewKeySet(key)
	must(err)
	ring, err := keys.NewRing(keys.Generate())
	must(err)
	api, err := oauth2.New(origin, db, nil)
	must(err)
	srv, err := server.New(api, db, &server.Options{Keys: ring, SigningKeys: signing, Scopes: scopes})
	must(err)
	sessions := server.Sessions{Of: browsers.FromIdentity, Token: session.Token}
	_, err = openid.New(srv, &openid.Options{Sessions: sessions, EndSession: browsers.EndCurrent})
	must(err)
	_, err = consent.New(srv, sessions, "/login", nil)
	must(err)
	links := make(chan string, 1)
	find := func(ctx context.Context, address string) (storage.User, error) {
		name, _, _ := strings.Cut(address, "@app.example")
		return db.UserByName(ctx, name)
	}
	resets, err := recovery.New(db, passwords, origin+"/reset", find, func(_ context.Context, m recovery.Message) error {
		links <- m.Link
		return nil
	}, nil)
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go func() { _ = resets.Run(ctx) }()

	mux := authz.NewMux(authn.New(authn.Chain{browsers}, nil))
	mux.Public("/login", browsers.LoginForm(resets.Checker(passwords), &session.FormOptions{Forgot: "/forgot"}))
	forms := &recovery.FormOptions{Login: "/login", Request: "/forgot"}
	mux.Public("/forgot", resets.RequestForm(forms))
	mux.Public("/reset", resets.ResetForm(forms))
	mux.Public("GET /mail", page(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, <-links) }))
	// ask sends a form of a client to an endpoint.
	ask := func(r *http.Request, h http.Handler, into any) {
		to := httptest.NewRequestWithContext(r.Context(), "POST", origin+"/", strings.NewReader(r.URL.RawQuery))
		to.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, to)
		if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil || rec.Code != http.StatusOK {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	mux.Public("GET /code", page(func(w http.ResponseWriter, r *http.Request) {
		var got struct {
			Code string `json:"user_code"`
		}
		ask(r, srv.DeviceAuthorization(), &got)
		fmt.Fprint(w, got.Code)
	}))
	mux.Public("GET /exchange", page(func(_ http.ResponseWriter, r *http.Request) { ask(r, srv.Token(), new(any)) }))
	mux.Handle("GET /staff", ownPage(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "staff only") }), authz.IsAdmin)
	for _, r := range srv.Routes() {
		if r.Access == server.ForClients {
			mux.Public(r.Pattern, r.Handler)
		} else {
			mux.Handle(r.Pattern, r.Handler, authz.AllowAny)
		}
	}
	return mux
}

// Every page for people can be used with the keyboard only, with and without scripts. Each page has
// a language, a title that is its heading, a label for each field, buttons that are large enough,
// and a visible focus, and does not scroll sideways on a small phone. VESTIBULE_PICTURES names a
// folder for pictures of each.
func TestPagesByKeyboard(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	for _, scripts := range []string{"with", "without"} {
		t.Run(scripts+"_scripts", func(t *testing.T) {
			hosts := map[string]http.Handler{}
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				name, _, _ := strings.Cut(r.Host, ":")
				hosts[name].ServeHTTP(w, r)
			}))
			s.StartTLS()
			defer s.Close()
			_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
			at := func(host string) string { return "https://" + host + ":" + port }
			hosts["login.example"] = peoplePages(t, at("login.example"), at("client.example"))
			hosts["client.example"] = page(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>landed") })
			seen := walk(t, "keyboard.mjs", chromium, at("login.example"), at("client.example"), scripts)
			is(t, seen, map[string]string{
				"problems":     `[]`,
				"wrong":        `["Log in","password"]`,
				"remember":     `true`,
				"consent":      `"Allow Notes?"`,
				"allowed":      `["client/cb",true]`,
				"unverified":   `"Allow ` + longName + `?"`,
				"denied":       `"Access denied"`,
				"denied_back":  `["client/cb","access_denied"]`,
				"device_wrong": `["Connect a device","user_code"]`,
				"device":       `"Allow Notes?"`,
				"device_done":  `"The device has access now."`,
				"grants":       `["Connected applications",["` + longName + `","Notes"]]`,
				"revoked":      `["Connected applications",["Notes"]]`,
				"stayed":       `"You are still logged in."`,
				"logged_out":   `"You are logged out."`,
				"forbidden":    `["Access denied",403]`,
				"forgot":       `"Reset your password"`,
				"sent":         `"Check your messages"`,
				"link":         map[string]string{"with": `["",true]`, "without": `["#token",false]`}[scripts],
				"weak":         `["Set a new password","password"]`,
				"reset":        `"Your password is changed"`,
				"used":         `["Set a new password","token"]`,
				"new_password": `"/staff"`,
			})
		})
	}
}
