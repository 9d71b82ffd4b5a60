package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// A scope that the server or the client has lost is not granted to a request that names none.
func TestLostScopes_attack_366(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewDevices(t, s, func(o *oauthtest.Options) { o.RememberConsent = time.Hour })
		after := w.Beside(func(o *oauthtest.Options) { // a release without the scope "write"
			oauthtest.WithSessions(o)
			o.Keys = oauthtest.NewRing(t, keys.Generate())
			o.Scopes, o.RememberConsent = map[string]string{"read": "Read"}, time.Hour
		})
		c, err := s.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		c.Default = []string{"read", "write"}
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		alice := w.Alice("s1")
		both := func() oauthtest.Reply {
			return w.Allows(alice, "app", oauthtest.Query("app", "scope", "read write", "prompt", "consent"))
		}
		lost := func(name string, w *oauthtest.World, refresh, code, device string) {
			t.Helper()
			if got := w.Refreshes("app", refresh, "scope", "write"); got.Error != "invalid_scope" {
				t.Errorf("%s: named at a refresh: %s", name, got.Body)
			}
			if about := w.Post(w.Introspect(), "app", "token", refresh); strings.Contains(about.Body, "write") || !about.Active {
				t.Errorf("%s: introspection: %s", name, about.Body)
			}
			for from, got := range map[string]oauthtest.Reply{
				"refresh": w.Refreshes("app", refresh), "client": w.Post(w.Token(), "app", "grant_type", "client_credentials"), "code": w.Exchange("app", code),
				"silent": w.Exchange("app", oauthtest.Sent(t, w.Authorizes(alice, "GET", oauthtest.Query("app"), ""), oauthtest.Redirect).Get("code")),
				"device": w.Poll("tv", device),
			} {
				id, err := w.Identity(got.Access)
				if err != nil || got.Scope != "read" || !slices.Equal(id.Scopes, []string{"read"}) {
					t.Errorf("%s: %s: %d %q %q %v %s", name, from, got.Status, got.Scope, id.Scopes, err, got.Error)
				}
			}
		}
		begun := func() string {
			b := w.Begin("scope", "read write")
			w.Decides(alice, b.User, "allow")
			return b.Device
		}
		code := func() string { return w.Code("app", func(c *storage.Code) { c.Scopes = []string{"read", "write"} }) }
		first, second := both(), both
		if first.Scope != "read write" {
			t.Fatal(first.Body)
		}
		lost("the server", after, first.Refresh, code(), begun())
		again, text, device := second(), code(), begun()
		tv, err := s.ClientByID(t.Context(), "tv")
		oauthtest.Must(t, err)
		c.Scopes, tv.Scopes = []string{"read"}, []string{"read"} // and the administrator forgets Default
		oauthtest.Must(t, s.UpdateClient(t.Context(), c))
		oauthtest.Must(t, s.UpdateClient(t.Context(), tv))
		lost("the client", w, again.Refresh, text, device)
	})
}

// A client that registered itself stores no note of a proof beyond its limits, nor for a request that
// leaves its grant as it is.
func TestProofNotes_attack_367(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithLimits)
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{
			ID: "self", Method: oauth2.SecretPost, Secret: storage.DigestOf("s"), Grants: []string{oauth2.ClientCredentials}, Scopes: []string{"read"}, Registration: storage.DigestOf("x"), Created: w.Clock(),
		}))
		p := w.NewProver()
		post := func(client string, pairs ...string) oauthtest.Reply {
			return w.PostWith(w.Token(), client, []string{p.Proof("POST", oauthtest.TokenURL, nil)}, pairs...)
		}
		tokens, refused := int64(0), 0
		for range 200 {
			switch got := post("", "client_id", "self", "client_secret", "s", "grant_type", "client_credentials"); got.Status {
			case 200:
				tokens++
			case 429:
				refused++
			default:
				t.Fatalf("%d %s", got.Status, got.Body)
			}
		}
		if n := w.DB.Uses.Load(); n != tokens || refused == 0 {
			t.Errorf("%d tokens, %d requests refused, %d notes", tokens, refused, n)
		}
		first := p.Exchange("spa", w.Code("spa", nil))
		code := w.Code("spa", nil)
		before := w.DB.Uses.Load()
		for what, pairs := range map[string][]string{
			"a scope":    {"grant_type", "refresh_token", "refresh_token", first.Refresh, "scope", "admin"},
			"a resource": {"grant_type", "refresh_token", "refresh_token", first.Refresh, "resource", bank},
			"a code for another resource": {"grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier,
				"resource", bank},
			"a code without a verifier": {"grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect},
		} {
			if got := post("spa", pairs...); got.Status != 400 {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		if n := w.DB.Uses.Load() - before; n != 0 {
			t.Errorf("%d notes of proofs of requests that changed nothing", n)
		}
		if got := p.Exchange("spa", code); got.Status != 200 || p.Refreshes("spa", first.Refresh).Status != 200 {
			t.Errorf("the refusals ended something: %s", got.Body)
		}
	})
}

// What a client loses while the page is open, or after it pushed a request, it does not get by it.
func TestLostWhileThePageIsOpen_attack_368(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) {
			oauthtest.WithSessions(o)
			o.InsecureImplicitGrant, o.InsecureOptionalPKCE = true, true
		})
		strict := w.Beside(oauthtest.WithSessions)
		alice := w.Alice("s1")
		full := storage.Client{
			ID: "open", Method: oauth2.SecretPost, Secret: storage.DigestOf("s"), RedirectURIs: []string{oauthtest.Redirect},
			Grants: []string{oauth2.Implicit, oauth2.AuthorizationCode}, Scopes: []string{"read", "write"}, Resources: []string{bank},
		}
		oauthtest.Must(t, s.CreateClient(t.Context(), full))
		implicit := url.Values{"client_id": {"open"}, "response_type": {"token"}, "scope": {"read write"}, "resource": {bank}}.Encode()
		code := oauthtest.Query("open", "scope", "read write", "resource", bank)
		plain := url.Values{"client_id": {"open"}, "response_type": {"code"}, "redirect_uri": {oauthtest.Redirect}}.Encode()
		for _, c := range []struct {
			name, query string
			loses       func(*storage.Client)
			at          *oauthtest.World
			want        string // in the address of the answer; "" for a page with an error
		}{
			{"nothing", implicit, func(*storage.Client) {}, w, "access_token="},
			{"nothing, a code", code, func(*storage.Client) {}, w, "code="},
			{"a scope", implicit, func(c *storage.Client) { c.Scopes = []string{"read"} }, w, "scope=read&"},
			{"the implicit grant", implicit, func(c *storage.Client) { c.Grants = []string{oauth2.AuthorizationCode} }, w, ""},
			{"the implicit grant of the server", implicit, func(*storage.Client) {}, strict, ""},
			{"the resource", implicit, func(c *storage.Client) { c.Resources = nil }, w, ""},
			{"the resource, a code", code, func(c *storage.Client) { c.Resources = nil }, w, ""},
			{"the codes", code, func(c *storage.Client) { c.Grants = []string{oauth2.Implicit} }, w, ""},
			{"its secret, without PKCE", plain, func(c *storage.Client) { c.Method, c.Secret = oauth2.None, storage.Digest{} }, w, ""},
			{"PKCE is required", plain, func(*storage.Client) {}, strict, ""},
		} {
			oauthtest.Must(t, s.UpdateClient(t.Context(), full))
			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", c.query, ""))
			less := full
			c.loses(&less)
			oauthtest.Must(t, s.UpdateClient(t.Context(), less))
			rec := c.at.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow")
			to := rec.Header().Get("Location") + "&"
			if c.want == "" && (rec.Code < 400 || strings.Contains(to, "access_token=") || strings.Contains(to, "code=")) || c.want != "" && !strings.Contains(to, c.want) {
				t.Errorf("%s: %d %s %.80s", c.name, rec.Code, to, rec.Body)
			}
		}
		app, err := s.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		pushed := w.Pushed("resource", "https://files.example")
		app.Resources = nil
		oauthtest.Must(t, s.UpdateClient(t.Context(), app))
		if got := oauthtest.Sent(t, w.Authorizes(alice, "GET", pushed, ""), oauthtest.Redirect); got.Get("error") != "invalid_target" {
			t.Errorf("pushed: %v", got)
		}
	})
}

// No token of an implicit grant is bound to a key, so no request for a bound one gets it.
func TestImplicitWithoutKeys_attack_369(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) {
		oauthtest.WithSessions(o)
		o.InsecureImplicitGrant, o.DPoP = true, &oauthtest.DPoP{}
	})
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "old", Method: oauth2.None, RedirectURIs: []string{oauthtest.Redirect}, Grants: []string{oauth2.Implicit}, Scopes: []string{"read"}}))
	p := w.NewProver()
	v := url.Values{"client_id": {"old"}, "response_type": {"token"}, "scope": {"read"}, "redirect_uri": {oauthtest.Redirect}}
	oauthtest.HandleOf(t, w.Authorizes(w.Alice("s1"), "GET", v.Encode(), ""))
	v.Set("dpop_jkt", p.JKT)
	to, err := url.Parse(w.Authorizes(w.Alice("s1"), "GET", v.Encode(), "").Header().Get("Location"))
	oauthtest.Must(t, err)
	if !strings.Contains(to.Fragment, "error=invalid_request") {
		t.Errorf("dpop_jkt: %s", to)
	}
	proof := p.Proof("POST", oauthtest.Issuer+"/oauth2/par", nil)
	if got := w.PostWith(w.PushedAuthorization(), "", []string{proof}, "client_id", "old", "response_type", "token", "scope", "read", "redirect_uri", oauthtest.Redirect); got.Error != "invalid_request" {
		t.Errorf("pushed with a proof: %d %s", got.Status, got.Body)
	}
	if _, err := oauthtest.New(oauthtest.Issuer, w.DB, &oauthtest.Options{DPoP: &oauthtest.DPoP{Required: true}, InsecureImplicitGrant: true}); err == nil || !strings.Contains(err.Error(), "RequireDPoP") {
		t.Errorf("RequireDPoP with the implicit grant: %v", err)
	}
}

// The account of a client that acts for a user has no roles, nor has the copy that a handler gets: a
// handler that reads them grants the client what its scopes do not.
func TestRolesOfALimitedAccount_attack_390(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		got := w.Exchange("spa", w.Code("spa", nil))
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+got.Access)
		asked := 0
		chain := authn.New(authn.Chain{w.Scheme()}, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked++
			u, ok := authn.UserFrom[*storage.Account](r.Context())
			if !ok || len(u.Roles) != 0 || len(u.Clone().Roles) != 0 {
				t.Errorf("roles %q", u.Roles)
			}
			roles := u.RolesByScope()
			if !slices.Equal(roles, []string{"admin"}) {
				t.Fatalf("roles by scope %q", roles)
			}
			roles[0] = "changed" // and the next request has the right ones
		}))
		for range 3 { // kept, where the store gives leases
			chain.ServeHTTP(httptest.NewRecorder(), r.Clone(t.Context()))
		}
		if asked != 3 {
			t.Errorf("%d requests reached the handler", asked)
		}
	})
}

// Codes that nobody exchanges do not stay: an account gets hundreds in an hour. A used one does, so that its
// second use is noticed.
func TestUnusedCodes_attack_391(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
		alice := w.Alice("s1")
		issue := func() string {
			handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("spa"), ""))
			return oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"), oauthtest.Redirect).Get("code")
		}
		used := issue()
		first := w.Exchange("spa", used)
		for range 3 {
			issue()
		}
		count := func() (n int) {
			n, err := any(s).(storage.Pruner).Prune(t.Context(), w.Clock().Add(2*time.Hour), 1000)
			oauthtest.Must(t, err)
			return n
		}
		if n := count(); n < 3 {
			t.Errorf("%d rows were removed, and 3 codes were not used", n)
		}
		w.Pass(24 * time.Hour)
		if got := w.Exchange("spa", used); got.Error != "invalid_grant" || w.Refreshes("spa", first.Refresh).Error != "invalid_grant" {
			t.Errorf("a code that was used a day ago: %s", got.Body)
		}
	})
}
