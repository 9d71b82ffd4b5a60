package globalrevocation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/globalrevocation"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

type world struct {
	*oauthtest.World
	at    *globalrevocation.Endpoint
	token string // of the client "next", with the scope
}

// newWorld adds the client "next", which may log out accounts.
func newWorld(t *testing.T, s oauthtest.Store, o *globalrevocation.Options) *world {
	t.Helper()
	w := &world{World: oauthtest.NewWorld(t, s, oauthtest.WithLimits)}
	var err error
	w.at, err = globalrevocation.New(w.Server.Server, w.DB, o)
	oauthtest.Must(t, err)
	secret, digest, err := oauth2.NewSecret()
	oauthtest.Must(t, err)
	w.Secrets["next"] = secret
	oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "next", Method: oauth2.SecretBasic, Secret: digest, Grants: []string{oauth2.ClientCredentials}, Scopes: []string{"read", globalrevocation.Scope}}))
	w.token = w.Post(w.Token(), "next", "grant_type", "client_credentials", "scope", globalrevocation.Scope).Access
	return w
}

// sends sends a body with a token.
func (w *world) sends(token, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", oauthtest.Issuer+globalrevocation.DefaultPath, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range change {
		c(r)
	}
	rec := httptest.NewRecorder()
	w.at.ServeHTTP(rec, r)
	return rec
}

const ofAlice = `{"sub_id":{"format":"opaque","id":"id-alice"}}`

// When the endpoint has answered, no credential of the account works: not an access token, a refresh
// token, a code, or a device token. It answers the same again, and for a disabled account.
func TestRevokesEverything(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := newWorld(t, s, nil)
		grant, code := w.Exchange("app", w.Code("app", nil)), w.Code("app", nil)
		if w.Status(grant.Access) != 200 {
			t.Fatal("not active")
		}
		w.Events()
		for range 2 {
			if rec := w.sends(w.token, ofAlice); rec.Code != 204 || rec.Body.Len() != 0 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			if c := w.Status(grant.Access); c != 401 {
				t.Errorf("access token: %d", c)
			}
		}
		if r := w.Refreshes("app", grant.Refresh); r.Status != 400 || r.Error != "invalid_grant" {
			t.Errorf("refresh token: %s", r.Body)
		}
		if r := w.Exchange("app", code); r.Status != 400 || r.Error != "invalid_grant" {
			t.Errorf("code: %s", r.Body)
		}
		if r := w.Post(w.Introspect(), "api", "token", grant.Access); r.Active {
			t.Errorf("introspection: %s", r.Body)
		}
		if !slices.ContainsFunc(w.Events(), func(e audit.Event) bool {
			return e.Kind == audit.LogoutEverywhere && e.Client == "next" && e.Subject == "id-alice" && e.Epoch > 0
		}) {
			t.Error("no event")
		}
		if again := w.Exchange("app", w.Code("app", nil)); w.Status(again.Access) != 200 {
			t.Error("a later login does not work")
		}
		oauthtest.Must(t, s.SetActive(t.Context(), "id-alice", false))
		if rec := w.sends(w.token, ofAlice); rec.Code != 204 {
			t.Errorf("disabled account: %d %s", rec.Code, rec.Body)
		}
	})
}

// A login or a refresh that runs beside the request leaves no token of the time before it.
func TestRacesLogins(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := newWorld(t, s, nil)
		for round := range 4 {
			grant := w.Exchange("app", w.Code("app", nil))
			code := w.Code("app", nil)
			var got [2]oauthtest.Reply
			var all sync.WaitGroup
			start := make(chan struct{})
			all.Go(func() { <-start; got[0] = w.Exchange("app", code) })
			all.Go(func() { <-start; got[1] = w.Refreshes("app", grant.Refresh) })
			all.Go(func() {
				<-start
				if rec := w.sends(w.token, ofAlice); rec.Code != 204 {
					t.Errorf("round %d: %d %s", round, rec.Code, rec.Body)
				}
			})
			close(start)
			all.Wait()
			for _, r := range append(got[:], grant) {
				if r.Access != "" && w.Status(r.Access) != 401 {
					t.Errorf("round %d: a token survives", round)
				}
			}
		}
	})
}

// Each format finds its account. Unknown accounts are 404, and nobody is logged out by mistake.
func TestFormats(t *testing.T) {
	down := errors.New("directory down")
	w := newWorld(t, memory.New(nil), &globalrevocation.Options{
		Email: func(_ context.Context, address string) (string, error) {
			switch address {
			case "alice@app.example":
				return "id-alice", nil
			case "empty@app.example":
				return "", nil
			case "down@app.example":
				return "", down
			}
			return "", storage.ErrNotFound
		},
		Issuers: map[string]func(context.Context, string) (string, error){"https://idp.example": func(_ context.Context, sub string) (string, error) {
			switch sub {
			case "a-1":
				return "id-alice", nil
			case "managed":
				return "", globalrevocation.ErrNotPossible
			case "panic":
				panic("secret")
			}
			return "", storage.ErrNotFound
		}},
		Allow: func(_ context.Context, client, subject string) (bool, error) {
			return client == "next" && subject != "id-other-tenant", nil
		},
	})
	long := strings.Repeat("x", 5<<10)
	for name, c := range map[string]struct {
		id   string
		want int
	}{
		"opaque":                  {`{"format":"opaque","id":"id-alice"}`, 204},
		"own issuer":              {`{"format":"iss_sub","iss":"` + oauthtest.Issuer + `","sub":"id-alice"}`, 204},
		"mapped issuer":           {`{"format":"iss_sub","iss":"https://idp.example","sub":"a-1"}`, 204},
		"email":                   {`{"format":"email","email":"alice@app.example"}`, 204},
		"unknown":                 {`{"format":"opaque","id":"id-nobody"}`, 404},
		"other case":              {`{"format":"opaque","id":"ID-ALICE"}`, 404},
		"unknown issuer":          {`{"format":"iss_sub","iss":"https://evil.example","sub":"id-alice"}`, 404},
		"subject of their issuer": {`{"format":"iss_sub","iss":"https://idp.example","sub":"id-alice"}`, 404},
		"unknown address":         {`{"format":"email","email":"x@app.example"}`, 404},
		"no subject":              {`{"format":"email","email":"empty@app.example"}`, 404},
		"not possible":            {`{"format":"iss_sub","iss":"https://idp.example","sub":"managed"}`, 422},
		"other tenant":            {`{"format":"opaque","id":"id-other-tenant"}`, 403},
		"function failed":         {`{"format":"email","email":"down@app.example"}`, 503},
		"function panicked":       {`{"format":"iss_sub","iss":"https://idp.example","sub":"panic"}`, 503},
		"no format":               {`{"id":"id-alice"}`, 400},
		"unknown format":          {`{"format":"phone_number","phone_number":"+1"}`, 400},
		"aliases":                 {`{"format":"aliases","identifiers":[{"format":"opaque","id":"id-alice"}]}`, 400},
		"array":                   {`[{"format":"opaque","id":"id-alice"}]`, 400},
		"null":                    {`null`, 400},
		"text":                    {`"id-alice"`, 400},
		"number":                  {`{"format":"opaque","id":1}`, 400},
		"list":                    {`{"format":"opaque","id":["id-alice","id-bob"]}`, 400},
		"empty":                   {`{"format":"opaque","id":""}`, 400},
		"NUL":                     {`{"format":"opaque","id":"id-alice\u0000"}`, 400},
		"twice":                   {`{"format":"opaque","id":"id-bob","id":"id-alice"}`, 400},
		"more members":            {`{"format":"opaque","id":"id-alice","sub":"id-bob"}`, 400},
		"format in another case":  {`{"Format":"opaque","id":"id-alice"}`, 400},
		"too long":                {`{"format":"opaque","id":"` + long + `"}`, 400},
	} {
		before, err := w.DB.SubjectEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		rec := w.sends(w.token, `{"sub_id":`+c.id+`}`)
		after, err := w.DB.SubjectEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		if rec.Code != c.want || (after != before) != (c.want == 204) {
			t.Errorf("%s: %d %s, epoch %d to %d", name, rec.Code, rec.Body, before, after)
		}
		if c.want == 503 && rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
	}
	for _, body := range []string{"", "{}", "x", `{"sub_id":{"format":"opaque","id":"id-alice"},"sub_id":{"format":"opaque","id":"id-bob"}}`,
		`{"sub_id":{"format":"opaque","id":"id-alice"},"subject":"id-bob"}`, ofAlice + ofAlice} {
		if rec := w.sends(w.token, body); rec.Code != 400 {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
}

// Only a client's own token with the scope is accepted. What the response says about accounts is for
// such clients only.
func TestCallers_attack_506(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	app, err := w.DB.ClientByID(t.Context(), "app")
	oauthtest.Must(t, err)
	app.Scopes = append(app.Scopes, globalrevocation.Scope)
	oauthtest.Must(t, w.DB.UpdateClient(t.Context(), app))
	users := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Scopes = []string{globalrevocation.Scope} })).Access
	narrow := w.Post(w.Token(), "next", "grant_type", "client_credentials", "scope", "read").Access
	cookie := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session", Value: w.token}) }
	for what, c := range map[string]struct {
		token  string
		change func(*http.Request)
		want   int
	}{
		"a user's token with the scope": {users, nil, 403},
		"a token without the scope":     {narrow, nil, 403},
		"no token":                      {"", nil, 401},
		"a cookie":                      {"", cookie, 401},
		"an unknown token":              {oauthtest.Changed(w.token), nil, 401},
		"GET":                           {w.token, func(r *http.Request) { r.Method = "GET" }, 405},
		"a form":                        {w.token, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 400},
		"text":                          {w.token, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 400},
	} {
		before, err := w.DB.SubjectEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		for _, body := range []string{ofAlice, `{"sub_id":{"format":"opaque","id":"id-nobody"}}`} {
			var change []func(*http.Request)
			if c.change != nil {
				change = append(change, c.change)
			}
			rec := w.sends(c.token, body, change...)
			if rec.Code != c.want || c.want == 401 && rec.Header().Get("WWW-Authenticate") == "" || rec.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %d %s %v", what, rec.Code, rec.Body, rec.Header())
			}
		}
		if after, _ := w.DB.SubjectEpoch(t.Context(), "id-alice"); after != before {
			t.Errorf("%s: logged out", what)
		}
	}
	w.DB.Fail.Store(true)
	if rec := w.sends(w.token, ofAlice); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("without a store: %d %s", rec.Code, rec.Body)
	}
	w.DB.Fail.Store(false)
	if strings.Contains(w.Log.String(), w.token) {
		t.Error("a token is in the log")
	}
}

// A client has a limit, which ends; another client has its own.
func TestLimit(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	code := 0
	for range 501 {
		code = w.sends(w.token, `{"sub_id":{"format":"opaque","id":"id-nobody"}}`).Code
	}
	rec := w.sends(w.token, ofAlice)
	if code != 429 || rec.Code != 429 || rec.Header().Get("Retry-After") == "" {
		t.Fatalf("%d, %d %s", code, rec.Code, rec.Body)
	}
	w.Pass(10 * time.Second)
	if rec := w.sends(w.token, ofAlice); rec.Code != 204 {
		t.Errorf("later: %d %s", rec.Code, rec.Body)
	}
}

// The metadata and the routes name the endpoint. Invalid options are errors.
func TestNew(t *testing.T) {
	w := newWorld(t, memory.New(nil), nil)
	r := w.Send(w.Metadata(), httptest.NewRequest("GET", oauthtest.Issuer+"/.well-known/oauth-authorization-server", nil), "")
	if !strings.Contains(r.Body, `"global_token_revocation_endpoint":"`+oauthtest.Issuer+globalrevocation.DefaultPath+`"`) || !strings.Contains(r.Body, `"`+globalrevocation.Scope+`"`) {
		t.Errorf("metadata: %s", r.Body)
	}
	if !strings.Contains(fmt.Sprint(w.Routes()), globalrevocation.DefaultPath) {
		t.Error("no route")
	}
	for what, o := range map[string]globalrevocation.Options{
		"path": {Path: "x"}, "pattern": {Path: "/{x}"},
		"own issuer":  {Issuers: map[string]func(context.Context, string) (string, error){oauthtest.Issuer: func(context.Context, string) (string, error) { return "", nil }}},
		"no function": {Issuers: map[string]func(context.Context, string) (string, error){"https://idp.example": nil}},
	} {
		if _, err := globalrevocation.New(w.Server.Server, w.DB, &o); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := globalrevocation.New(nil, w.DB, nil); err == nil {
		t.Error("no server: accepted")
	}
	if _, err := globalrevocation.New(w.Server.Server, nil, nil); err == nil {
		t.Error("no store: accepted")
	}
}
