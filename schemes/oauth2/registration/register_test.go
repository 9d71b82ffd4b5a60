package registration_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/registration"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestRegister(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w, initial := oauthtest.NewRegistry(t, s, nil)
		got := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://new.example/cb"],"client_name":"Nice","scope":"read","logo_uri":"https://evil.example/x","jwks_uri":"http://169.254.169.254/","whatever":{"a":[1]}}`)
		if got.Status != 201 || got.ID == "" || !strings.HasPrefix(got.Secret, "vcs_") || got.Expires == nil || *got.Expires != 0 || got.Issued != w.Clock().Unix() || got.Method != oauth2.SecretBasic ||
			strings.Join(got.Grants, " ") != "authorization_code" || strings.Join(got.Responses, " ") != "code" || got.Scope != "read" || got.Name != "Nice" || got.Kind != "web" ||
			got.URI != oauthtest.Issuer+"/oauth2/register/"+got.ID || !strings.HasPrefix(got.Token, "vrg_") || strings.Contains(got.Body, "evil") || w.Take() != "client.created" {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		c, err := w.DB.ClientByID(t.Context(), got.ID)
		if err != nil || c.Trusted || c.Secret != storage.DigestOf(got.Secret) || c.Registration != storage.DigestOf(got.Token) || len(c.Resources) != 0 || oauth2.CheckClient(c) != nil {
			t.Errorf("%+v, %v", c, err)
		}
		// It works like any other.
		handle := oauthtest.HandleOf(t, w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query(got.ID, "redirect_uri", "https://new.example/cb", "scope", "read"), ""))
		v := oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "POST", "", "handle="+handle+"&decision=allow"), "https://new.example/cb")
		r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
		r.SetBasicAuth(got.ID, got.Secret)
		if tokens := w.Send(w.Token(), r, "grant_type=authorization_code&redirect_uri=https%3A%2F%2Fnew.example%2Fcb&code="+v.Get("code")+"&code_verifier="+oauthtest.Verifier); tokens.Status != 200 || tokens.Scope != "read" || tokens.Refresh != "" {
			t.Errorf("%d %s", tokens.Status, tokens.Body)
		} else {
			w.Take()
			t.Run("read and delete", func(t *testing.T) {
				path := "/oauth2/register/" + got.ID
				read := w.Manages("GET", path, got.Token, "")
				if read.Status != 200 || read.ID != got.ID || read.Secret != "" || read.Token != got.Token || read.URI != got.URI || read.Scope != "read" || read.Expires != nil {
					t.Errorf("%d %s", read.Status, read.Body)
				}
				if end := w.Manages("DELETE", path, got.Token, ""); end.Status != 204 || end.Body != "" || w.Status(tokens.Access) != 401 || w.Take() != "client.disabled" {
					t.Errorf("%d %s", end.Status, end.Body)
				}
				if again := w.Manages("DELETE", path, got.Token, ""); again.Status != 401 {
					t.Errorf("again: %d", again.Status)
				}
			})
		}
		public := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["http://127.0.0.1/cb","com.example.app:/cb"],"token_endpoint_auth_method":"none","application_type":"native","grant_types":["authorization_code","refresh_token"],"response_types":["code"]}`)
		c, err = w.DB.ClientByID(t.Context(), public.ID)
		if public.Status != 201 || public.Secret != "" || public.Expires != nil || public.Kind != "native" || err != nil || !c.Native || !c.Public() || public.Scope != "read write" || strings.Join(c.Scopes, " ") != "read write" {
			t.Errorf("%d %s, %+v", public.Status, public.Body, c)
		}
	})
}

func TestRegisterRefuses(t *testing.T) {
	w, initial := oauthtest.NewRegistry(t, memory.New(nil), nil)
	before, err := w.DB.ListClients(t.Context(), "", 100)
	oauthtest.Must(t, err)
	const good = `"redirect_uris":["https://new.example/cb"]`
	for what, c := range map[string]struct{ body, code string }{
		"no JSON":                 {"client_name=x", "invalid_client_metadata"},
		"nothing":                 {"", "invalid_client_metadata"},
		"a list":                  {"[]", "invalid_client_metadata"},
		"cut off":                 {"{" + good, "invalid_client_metadata"},
		"something behind":        {"{" + good + "}{}", "invalid_client_metadata"},
		"a name twice":            {"{" + good + `,"scope":"read","scope":"admin"}`, "invalid_client_metadata"},
		"not UTF-8":               {"{" + good + `,"client_name":"` + "\xff" + `"}`, "invalid_client_metadata"},
		"another type":            {`{"redirect_uris":"https://new.example/cb"}`, "invalid_client_metadata"},
		"case":                    {`{"Redirect_URIs":["https://new.example/cb"]}`, "invalid_redirect_uri"},
		"no redirect URI":         {`{}`, "invalid_redirect_uri"},
		"http":                    {`{"redirect_uris":["http://new.example/cb"]}`, "invalid_redirect_uri"},
		"script":                  {`{"redirect_uris":["https://new.example/cb","javascript:alert(1)"]}`, "invalid_redirect_uri"},
		"fragment":                {`{"redirect_uris":["https://new.example/cb#x"]}`, "invalid_redirect_uri"},
		"private scheme of a web": {`{"redirect_uris":["com.example.app:/cb"]}`, "invalid_redirect_uri"},
		"grant":                   {"{" + good + `,"grant_types":["authorization_code","client_credentials"]}`, "invalid_client_metadata"},
		"password":                {"{" + good + `,"grant_types":["password"]}`, "invalid_client_metadata"},
		"no grant":                {"{" + good + `,"grant_types":[]}`, "invalid_client_metadata"},
		"refresh alone":           {"{" + good + `,"grant_types":["refresh_token"]}`, "invalid_client_metadata"},
		"response":                {"{" + good + `,"response_types":["token"]}`, "invalid_client_metadata"},
		"no response":             {"{" + good + `,"response_types":[]}`, "invalid_client_metadata"},
		"method":                  {"{" + good + `,"token_endpoint_auth_method":"x"}`, "invalid_client_metadata"},
		"type":                    {"{" + good + `,"application_type":"x"}`, "invalid_client_metadata"},
		"name with a direction":   {"{" + good + `,"client_name":"a\u202eb"}`, "invalid_client_metadata"},
		"name with NUL":           {"{" + good + `,"client_name":"a\u0000b"}`, "invalid_client_metadata"},
		"long name":               {"{" + good + `,"client_name":"` + strings.Repeat("a", 300) + `"}`, "invalid_client_metadata"},
		"too many members":        {"{" + good + strings.Repeat(`,"x":1`, 200) + "}", "invalid_client_metadata"},
	} {
		if got := w.Manages("POST", "/oauth2/register", initial, c.body); got.Status != 400 || got.Error != c.code {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	if got := w.Manages("POST", "/oauth2/register", initial, "{"+good+`,"x":"`+strings.Repeat("a", 100<<10)+`"}`); got.Status != 413 {
		t.Errorf("a large body: %d", got.Status)
	}
	if got := w.Manages("POST", "/oauth2/register", initial, "{"+good+"}", "Content-Type", "text/plain"); got.Status != 400 {
		t.Errorf("another content type: %d", got.Status)
	}
	another, _, err := registration.NewInitialAccessToken()
	oauthtest.Must(t, err)
	for what, token := range map[string]string{"none": "", "another": another, "junk": "x", "a client's secret": w.Secrets["app"], "changed": oauthtest.Changed(initial)} {
		if got := w.Manages("POST", "/oauth2/register", token, "{"+good+"}"); got.Status != 401 || got.Error != "invalid_token" || got.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	if got := w.Manages("PUT", "/oauth2/register", initial, "{"+good+"}"); got.Status != 405 {
		t.Errorf("PUT: %d", got.Status)
	}
	for answer, want := range map[error]int{authn.PermissionDenied(""): 403, authn.Throttled(1): 429, errors.New("down"): 503} {
		other, _ := oauthtest.NewRegistry(t, memory.New(nil), func(o *oauthtest.Options) { o.Registration.Allow = func(*http.Request) error { return answer } })
		if got := other.Manages("POST", "/oauth2/register", "", "{"+good+"}"); got.Status != want {
			t.Errorf("%v: %d %s", answer, got.Status, got.Body)
		}
	}
	if after, err := w.DB.ListClients(t.Context(), "", 100); err != nil || len(after) != len(before) {
		t.Errorf("a refused request made a client: %d, %v", len(after), err)
	}
	for what, g := range map[string]oauthtest.Registration{"nobody says who": {}, "a scope that there is not": {Allow: registration.InitialAccessToken(), Scopes: []string{"x"}}} {
		if _, err := oauthtest.New(oauthtest.Issuer, memory.New(nil), &oauthtest.Options{Registration: &g}); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	off := oauthtest.NewWorld(t, memory.New(nil), nil)
	if err := off.Extend(server.Extension{Registration: "/oauth2/register"}); err != nil {
		t.Error(err)
	}
	if _, err := registration.New(off.Server.Server, registration.InitialAccessToken(), nil); err == nil {
		t.Error("two registrations of one server")
	}
	off = oauthtest.NewWorld(t, memory.New(nil), nil)
	for w, want := range map[*oauthtest.World]bool{w: true, off: false} {
		rec := httptest.NewRecorder()
		w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if has := strings.Contains(rec.Body.String(), `"registration_endpoint":"https://auth.example/oauth2/register"`); has != want {
			t.Errorf("%s", rec.Body)
		}
	}
}

func TestRegisteredChanges(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w, initial := oauthtest.NewRegistry(t, s, nil)
		one := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://new.example/cb"]}`)
		two := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://new.example/cb"]}`)
		path := "/oauth2/register/" + one.ID
		w.Take()
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
			for what, token := range map[string]string{"none": "", "another client's": two.Token, "the initial one": initial, "its secret": one.Secret, "junk": "vrg_x"} {
				if got := w.Manages(method, path, token, `{"client_id":"`+one.ID+`","redirect_uris":["https://evil.example/cb"]}`); got.Status != 401 || got.Error != "invalid_token" {
					t.Errorf("%s, %s: %d %s", method, what, got.Status, got.Body)
				}
			}
		}
		for _, id := range []string{"app", "nobody", "a%00b"} { // "app" was not registered by this endpoint
			if got := w.Manages("GET", "/oauth2/register/"+id, one.Token, ""); got.Status != 401 {
				t.Errorf("%s: %d %s", id, got.Status, got.Body)
			}
		}
		for what, body := range map[string]string{
			"no client_id": `{"redirect_uris":["https://new.example/cb2"]}`, "another": `{"client_id":"` + two.ID + `","redirect_uris":["https://new.example/cb2"]}`,
			"a wrong secret": `{"client_id":"` + one.ID + `","client_secret":"x","redirect_uris":["https://new.example/cb2"]}`,
			"a script":       `{"client_id":"` + one.ID + `","redirect_uris":["javascript:x"]}`,
		} {
			if got := w.Manages("PUT", path, one.Token, body); got.Status != 400 {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		if got := w.Manages("PATCH", path, one.Token, "{}"); got.Status != 405 {
			t.Errorf("PATCH: %d", got.Status)
		}
		if c, err := w.DB.ClientByID(t.Context(), one.ID); err != nil || strings.Join(c.RedirectURIs, " ") != "https://new.example/cb" || w.Take() != "" {
			t.Errorf("a refused request changed it: %+v, %v", c, err)
		}
		got := w.Manages("PUT", path, one.Token, `{"client_id":"`+one.ID+`","client_secret":"`+one.Secret+`","redirect_uris":["https://new.example/cb2"],"scope":"write","client_name":"New"}`)
		c, err := w.DB.ClientByID(t.Context(), one.ID)
		if got.Status != 200 || got.Secret != "" || got.Scope != "write" || err != nil || c.Name != "New" || strings.Join(c.RedirectURIs, " ") != "https://new.example/cb2" || c.Secret != storage.DigestOf(one.Secret) || w.Take() != "client.changed" {
			t.Errorf("%d %s, %+v", got.Status, got.Body, c)
		}
		if got := w.Manages("PUT", path, one.Token, `{"client_id":"`+one.ID+`","redirect_uris":["https://new.example/cb"],"token_endpoint_auth_method":"none"}`); got.Status != 200 || got.Secret != "" {
			t.Errorf("public: %d %s", got.Status, got.Body)
		}
		if got := w.Manages("PUT", path, one.Token, `{"client_id":"`+one.ID+`","redirect_uris":["https://new.example/cb"]}`); got.Status != 200 || got.Secret == "" || got.Secret == one.Secret {
			t.Errorf("and confidential again: %d %s", got.Status, got.Body)
		}
		w.DB.Fail.Store(true)
		if got := w.Manages("GET", path, one.Token, ""); got.Status != 503 {
			t.Errorf("the store is down: %d", got.Status)
		}
		w.DB.Fail.Store(false)
		c, err = w.DB.ClientByID(t.Context(), one.ID)
		oauthtest.Must(t, err)
		c.Trusted = true
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
		if got := w.Manages("PUT", path, one.Token, `{"client_id":"`+one.ID+`","redirect_uris":["https://evil.example/cb"]}`); got.Status != 403 {
			t.Errorf("a trusted client: %d %s", got.Status, got.Body)
		}
		c.Disabled = true
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
		if got := w.Manages("GET", path, one.Token, ""); got.Status != 401 {
			t.Errorf("a disabled client: %d %s", got.Status, got.Body)
		}
		for _, secret := range []string{one.Token, initial, one.Secret, got.Secret} {
			if secret != "" && strings.Contains(w.Log.String(), secret) {
				t.Error("a secret is in the log")
			}
		}
	})
}
