package server_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// To request tokens for a resource and to be its resource server are two rights.
func TestResourceServers_attack_266(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		const files = "https://files.example"
		w, initial := oauthtest.NewRegistry(t, s, func(o *oauthtest.Options) { o.Registration.Resources = []string{files} })
		token := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Resource = []string{files} })).Access
		standard := w.Exchange("spa", w.Code("spa", nil)).Access // for the server's audience
		about := func(client oauthtest.ClientReply, token string) string {
			return w.Post(w.Introspect(), "", "client_id", client.ID, "client_secret", client.Secret, "token", token).Body
		}
		const inactive = "{\"active\":false}\n"
		t.Run("edge_A07/registered by itself", func(t *testing.T) {
			const body = `{"client_name":"x","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_post","serves":["https://files.example"],"Serves":["https://api.example"],"audiences":["https://files.example"]`
			c := w.Manages("POST", "/oauth2/register", initial, body+"}")
			if c.Status != 201 {
				t.Fatalf("%d %s", c.Status, c.Body)
			}
			if got := w.Manages("PUT", "/oauth2/register/"+c.ID, c.Token, body+`,"client_id":"`+c.ID+`"}`); got.Status != 200 {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			kept, err := s.ClientByID(t.Context(), c.ID)
			oauthtest.Must(t, err)
			if len(kept.Serves) != 0 || len(kept.Resources) != 1 {
				t.Errorf("%+v", kept)
			}
			for _, text := range []string{token, standard} {
				if got := about(c, text); got != inactive {
					t.Errorf("it introspects another client's token: %s", got)
				}
			}
			// What an administrator gives to a client is given to what the client was then.
			kept.Serves = []string{files}
			oauthtest.Must(t, s.UpdateClient(t.Context(), kept))
			if got := about(c, token); !strings.Contains(got, `"active":true`) || !strings.Contains(got, `"username":"alice"`) {
				t.Errorf("the resource server: %s", got)
			}
			if got := about(c, standard); got != inactive {
				t.Errorf("a token for another resource: %s", got)
			}
			if got := w.Manages("PUT", "/oauth2/register/"+c.ID, c.Token, body+`,"client_id":"`+c.ID+`"}`); got.Status != 403 {
				t.Errorf("it changes itself: %d %s", got.Status, got.Body)
			}
		})
		t.Run("edge_A07/may request only", func(t *testing.T) {
			if got := w.Post(w.Introspect(), "app", "token", standard); got.Body != inactive { // app may request both
				t.Errorf("%s", got.Body)
			}
			if got := w.Post(w.Introspect(), "api", "token", standard); !got.Active {
				t.Errorf("the resource server: %s", got.Body)
			}
			if got := w.Post(w.Introspect(), "api", "token", token); got.Body != inactive {
				t.Errorf("a token for another resource: %s", got.Body)
			}
		})
		t.Run("edge_A07/serving gives no token", func(t *testing.T) {
			c := storage.Client{ID: "server", Method: oauth2.SecretPost, Secret: storage.DigestOf("s"), Grants: []string{oauth2.ClientCredentials}, Serves: []string{files}}
			oauthtest.Must(t, s.CreateClient(t.Context(), c))
			if got := w.Post(w.Token(), "", "client_id", "server", "client_secret", "s", "grant_type", "client_credentials", "resource", files); got.Error != "invalid_target" {
				t.Errorf("%s", got.Body)
			}
		})
		t.Run("edge_B03/the server's audience", func(t *testing.T) {
			// Every client may name it, in any spelling; the configured one counts.
			for _, uri := range []string{"https://api.example", "HTTPS://API.example:443", "https://api.example/"} {
				got := w.Post(w.Token(), "app", "grant_type", "client_credentials", "resource", uri)
				if got.Status != 200 {
					t.Fatalf("%s: %s", uri, got.Body)
				}
				if about := w.Post(w.Introspect(), "app", "token", got.Access); !strings.Contains(about.Body, `"aud":["https://api.example"]`) {
					t.Errorf("%s: %s", uri, about.Body)
				}
			}
			if got := w.Exchange("spa", w.Code("spa", nil), "resource", "https://api.example"); got.Status != 200 || w.Refreshes("spa", got.Refresh, "resource", "https://api.example").Status != 200 {
				t.Errorf("a grant without a resource, narrowed to the audience: %s", got.Body)
			}
			if got := w.Exchange("spa", w.Code("spa", nil), "resource", files); got.Error != "invalid_target" {
				t.Errorf("a grant for the audience, widened: %s", got.Body)
			}
			for _, uri := range []string{"https://api.example.evil", "https://api.example#x", "https://u@api.example", "http://api.example", "https://api.example/x", " "} {
				if got := w.Post(w.Token(), "app", "grant_type", "client_credentials", "resource", uri); got.Error != "invalid_target" {
					t.Errorf("%q: %s", uri, got.Body)
				}
			}
		})
	})
}

func TestCheckResourceServers(t *testing.T) {
	good := storage.Client{ID: "api", Method: oauth2.SecretBasic, Serves: []string{"https://api.example"}}
	oauthtest.Must(t, oauth2.CheckClient(good))
	public := storage.Client{ID: "app", Method: oauth2.None, Grants: []string{oauth2.DeviceCode}, Serves: []string{"https://api.example"}}
	if err := oauth2.CheckClient(public); err == nil || !strings.Contains(err.Error(), "serve") {
		t.Errorf("a public resource server: %v", err)
	}
	none := storage.Client{ID: "api", Method: oauth2.SecretBasic, Resources: []string{"https://api.example"}}
	if oauth2.CheckClient(none) == nil {
		t.Error("a client that may do nothing")
	}
	bad := good
	bad.Serves = []string{"a b"}
	if memory.New(nil).CreateClient(t.Context(), bad) == nil {
		t.Error("a resource with a blank")
	}
}
