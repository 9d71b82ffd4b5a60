package server_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestCode(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		got := w.Exchange("app", w.Code("app", nil))
		t.Run("attack_170_answer", func(t *testing.T) {
			if got.Status != 200 || got.Type != "Bearer" || got.Expires != 3600 || got.Scope != "read" || !strings.HasPrefix(got.Access, "vat_") || !strings.HasPrefix(got.Refresh, "vor_") ||
				got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%+v", got)
			}
		})
		id, err := w.Identity(got.Access)
		if err != nil || id.Subject != "id-alice" || id.Client != "app" || id.Scheme != "oauth2" || fmt.Sprint(id.Scopes) != "[read]" || id.Roles != nil || !id.Delegated() || !id.Expires.Equal(w.Clock().Add(time.Hour)) {
			t.Errorf("%+v, %v", id, err)
		}
		if u, ok := id.User.(*storage.Account); !ok || u.Name != "alice" {
			t.Errorf("%+v", id.User)
		}
		if got := w.Exchange("spa", w.Code("spa", nil)); got.Status != 200 {
			t.Errorf("a public client: %+v", got)
		}
		if got := w.Exchange("other", w.Code("other", nil)); got.Status != 200 {
			t.Errorf("a client that posts its secret: %+v", got)
		}
		if e := w.Take(); e != "token.created token.created token.created" {
			t.Errorf("events %s", e)
		}
		w.Pass(time.Hour)
		if w.Status(got.Access) != 401 {
			t.Error("an access token lives beyond its end")
		}
	})
}

func TestCodeRefuses(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		grant := func(t *testing.T, got oauthtest.Reply) {
			t.Helper()
			if got.Status != 400 || got.Error != "invalid_grant" || got.Access != "" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		t.Run("attack_153_used_twice", func(t *testing.T) {
			code := w.Code("app", nil)
			first := w.Exchange("app", code)
			next := w.Refreshes("app", first.Refresh)
			if first.Status != 200 || next.Status != 200 || w.Status(next.Access) != 200 {
				t.Fatalf("%+v %+v", first, next)
			}
			w.Take()
			grant(t, w.Exchange("app", code))
			if w.Status(first.Access) != 401 || w.Status(next.Access) != 401 || w.Refreshes("app", next.Refresh).Status != 400 {
				t.Error("what came of the code lives on")
			}
			if e := w.Take(); e != "code.reuse" {
				t.Errorf("events %s", e)
			}
			if !strings.Contains(w.Log.String(), "level=WARN") {
				t.Errorf("log %s", &w.Log)
			}
		})
		t.Run("attack_155_another_client", func(t *testing.T) {
			code := w.Code("app", nil)
			grant(t, w.Exchange("other", code))
			grant(t, w.Exchange("spa", code))
			first := w.Exchange("app", code)
			if first.Status != 200 {
				t.Errorf("another client's request burnt it: %+v", first)
			}
			grant(t, w.Exchange("other", code))
			if w.Status(first.Access) != 200 {
				t.Error("another client's request ended what came of it")
			}
		})
		t.Run("attack_155_attack_156_verifier", func(t *testing.T) {
			for _, wrong := range []string{strings.Repeat("a", 43), strings.Repeat("a", 42), strings.Repeat("a", 129), oauthtest.Verifier + "!", oauthtest.Verifier[:42] + " "} {
				code := w.Code("spa", nil)
				grant(t, w.Post(w.Token(), "spa", "grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect, "code_verifier", wrong))
				grant(t, w.Exchange("spa", code)) // burnt
			}
			short := oauthtest.Verifier[:42]
			grant(t, w.Post(w.Token(), "app", "grant_type", "authorization_code", "redirect_uri", oauthtest.Redirect, "code_verifier", short,
				"code", w.Code("app", func(c *storage.Code) { c.Challenge = oauthtest.ChallengeOf(short) })))
		})
		t.Run("attack_141_no_verifier", func(t *testing.T) {
			code := w.Code("app", nil)
			got := w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect)
			if got.Status != 400 || got.Error != "invalid_grant" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			if got := w.Exchange("app", code); got.Status != 200 {
				t.Errorf("a request without a verifier burns the code: %+v", got)
			}
		})
		t.Run("attack_142_downgrade", func(t *testing.T) {
			none := func(c *storage.Code) { c.Challenge = "" }
			code := w.Code("app", none)
			grant(t, w.Exchange("app", code)) // a verifier without a challenge
			grant(t, w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", code, "redirect_uri", oauthtest.Redirect))
			grant(t, w.Post(w.Token(), "spa", "grant_type", "authorization_code", "code", w.Code("spa", none), "redirect_uri", oauthtest.Redirect))
			if got := w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", w.Code("app", none), "redirect_uri", oauthtest.Redirect); got.Status != 200 {
				t.Errorf("a confidential client without PKCE, where the authorization endpoint let it: %+v", got)
			}
		})
		t.Run("attack_135_redirect_uri", func(t *testing.T) {
			code := w.Code("app", nil)
			grant(t, w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", code, "code_verifier", oauthtest.Verifier))
			grant(t, w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", code, "code_verifier", oauthtest.Verifier, "redirect_uri", oauthtest.Redirect+"/"))
			grant(t, w.Exchange("app", w.Code("app", func(c *storage.Code) { c.RedirectURI = "" })))
			if got := w.Exchange("app", code); got.Status != 200 {
				t.Errorf("%+v", got)
			}
		})
		t.Run("attack_157_time_and_account", func(t *testing.T) {
			late := w.Code("app", nil)
			w.Pass(time.Minute)
			grant(t, w.Exchange("app", late))
			good := w.Code("app", nil)
			w.Pass(time.Minute - time.Microsecond)
			if got := w.Exchange("app", good); got.Status != 200 {
				t.Errorf("before its end: %+v", got)
			}
			code := w.Code("app", nil)
			_, err := w.DB.BumpEpoch(t.Context(), "id-alice")
			oauthtest.Must(t, err)
			grant(t, w.Exchange("app", code))
			code = w.Code("app", nil)
			oauthtest.Must(t, w.DB.SetActive(t.Context(), "id-alice", false))
			grant(t, w.Exchange("app", code))
			oauthtest.Must(t, w.DB.SetActive(t.Context(), "id-alice", true))
		})
		t.Run("attack_158_guesses", func(t *testing.T) {
			answers := map[string]bool{}
			for _, bad := range []string{"x", "vac_", w.Code("other", nil), strings.Repeat("a", 5000), w.Secrets["app"]} {
				got := w.Exchange("app", bad)
				grant(t, got)
				answers[got.Body] = true
			}
			if len(answers) != 1 {
				t.Errorf("%v", answers)
			}
		})
	})
}

// Of many that exchange one code at once at most one gets an answer, and in the end what came
// of it has ended: nobody knows which of them was the owner.
func TestCodeRace(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_154_race", func(t *testing.T) {
			here, there := oauthtest.NewWorld(t, s, nil), (*oauthtest.World)(nil)
			there = &oauthtest.World{T: t, DB: &oauthtest.Faulty{Store: s}, Secrets: here.Secrets}
			var err error
			there.Server, err = oauthtest.New(oauthtest.Issuer, there.DB, &oauthtest.Options{Scopes: map[string]string{"read": ""}, Clock: here.Clock, Logger: oauthtest.Quiet})
			oauthtest.Must(t, err)
			code := here.Code("app", nil)
			answers := make([]oauthtest.Reply, 64)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = []*oauthtest.World{here, there}[i%2].Exchange("app", code) })
			}
			wg.Wait()
			won := 0
			for _, a := range answers {
				switch {
				case a.Status == 200:
					won++
					if here.Status(a.Access) != 401 || here.Refreshes("app", a.Refresh).Status != 400 {
						t.Error("tokens of a code that was used twice live on")
					}
				case a.Status != 400 || a.Error != "invalid_grant":
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
			if won > 1 {
				t.Errorf("%d won", won)
			}
		})
	})
}

func TestRefresh(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		wide := func(c *storage.Code) {
			c.Scopes, c.Resource = []string{"read", "write"}, []string{"https://api.example", "https://files.example"}
		}
		one := w.Exchange("app", w.Code("app", wide))
		two := w.Refreshes("app", one.Refresh)
		if two.Status != 200 || two.Refresh == one.Refresh || two.Access == one.Access || two.Scope != "read write" || w.Status(two.Access) != 200 {
			t.Fatalf("%+v", two)
		}
		w.Take()
		if again := w.Refreshes("app", one.Refresh); again.Access != two.Access || again.Refresh != two.Refresh || w.Take() != "refresh.repeated" {
			t.Errorf("a lost answer does not come again: %+v", again)
		}
		for what, got := range map[string]oauthtest.Reply{
			"attack_155 another client":       w.Refreshes("spa", two.Refresh),
			"a wrong shape":                   w.Refreshes("app", "x"),
			"an access token":                 w.Refreshes("app", two.Access),
			"other parameters for the answer": w.Refreshes("app", one.Refresh, "scope", "read"),
		} {
			if got.Status != 400 || got.Error != "invalid_grant" {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		for scope, want := range map[string]string{"admin": "invalid_scope", "read admin": "invalid_scope", "read\twrite": "invalid_scope", " ": "invalid_scope"} {
			if got := w.Refreshes("app", two.Refresh, "scope", scope); got.Error != want {
				t.Errorf("%q: %d %s", scope, got.Status, got.Body)
			}
		}
		if got := w.Refreshes("app", two.Refresh, "resource", "https://evil.example"); got.Error != "invalid_target" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		three := w.Refreshes("app", two.Refresh, "scope", "write", "resource", "https://files.example")
		if three.Status != 200 || three.Scope != "write" || w.Status(three.Access) != 401 {
			t.Errorf("fewer scopes, for another resource: %+v, %d here", three, w.Status(three.Access))
		}
		four := w.Refreshes("app", three.Refresh)
		if four.Scope != "read write" || w.Status(four.Access) != 200 {
			t.Errorf("the next one has all again: %+v", four)
		}
		// An older one: whoever it is, the grant ends.
		w.Take()
		if got := w.Refreshes("app", one.Refresh); got.Error != "invalid_grant" || w.Take() != "refresh.reuse" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if w.Status(four.Access) != 401 || w.Refreshes("app", four.Refresh).Error != "invalid_grant" {
			t.Error("the grant lives on")
		}
		no := w.Exchange("app", w.Code("app", nil))
		_, err := w.DB.BumpEpoch(t.Context(), "id-alice")
		oauthtest.Must(t, err)
		if w.Status(no.Access) != 401 || w.Refreshes("app", no.Refresh).Error != "invalid_grant" {
			t.Error("log-out-everywhere leaves a grant")
		}
	})
}

func TestRefreshRace(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		one := w.Exchange("app", w.Code("app", nil))
		answers := make([]oauthtest.Reply, 64)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = w.Refreshes("app", one.Refresh) })
		}
		wg.Wait()
		for _, a := range answers {
			if a.Status != 200 || a.Access != answers[0].Access || a.Refresh != answers[0].Refresh {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		if w.Status(answers[0].Access) != 200 || w.Refreshes("app", answers[0].Refresh).Status != 200 {
			t.Error("the pair does not work")
		}
	})
}

func TestClientCredentials(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		ask := func(client string, pairs ...string) oauthtest.Reply {
			return w.Post(w.Token(), client, append([]string{"grant_type", "client_credentials"}, pairs...)...)
		}
		got := ask("app")
		id, err := w.Identity(got.Access)
		if got.Status != 200 || got.Refresh != "" || got.Scope != "read" || err != nil || id.Subject != "" || id.Client != "app" || id.User != nil || fmt.Sprint(id.Scopes) != "[read]" {
			t.Fatalf("attack_166: %+v, %+v, %v", got, id, err)
		}
		if got := ask("app", "scope", "read write", "resource", "https://api.example"); got.Scope != "read write" || w.Status(got.Access) != 200 {
			t.Errorf("%+v", got)
		}
		t.Run("attack_166_public", func(t *testing.T) {
			if got := ask("spa"); got.Error != "unauthorized_client" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		t.Run("attack_140_scopes", func(t *testing.T) {
			for _, scope := range []string{"admin", "unknown", "openid", "offline_access", "read admin", "READ", "read\x00", strings.Repeat("read ", 10_000), "read\twrite", "\"", "read,write"} {
				if got := ask("app", "scope", scope); got.Status != 400 || got.Error != "invalid_scope" && got.Error != "invalid_request" {
					t.Errorf("%.20q: %d %.100s", scope, got.Status, got.Body)
				}
			}
		})
		oauthtest.Must(t, w.DB.DeleteClient(t.Context(), "app"))
		if w.Status(got.Access) != 401 {
			t.Error("attack_157: a deleted client's token lives on")
		}
	})
}

// Every way to ask wrongly is a refusal of RFC 6749 section 5.2.
func TestTokenRequests(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		request := func(method, target, kind, body string) oauthtest.Reply {
			r := httptest.NewRequest(method, oauthtest.Issuer+target, strings.NewReader(body))
			r.SetBasicAuth("app", w.Secrets["app"])
			r.Header.Set("Content-Type", kind)
			rec := httptest.NewRecorder()
			w.Token().ServeHTTP(rec, r)
			return oauthtest.Reply{Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
		}
		const form = "application/x-www-form-urlencoded"
		good := "grant_type=client_credentials"
		if got := request("POST", "/t", form+"; charset=UTF-8", good); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		for what, c := range map[string]struct {
			got  oauthtest.Reply
			want int
			code string
		}{
			"attack_159 GET":            {request("GET", "/t?"+good, form, ""), 405, "invalid_request"},
			"attack_159 query":          {request("POST", "/t?"+good, form, ""), 400, "invalid_request"},
			"attack_159 both":           {request("POST", "/t?x=y", form, good), 400, "invalid_request"},
			"attack_159 JSON":           {request("POST", "/t", "application/json", `{"grant_type":"client_credentials"}`), 400, "invalid_request"},
			"attack_159 multipart":      {request("POST", "/t", "multipart/form-data; boundary=x", good), 400, "invalid_request"},
			"attack_159 no type":        {request("POST", "/t", "", good), 400, "invalid_request"},
			"attack_159 empty":          {request("POST", "/t", form, ""), 400, "invalid_request"},
			"attack_159 large":          {request("POST", "/t", form, good+"&x="+strings.Repeat("a", 2<<20)), 413, "invalid_request"},
			"attack_159 malformed":      {request("POST", "/t", form, good+"&%zz"), 400, "invalid_request"},
			"attack_159 semicolon":      {request("POST", "/t", form, "grant_type=x;"+good), 400, "invalid_request"},
			"attack_160 repeated grant": {request("POST", "/t", form, good+"&"+good), 400, "invalid_request"},
			"attack_160 two clients":    {request("POST", "/t", form, good+"&client_id=other"), 400, "invalid_request"},
			"attack_160 two secrets":    {request("POST", "/t", form, good+"&client_id=app&client_secret="+w.Secrets["app"]), 400, "invalid_request"},
			"attack_160 NUL":            {request("POST", "/t", form, good+"&scope=%00"), 400, "invalid_request"},
			"attack_167 password":       {request("POST", "/t", form, "grant_type=password&username=alice&password=x"), 400, "unsupported_grant_type"},
			"attack_167 implicit":       {request("POST", "/t", form, "grant_type=__implicit"), 400, "unsupported_grant_type"},
			"attack_167 unknown":        {request("POST", "/t", form, "grant_type=x"), 400, "unsupported_grant_type"},
			"assertion":                 {request("POST", "/t", form, good+"&client_assertion=x"), 401, "invalid_client"},
		} {
			t.Run("attack_168_"+strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
				if c.got.Status != c.want || !strings.Contains(c.got.Body, `{"error":"`+c.code+`"`) || c.got.Header.Get("Cache-Control") != "no-store" || c.got.Header.Get("Pragma") != "no-cache" {
					t.Errorf("attack_168: %d %s, want %d %s", c.got.Status, c.got.Body, c.want, c.code)
				}
			})
		}
		t.Run("attack_167_not_registered", func(t *testing.T) {
			if got := w.Post(w.Token(), "other", "grant_type", "client_credentials"); got.Error != "unauthorized_client" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
		w.DB.Fail.Store(true)
		if got := request("POST", "/t", form, good); got.Status != 503 || got.Header.Get("Retry-After") == "" || strings.Contains(got.Body, "database") {
			t.Errorf("the store is down: %d %s", got.Status, got.Body)
		}
		w.DB.Fail.Store(false)
	})
}

func TestClientAuthentication(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, func(o *oauthtest.Options) { o.InsecureChosenSecrets, o.InsecureNoLimiter = plain{}, true })
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "chosen", Method: oauth2.SecretPost, Password: "hash of open sesame", Grants: []string{oauth2.ClientCredentials}}))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "empty", Method: oauth2.SecretPost, Grants: []string{oauth2.ClientCredentials}}))
		oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "off", Method: oauth2.SecretPost, Secret: storage.DigestOf("x"), Disabled: true, Grants: []string{oauth2.ClientCredentials}}))
		secret := w.Secrets["app"]
		ask := func(basicID, basicSecret string, pairs ...string) oauthtest.Reply {
			v := url.Values{"grant_type": {"client_credentials"}}
			for i := 0; i < len(pairs); i += 2 {
				v.Add(pairs[i], pairs[i+1])
			}
			r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
			if basicID != "" {
				r.SetBasicAuth(basicID, basicSecret)
			}
			return w.Send(w.Token(), r, v.Encode())
		}
		for what, got := range map[string]oauthtest.Reply{
			"attack_161_basic":    ask("app", secret),
			"attack_161_encoded":  ask("%61pp", strings.Replace(secret, "_", "%5F", 1)),
			"attack_161_and_body": ask("app", secret, "client_id", "app"),
			"a chosen secret":     ask("", "", "client_id", "chosen", "client_secret", "open sesame"),
		} {
			if got.Status != 200 {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
		}
		for what, got := range map[string]oauthtest.Reply{
			"attack_162_wrong":         ask("app", "wrong"),
			"attack_162_empty":         ask("app", ""),
			"attack_162_missing":       ask("", "", "client_id", "app"),
			"attack_162_public_secret": ask("", "", "client_id", "spa", "client_secret", "x"),
			"attack_162_public_basic":  ask("spa", "x"),
			"attack_163_post_basic":    ask("", "", "client_id", "app", "client_secret", secret),
			"attack_163_basic_post":    ask("other", w.Secrets["other"]),
			"attack_163_none":          ask("", "", "client_id", "other"),
			"attack_136_unknown":       ask("nobody", "x"),
			"attack_136_NUL":           ask("app%00", secret),
			"attack_136_disabled":      ask("", "", "client_id", "off", "client_secret", "x"),
			"nobody at all":            ask("", ""),
			"a wrong chosen one":       ask("", "", "client_id", "chosen", "client_secret", "x"),
			"no chosen one":            ask("", "", "client_id", "chosen", "client_secret", ""),
			"a client without any":     ask("", "", "client_id", "empty", "client_secret", ""),
			"nor with one":             ask("", "", "client_id", "empty", "client_secret", "x"),
			"another one's":            ask("app", w.Secrets["api"]),
		} {
			t.Run(what, func(t *testing.T) {
				if got.Status != 401 || got.Error != "invalid_client" || strings.Contains(got.Body, "secret") {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
		}
		if got := ask("app", "wrong"); got.Header.Get("WWW-Authenticate") != `Basic realm="`+oauthtest.Issuer+`"` {
			t.Errorf("attack_162: %v", got.Header)
		}
		for _, text := range []string{secret, w.Secrets["other"], "open sesame"} {
			if strings.Contains(w.Log.String(), text) {
				t.Error("a secret is in the log")
			}
		}
	})
}

// plain is no hasher: it knows "hash of …".
type plain struct{}

func (plain) Verify(_ context.Context, _ string, encoded storage.PasswordHash, secret string) (bool, bool, error) {
	return string(encoded) == "hash of "+secret, false, nil
}

// A scope that a client may not ask for any more is in no new token of an old grant.
func TestScopesTakenAway(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		w := oauthtest.NewWorld(t, s, nil)
		got := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Scopes = []string{"read", "write"} }))
		waiting := w.Code("app", func(c *storage.Code) { c.Scopes = []string{"read", "write"} })
		c, err := w.DB.ClientByID(t.Context(), "app")
		oauthtest.Must(t, err)
		c.Scopes = []string{"read"}
		oauthtest.Must(t, w.DB.UpdateClient(t.Context(), c))
		if late := w.Exchange("app", waiting); late.Status != 200 || late.Scope != "read" {
			t.Errorf("a code from before: %s", late.Body)
		}
		if wide := w.Refreshes("app", got.Refresh, "scope", "write"); wide.Error != "invalid_scope" {
			t.Errorf("asked for: %s", wide.Body)
		}
		if next := w.Refreshes("app", got.Refresh); next.Status != 200 || next.Scope != "read" {
			t.Errorf("a refresh: %s", next.Body)
		}
	})
}
