package registration_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Scopes that clients may not have are dropped, and the answer says which are left (M14).
func TestDroppedScopes(t *testing.T) {
	w, initial := oauthtest.NewRegistry(t, memory.New(nil), func(o *oauthtest.Options) { o.Registration.Default = []string{"read"} })
	for scope, want := range map[string]string{"read unknown  read admin": "read", "write read": "write read", "unknown": "", "": "read"} {
		got := w.Manages("POST", "/oauth2/register", initial, `{"redirect_uris":["https://app.example/cb"],"scope":"`+scope+`"}`)
		if got.Status != 201 || got.Scope != want {
			t.Errorf("%q: %d %q, want %q", scope, got.Status, got.Scope, want)
		}
		c, err := w.DB.ClientByID(t.Context(), got.ID)
		if err != nil || want == "" && len(c.Scopes) != 0 {
			t.Errorf("%q: %v, %v", scope, c.Scopes, err)
		}
	}
}

// A client that does not say what it is, is native if only programs on the device get its answers.
func TestNativeByRedirects(t *testing.T) {
	w, initial := oauthtest.NewRegistry(t, memory.New(nil), nil)
	for body, want := range map[string]string{
		`"redirect_uris":["http://127.0.0.1/cb"]`:                                "native",
		`"redirect_uris":["http://localhost:3000/cb","http://[::1]/cb"]`:         "native",
		`"redirect_uris":["http://127.0.0.1/cb","https://app.example/cb"]`:       "web",
		`"redirect_uris":["http://127.0.0.1/cb"],"application_type":"web"`:       "web",
		`"redirect_uris":["https://app.example/cb"],"application_type":"native"`: "native",
	} {
		if got := w.Manages("POST", "/oauth2/register", initial, "{"+body+"}"); got.Status != 201 || got.Kind != want {
			t.Errorf("%s: %d %q", body, got.Status, got.Kind)
		}
	}
}

// The keys of a client can be at a URL, which is not fetched at registration.
func TestRegisteredKeysURI(t *testing.T) {
	w, initial := oauthtest.NewRegistry(t, memory.New(nil), nil)
	const rest = `"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"private_key_jwt"`
	got := w.Manages("POST", "/oauth2/register", initial, `{`+rest+`,"jwks_uri":"https://app.example/keys","require_pushed_authorization_requests":true}`)
	c, err := w.DB.ClientByID(t.Context(), got.ID)
	if got.Status != 201 || err != nil || c.KeysURI != "https://app.example/keys" || !c.RequirePushed {
		t.Errorf("%d %s, %+v", got.Status, got.Body, c)
	}
	// A later change of the client does not take back what an administrator may have required.
	w.Manages("PUT", "/oauth2/register/"+got.ID, got.Token, `{"client_id":"`+got.ID+`",`+rest+`,"jwks_uri":"https://app.example/new"}`)
	if c, err := w.DB.ClientByID(t.Context(), got.ID); err != nil || c.KeysURI != "https://app.example/new" || !c.RequirePushed {
		t.Errorf("after a change: %+v, %v", c, err)
	}
	for _, bad := range []string{`"jwks_uri":"http://app.example/keys"`, `"jwks_uri":"https://169.254.169.254/keys"`, `"jwks_uri":"https://app.example/keys","jwks":{"keys":[]}`, `"jwks_uri":""`} {
		if got := w.Manages("POST", "/oauth2/register", initial, `{`+rest+`,`+bad+`}`); got.Status != 400 || got.Error != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", bad, got.Status, got.Body)
		}
	}
}
