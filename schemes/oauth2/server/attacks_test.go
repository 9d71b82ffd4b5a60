package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const script = `"><script>alert(1)</script>`

// What a request brings is neither shown as HTML nor makes a header.
func TestNothingIsReflected(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	alice := w.Alice("s1")
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "<b>", Name: script, Method: oauth2.None, Grants: []string{oauth2.AuthorizationCode}, RedirectURIs: []string{oauthtest.Redirect}, Scopes: []string{"read"}}))
	t.Run("attack_138_modes", func(t *testing.T) {
		for _, mode := range []string{"fragment", "form_post.jwt", "x", "query.jwt", script} {
			rec := w.Authorizes(alice, "GET", oauthtest.Query("app", "response_mode", mode, "state", script), "")
			if v := oauthtest.Sent(t, rec, oauthtest.Redirect); v.Get("error") != "invalid_request" || v.Get("state") != script || strings.Contains(rec.Header().Get("Location")+rec.Body.String(), "<script") {
				t.Errorf("%s: %v", mode, v)
			}
		}
		rec := w.Authorizes(alice, "GET", oauthtest.Query("app", "response_mode", "query", "state", script), "")
		handle := oauthtest.HandleOf(t, rec)
		if strings.Contains(rec.Body.String(), "<script") {
			t.Error("the state is on the page")
		}
		if v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"), oauthtest.Redirect); v.Get("state") != script || v.Get("code") == "" {
			t.Errorf("%v", v)
		}
	})
	t.Run("attack_151_descriptions", func(t *testing.T) {
		rec := w.Authorizes(alice, "GET", oauthtest.Query("<b>"), "")
		oauthtest.HandleOf(t, rec)
		if body := rec.Body.String(); strings.Contains(body, "<script") || strings.Contains(body, "<b>") || !strings.Contains(body, "&lt;script") {
			t.Errorf("%s", body)
		}
		for name := range map[string]bool{"scope": true, "prompt": true, "resource": true, "code_challenge_method": true, "response_type": true, "max_age": true} {
			v := oauthtest.Sent(t, w.Authorizes(alice, "GET", oauthtest.Query("app", name, script, "error_description", script, "error_hint", script), ""), oauthtest.Redirect)
			if v.Get("error") == "" || strings.ContainsAny(v.Get("error_description"), "<>&") || v.Has("error_hint") {
				t.Errorf("%s: %v", name, v)
			}
		}
		for name := range map[string]bool{"client_id": true, "redirect_uri": true, "request_uri": true} {
			rec := w.Authorizes(alice, "GET", oauthtest.Query("app", name, "urn:ietf:params:oauth:request_uri:"+script, "error_description", script), "")
			if rec.Code != 400 || strings.Contains(rec.Body.String(), "alert(1)") {
				t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
			}
		}
		for name := range map[string]bool{"grant_type": true, "scope": true, "code": true, "resource": true, "error_description": true} {
			got := w.Post(w.Token(), "app", "grant_type", "client_credentials", name, script)
			if strings.Contains(got.Body, "alert(1)") || got.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
		}
	})
	t.Run("attack_189_issuer_of_answers", func(t *testing.T) {
		r := httptest.NewRequest("GET", "https://evil.example/oauth2/authorize?"+oauthtest.Query("app", "scope", "admin"), nil)
		for _, name := range []string{"X-Forwarded-Host", "X-Original-Host", "Forwarded"} {
			r.Header.Set(name, "host=evil.example")
		}
		rec := httptest.NewRecorder()
		w.Authorize("/login").ServeHTTP(rec, authntest.As(r, *alice))
		if v := oauthtest.Sent(t, rec, oauthtest.Redirect); v.Get("iss") != oauthtest.Issuer {
			t.Errorf("%v", v)
		}
	})
}

// The work for a scope that is much too long, or a parameter that comes twice, is small.
func TestOddRequests(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	alice := w.Alice("s1")
	t.Run("attack_140_many_scopes", func(t *testing.T) {
		many := make([]string, 10_000)
		for i := range many {
			many[i] = fmt.Sprint("s", i)
		}
		for _, scope := range []string{strings.Join(many, " "), strings.Repeat("read ", 10_000), "read\twrite", " ", "READ", "openid"} {
			if v := oauthtest.Sent(t, w.Authorizes(alice, "GET", oauthtest.Query("app", "scope", scope), ""), oauthtest.Redirect); v.Get("error") != "invalid_scope" {
				t.Errorf("%.20q: %v", scope, v)
			}
		}
		// None is the client's default, and never more.
		handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("app", "scope", ""), ""))
		v := oauthtest.Sent(t, w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow"), oauthtest.Redirect)
		if got := w.Exchange("app", v.Get("code")); got.Scope != "read" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("attack_141_twice", func(t *testing.T) {
		for _, name := range []string{"code_challenge", "code_challenge_method"} {
			if rec := w.Authorizes(alice, "GET", oauthtest.Query("app")+"&"+name+"=S256", ""); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%s: %d", name, rec.Code)
			}
		}
	})
	t.Run("attack_142_stripped", func(t *testing.T) {
		// Even where the challenge is optional: who stripped it from the request of the victim has
		// a code that the victim's verifier does not fit.
		w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithSessions(o); o.InsecureOptionalPKCE = true })
		handle := oauthtest.HandleOf(t, w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("app", "code_challenge", "", "code_challenge_method", ""), ""))
		v := oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "POST", "", "handle="+handle+"&decision=allow"), oauthtest.Redirect)
		if got := w.Exchange("app", v.Get("code")); got.Error != "invalid_grant" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("attack_146_no_form", func(t *testing.T) {
		for _, body := range []string{"decision=allow", "handle=&decision=allow", "handle=vco_x&decision=allow"} {
			if rec := w.Authorizes(alice, "POST", oauthtest.Query("app"), body); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%s: %d", body, rec.Code)
			}
		}
		r := httptest.NewRequest("POST", oauthtest.Issuer+"/oauth2/authorize", strings.NewReader(`{"decision":"allow"}`))
		r.Header.Set("Content-Type", "text/plain")
		rec := httptest.NewRecorder()
		w.Authorize("/login").ServeHTTP(rec, authntest.As(r, *alice))
		if rec.Code != 400 {
			t.Errorf("%d", rec.Code)
		}
	})
}

// A code of a client that was deleted is nothing for a later one of its ID.
func TestCodeOfADeletedClient(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_157_deleted_client", func(t *testing.T) {
			w := oauthtest.NewWorld(t, s, nil)
			c, err := s.ClientByID(t.Context(), "app")
			oauthtest.Must(t, err)
			code := w.Code("app", nil)
			oauthtest.Must(t, s.DeleteClient(t.Context(), "app"))
			if got := w.Exchange("app", code); got.Status != 401 || got.Error != "invalid_client" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			oauthtest.Must(t, s.CreateClient(t.Context(), c))
			if got := w.Exchange("app", code); got.Status != 400 || got.Error != "invalid_grant" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
	})
}

func TestGuesses(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	// guess is a well-formed text that was never given.
	random := rand.New(rand.NewPCG(1, 2))
	guess := func(prefix string) string {
		var body [credential.Size]byte
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		return credential.MustFormat(prefix).Encode(body)
	}
	t.Run("attack_158_flood", func(t *testing.T) {
		if credential.Size < 16 {
			t.Error("a code has less than 128 bits")
		}
		real := w.Code("app", nil)
		answers := map[string]bool{}
		for range 2000 {
			got := w.Exchange("app", guess("vac"))
			answers[fmt.Sprint(got.Status, got.Body, got.Header)] = true
		}
		if len(answers) != 1 {
			t.Errorf("%v", answers)
		}
		if got := w.Exchange("app", real); got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		// A limit of requests goes around the endpoint.
		limit, err := throttle.Scoped(throttle.NewMemory(nil), "token", throttle.Rate{Limit: 10, Window: time.Minute}, &throttle.Options{Clock: w.Clock})
		oauthtest.Must(t, err)
		limited, refused := limit(w.Token()), 0
		for range 50 {
			if got := w.Post(limited, "app", "grant_type", "authorization_code", "code", guess("vac"), "redirect_uri", oauthtest.Redirect, "code_verifier", oauthtest.Verifier); got.Status == 429 && got.Header.Get("Retry-After") != "" {
				refused++
			}
		}
		if refused != 40 {
			t.Errorf("%d of 50 were refused", refused)
		}
	})
	t.Run("attack_173_flood", func(t *testing.T) {
		answers := map[string]bool{}
		for i := range 2000 {
			got := w.Post(w.Introspect(), "api", "token", guess([]string{"vat", "vor", "vac"}[i%3]))
			answers[fmt.Sprint(got.Status, got.Body)] = true
		}
		if len(answers) != 1 || !answers[fmt.Sprint(200, "{\"active\":false}\n")] {
			t.Errorf("%v", answers)
		}
	})
}

// Each who asks about a token has an answer of their own, and of this moment.
func TestIntrospectionIsAskedAnew(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_174_callers", func(t *testing.T) {
			w := oauthtest.NewWorld(t, s, nil)
			oauthtest.Must(t, s.CreateClient(t.Context(), storage.Client{ID: "files", Method: oauth2.SecretPost, Secret: storage.DigestOf("files secret"), Serves: []string{"https://files.example"}}))
			token := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Resource = []string{"https://api.example"} }))
			ask := func() string {
				files := w.Post(w.Introspect(), "none", "client_id", "files", "client_secret", "files secret", "token", token.Access)
				return fmt.Sprint(w.Post(w.Introspect(), "app", "token", token.Access).Active, w.Post(w.Introspect(), "other", "token", token.Access).Active,
					w.Post(w.Introspect(), "api", "token", token.Access).Active, files.Active)
			}
			for range 3 {
				if got := ask(); got != "true false true false" {
					t.Errorf("%s", got)
				}
			}
			if got := w.Post(w.Revoke(), "app", "token", token.Access); got.Status != 200 || ask() != "false false false false" {
				t.Errorf("%d, %s", got.Status, ask())
			}
		})
	})
}

// A secret is form-urlencoded before Basic (RFC 6749 section 2.3.1).
func TestBasicEncoding(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.InsecureChosenSecrets, o.InsecureNoLimiter = plain{}, true })
	const id, secret = "https://client.example/:x", "a b+c:d%ä&=\""
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: id, Method: oauth2.SecretBasic, Password: "hash of " + secret, Grants: []string{oauth2.ClientCredentials}}))
	ask := func(id, secret string) int {
		r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
		r.SetBasicAuth(id, secret)
		return w.Send(w.Token(), r, "grant_type=client_credentials").Status
	}
	t.Run("attack_161_odd_characters", func(t *testing.T) {
		if got := ask(url.QueryEscape(id), url.QueryEscape(secret)); got != 200 {
			t.Errorf("%d", got)
		}
		if got := ask(url.PathEscape(id)+"", strings.ReplaceAll(url.QueryEscape(secret), "+", "%20")); got != 401 {
			t.Errorf("a colon that is not encoded parts the ID: %d", got)
		}
		if got := ask(url.QueryEscape(id), strings.ReplaceAll(url.QueryEscape(secret), "+", "%20")); got != 200 {
			t.Errorf("%%20 for a blank: %d", got)
		}
		for _, bad := range []string{secret, url.QueryEscape(secret) + "%", url.QueryEscape(secret) + "%zz", url.QueryEscape(secret) + "%00", url.QueryEscape(secret) + "%ff", url.QueryEscape(url.QueryEscape(secret))} {
			if got := ask(url.QueryEscape(id), bad); got != 401 {
				t.Errorf("%q: %d", bad, got)
			}
		}
	})
}

// What clients push is gone after its time.
func TestPushFlood(t *testing.T) {
	oauthtest.Each(t, func(t *testing.T, s oauthtest.Store) {
		t.Run("attack_183_flood", func(t *testing.T) {
			w := oauthtest.NewWorld(t, s, oauthtest.WithSessions)
			seen := map[string]bool{}
			for range 100 {
				got := w.Post(w.PushedAuthorization(), "app", "response_type", "code", "redirect_uri", oauthtest.Redirect, "code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256")
				m := regexp.MustCompile(`"request_uri":"([^"]+)"`).FindStringSubmatch(got.Body)
				if got.Status != 201 || m == nil || seen[m[1]] {
					t.Fatalf("%d %s", got.Status, got.Body)
				}
				seen[m[1]] = true
			}
			pruner := s.(storage.Pruner)
			if n, err := pruner.Prune(t.Context(), w.Clock(), 1000); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if n, err := pruner.Prune(t.Context(), w.Clock().Add(90*time.Second), 1000); n != 100 || err != nil {
				t.Errorf("%d of 100 are gone, %v", n, err)
			}
		})
	})
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	limit, err := throttle.Scoped(throttle.NewMemory(nil), "par", throttle.Rate{Limit: 3, Window: time.Minute}, &throttle.Options{Clock: w.Clock})
	oauthtest.Must(t, err)
	limited := limit(w.PushedAuthorization())
	var last int
	for range 4 {
		last = w.Post(limited, "nobody").Status
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("attack_183: %d", last)
	}
}
