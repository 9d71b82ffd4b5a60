package consent_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// checker knows alice's password, at an epoch.
type checker struct {
	epoch int64
	err   error
	asked int
}

func (c *checker) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	c.asked++
	switch {
	case c.err != nil:
		return authn.Login{}, c.err
	case r.URL.Path == "" || name != "alice" || password != "open sesame":
		return authn.Login{}, authn.AuthenticationFailed("Unable to log in with provided credentials.")
	}
	return authn.Login{Subject: "id-alice", Name: "alice", Epoch: c.epoch}, nil
}

func TestPasswordGrant(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		pw := new(checker)
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { o.InsecurePasswordGrant = pw })
		for _, c := range []storage.Client{
			{ID: "old", Method: oauth2.None, Grants: []string{oauth2.Password, oauth2.RefreshToken}, Scopes: []string{"read", "write"}, Default: []string{"read"}},
			{ID: "brief", Method: oauth2.None, Grants: []string{oauth2.Password}, Scopes: []string{"read"}},
		} {
			oauthtest.Must(t, oauth2.CheckClient(c))
			oauthtest.Must(t, s.CreateClient(t.Context(), c))
		}
		ask := func(client string, pairs ...string) oauthtest.Reply {
			return w.Post(w.Token(), "none", append([]string{"client_id", client, "grant_type", "password", "username", "alice", "password", "open sesame"}, pairs...)...)
		}
		got := ask("old")
		id, err := w.Identity(got.Access)
		if got.Status != 200 || got.Scope != "read" || got.Refresh == "" || err != nil || id.Subject != "id-alice" || id.Client != "old" || !id.Delegated() || id.Roles != nil || w.Take() != "granted" {
			t.Fatalf("%d %s, %+v, %v", got.Status, got.Body, id, err)
		}
		if next := w.Post(w.Token(), "none", "client_id", "old", "grant_type", "refresh_token", "refresh_token", got.Refresh); next.Status != 200 {
			t.Errorf("%d %s", next.Status, next.Body)
		}
		if got := ask("brief"); got.Status != 200 || got.Refresh != "" || got.Scope != "" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		post := func(pairs ...string) oauthtest.Reply {
			return w.Post(w.Token(), "none", append([]string{"client_id", "old", "grant_type", "password"}, pairs...)...)
		}
		for what, c := range map[string]struct {
			got    oauthtest.Reply
			status int
			code   string
		}{
			"wrong":                 {post("username", "alice", "password", "x"), 400, "invalid_grant"},
			"unknown":               {post("username", "nobody", "password", "open sesame"), 400, "invalid_grant"},
			"no name":               {post("password", "open sesame"), 400, "invalid_request"},
			"no password":           {post("username", "alice"), 400, "invalid_request"},
			"scope":                 {ask("old", "scope", "admin"), 400, "invalid_scope"},
			"resource":              {ask("old", "resource", "https://evil.example"), 400, "invalid_target"},
			"attack_167_not_for_it": {ask("spa"), 400, "unauthorized_client"},
		} {
			t.Run(what, func(t *testing.T) {
				if c.got.Status != c.status || c.got.Error != c.code {
					t.Errorf("%d %s", c.got.Status, c.got.Body)
				}
			})
		}
		before := pw.asked
		if ask("spa"); pw.asked != before {
			t.Error("a password was checked for a client that may not ask")
		}
		pw.err = authn.Throttled(time.Minute)
		if got := ask("old"); got.Status != 429 || got.Header.Get("Retry-After") != "60" {
			t.Errorf("throttled: %d %s", got.Status, got.Body)
		}
		pw.err = errors.New("down")
		if got := ask("old"); got.Status != 503 {
			t.Errorf("down: %d %s", got.Status, got.Body)
		}
		// The password was changed after it was checked.
		pw.err = nil
		_, err = w.DB.BumpEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		if got := ask("old"); got.Error != "invalid_grant" || w.Status(got.Access) == 200 {
			t.Errorf("of an earlier epoch: %d %s", got.Status, got.Body)
		}
		pw.epoch, err = w.DB.SubjectEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		if got := ask("old"); got.Status != 200 || w.Status(got.Access) != 200 {
			t.Errorf("with the new password: %d %s", got.Status, got.Body)
		}
		if strings.Contains(w.Log.String(), "open sesame") {
			t.Error("a password is in the log")
		}
	})
	off := oauthtest.NewWorld(t, memory.New(nil), nil)
	oauthtest.Must(t, off.DB.CreateClient(t.Context(), storage.Client{ID: "old", Method: oauth2.None, Grants: []string{oauth2.Password}}))
	if got := off.Post(off.Token(), "none", "client_id", "old", "grant_type", "password", "username", "alice", "password", "open sesame"); got.Status != 400 || got.Error != "unsupported_grant_type" {
		t.Errorf("off: %d %s", got.Status, got.Body)
	}
}

func TestImplicitGrant(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { remembering(o); o.InsecureImplicitGrant = true })
		page := storage.Client{ID: "page", Method: oauth2.None, Grants: []string{oauth2.Implicit}, Scopes: []string{"read", "write"}, Default: []string{"read"}, RedirectURIs: []string{oauthtest.Redirect + "?a=b"}}
		oauthtest.Must(t, oauth2.CheckClient(page))
		oauthtest.Must(t, s.CreateClient(t.Context(), page))
		alice := w.Alice("s1")
		ask := func(pairs ...string) string {
			return oauthtest.Query("page", append([]string{"response_type", "token", "redirect_uri", oauthtest.Redirect + "?a=b", "code_challenge", "", "code_challenge_method", ""}, pairs...)...)
		}
		// fragment returns what the redirect carries behind "#".
		fragment := func(rec *httptest.ResponseRecorder) url.Values {
			t.Helper()
			at, text, ok := strings.Cut(rec.Header().Get("Location"), "#")
			v, err := url.ParseQuery(text)
			if rec.Code != 303 || !ok || at != oauthtest.Redirect+"?a=b" || err != nil {
				t.Fatalf("%d %q", rec.Code, rec.Header().Get("Location"))
			}
			return v
		}
		const state = `a&access_token=EVIL#x=y&iss=z"><script>`
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", ask("state", state), ""))
		rec := w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow")
		v := fragment(rec)
		if len(v) != 6 || len(v["access_token"]) != 1 || v.Get("state") != state || v.Get("iss") != oauthtest.Issuer || v.Get("token_type") != "Bearer" || v.Get("expires_in") != "3600" || v.Get("scope") != "read" {
			t.Errorf("%v", v)
		}
		// As a script reads it that takes the fragment apart before it decodes.
		if text := rec.Header().Get("Location"); strings.Contains(text, "EVIL#") || strings.Contains(text, "&access_token=EVIL") || strings.Count(text, "#") != 1 {
			t.Errorf("%q", text)
		}
		id, err := w.Identity(v.Get("access_token"))
		if err != nil || id.Subject != "id-alice" || id.Client != "page" || !id.Delegated() || len(w.GrantsOf(alice)) != 1 {
			t.Errorf("%+v, %v", id, err)
		}
		oauthtest.HandleOf(t, w.Authorizes(alice, "GET", ask(), "")) // never remembered
		for what, c := range map[string]struct{ query, code string }{
			"scope": {ask("scope", "admin"), "invalid_scope"}, "query": {ask("response_mode", "query"), "invalid_request"}, "silently": {ask("prompt", "none"), "consent_required"},
			"code": {ask("response_type", "code"), ""},
		} {
			rec := w.Authorizes(alice, "GET", c.query, "")
			if c.code == "" { // a client of the implicit grant alone
				if !strings.Contains(rec.Header().Get("Location"), "?a=b&error=unauthorized_client") {
					t.Errorf("%s: %v", what, rec.Header())
				}
				continue
			}
			if v := fragment(rec); v.Get("error") != c.code || v.Get("iss") != oauthtest.Issuer || v.Get("access_token") != "" {
				t.Errorf("%s: %v", what, v)
			}
		}
		denied := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", ask("response_mode", "fragment"), ""))
		if v := fragment(w.Authorizes(alice, "POST", "", "handle="+denied+"&decision=deny")); v.Get("error") != "access_denied" {
			t.Errorf("%v", v)
		}
		_, text, _ := strings.Cut(w.Authorizes(alice, "GET", oauthtest.Query("app", "response_type", "token"), "").Header().Get("Location"), "#")
		if v, _ := url.ParseQuery(text); v.Get("error") != "unauthorized_client" {
			t.Errorf("a client without the grant type: %v", v)
		}
		if rec := w.Authorizes(alice, "GET", ask("redirect_uri", "https://evil.example"), ""); rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("%d %v", rec.Code, rec.Header())
		}
		late := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", ask(), ""))
		_, err = w.DB.BumpEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		if v := fragment(w.Authorizes(alice, "POST", "", "handle="+late+"&decision=allow")); v.Get("error") != "access_denied" {
			t.Errorf("logged out in between: %v", v)
		}
	})
	if err := oauth2.CheckClient(storage.Client{ID: "page", Method: oauth2.None, Grants: []string{oauth2.Implicit}}); err == nil {
		t.Error("an implicit client without a redirect URI")
	}
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.InsecureImplicitGrant, o.InsecurePasswordGrant = true, new(checker) })
	for w, want := range map[*oauthtest.World]bool{w: true, oauthtest.NewWorld(t, memory.New(nil), nil): false} {
		rec := httptest.NewRecorder()
		w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		for _, text := range []string{`"password"`, `"implicit"`, `"token"`, `"fragment"`} {
			if strings.Contains(rec.Body.String(), text) != want {
				t.Errorf("%s: want %t: %s", text, want, rec.Body)
			}
		}
	}
}
