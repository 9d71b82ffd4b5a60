package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	goauth "github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/generates"
	"github.com/go-oauth2/oauth2/v4/models"
	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// The hazards of go-oauth2 v4.5.4, whose server is the frame of the token endpoint here. Each
// test shows first that the library alone has it, then that this server has not. Where the
// first part fails after an update, the library has mended it.

func hazardWorld(t *testing.T) (*oauthtest.World, *bare) {
	w := oauthtest.NewWorld(t, memory.New(nil), oauthtest.WithSessions)
	return w, newBare(t)
}

// has fails unless the library shows the hazard.
func has(t *testing.T, shown bool, what any) {
	t.Helper()
	if !shown {
		t.Errorf("go-oauth2 alone does not show it any more: %+v", what)
	}
}

func TestHazard01RedirectBySuffix(t *testing.T) {
	w, b := hazardWorld(t)
	for _, evil := range []string{"https://evilexample.com/cb", "http://example.com/", "https://x@evilexample.com/"} {
		to := b.asks("redirect_uri", evil)
		has(t, strings.Contains(to, "code="), to)
	}
	for _, evil := range []string{"https://evilapp.example/cb", "http://app.example/cb", "https://x.app.example/cb", oauthtest.Redirect + "/", oauthtest.Redirect + "#x", "https://app.example:444/cb"} {
		if rec := w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("app", "redirect_uri", evil), ""); rec.Code != 400 || rec.Header().Get("Location") != "" {
			t.Errorf("%s: %d", evil, rec.Code)
		}
	}
}

func TestHazard02OpenRedirectOnError(t *testing.T) {
	w, b := hazardWorld(t)
	to := b.asks("client_id", "nobody", "redirect_uri", "https://evil.example/")
	has(t, strings.HasPrefix(to, "https://evil.example/"), to)
	for _, q := range []string{oauthtest.Query("nobody", "redirect_uri", "https://evil.example/"), oauthtest.Query("app", "redirect_uri", "https://evil.example/", "scope", "unknown"), oauthtest.Query("app", "redirect_uri", "https://evil.example/", "response_type", "x")} {
		for _, who := range []*authn.Identity{nil, w.Alice("s1")} {
			if rec := w.Authorizes(who, "GET", q, ""); rec.Code != 400 || rec.Header().Get("Location") != "" {
				t.Errorf("%s: %d %v", q, rec.Code, rec.Header())
			}
		}
	}
}

func TestHazard03RefreshWithoutClient(t *testing.T) {
	w, b := hazardWorld(t)
	got := b.token("attacker", "nosecret", "grant_type", "refresh_token", "refresh_token", b.exchange(b.code()).Refresh)
	has(t, got.Status == 200 && got.Access != "", got)
	pair := w.Exchange("app", w.Code("app", nil))
	for what, got := range map[string]oauthtest.Reply{
		"another client": w.Refreshes("other", pair.Refresh), "a public one": w.Refreshes("spa", pair.Refresh),
		"a wrong secret": w.Post(w.Token(), "none", "client_id", "app", "client_secret", "x", "grant_type", "refresh_token", "refresh_token", pair.Refresh),
	} {
		if got.Status == 200 || got.Access != "" {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	if got := w.Refreshes("app", pair.Refresh); got.Status != 200 {
		t.Errorf("its own client: %d %s", got.Status, got.Body)
	}
}

func TestHazard04ScopeEscalation(t *testing.T) {
	w, b := hazardWorld(t)
	got := b.token("app", "secret", "grant_type", "refresh_token", "refresh_token", b.exchange(b.code("scope", "read")).Refresh, "scope", "admin")
	has(t, got.Status == 200 && got.Scope == "admin", got)
	pair := w.Exchange("app", w.Code("app", nil))
	for what, got := range map[string]oauthtest.Reply{
		"refresh": w.Refreshes("app", pair.Refresh, "scope", "admin"), "wider": w.Refreshes("app", pair.Refresh, "scope", "read write"),
		"for itself": w.Post(w.Token(), "app", "grant_type", "client_credentials", "scope", "admin"),
	} {
		if got.Status != 400 || got.Error != "invalid_scope" {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	if v := oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "GET", oauthtest.Query("app", "scope", "admin"), ""), oauthtest.Redirect); v.Get("error") != "invalid_scope" {
		t.Errorf("%v", v)
	}
}

func TestHazard05EmptySecret(t *testing.T) {
	w, b := hazardWorld(t)
	b.store.clients["empty"] = &models.Client{ID: "empty", Domain: "https://example.com"}
	got := b.token("empty", "anything", "grant_type", "client_credentials")
	has(t, got.Status == 200, got)
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "empty", Method: oauth2.SecretPost, Grants: []string{oauth2.ClientCredentials}}))
	for _, secret := range []string{"", "anything"} {
		if got := w.Post(w.Token(), "none", "client_id", "empty", "client_secret", secret, "grant_type", "client_credentials"); got.Status != 401 {
			t.Errorf("%q: %d %s", secret, got.Status, got.Body)
		}
	}
}

func TestHazard06CodeSpentTwice(t *testing.T) {
	w, b := hazardWorld(t)
	code := b.code()
	b.store.both = new(sync.WaitGroup)
	b.store.both.Add(2)
	exchanges := func(n int, f func() oauthtest.Reply) (good int) {
		answers := make([]oauthtest.Reply, n)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = f() })
		}
		wg.Wait()
		for _, a := range answers {
			if a.Status == 200 {
				good++
			}
		}
		return good
	}
	n := exchanges(2, func() oauthtest.Reply { return b.exchange(code) })
	has(t, n == 2, n)
	ours := w.Code("app", nil)
	if n := exchanges(64, func() oauthtest.Reply { return w.Exchange("app", ours) }); n > 1 {
		t.Errorf("%d exchanged one code", n)
	}
}

func TestHazard07NoReuseDetection(t *testing.T) {
	w, b := hazardWorld(t)
	stolen := b.exchange(b.code())
	next := b.token("app", "secret", "grant_type", "refresh_token", "refresh_token", stolen.Refresh)
	b.token("app", "secret", "grant_type", "refresh_token", "refresh_token", stolen.Refresh)
	info, err := b.manager.LoadAccessToken(t.Context(), next.Access)
	has(t, err == nil && info != nil, err)
	one := w.Exchange("app", w.Code("app", nil))
	two := w.Refreshes("app", one.Refresh)
	w.Refreshes("app", two.Refresh)
	if got := w.Refreshes("app", one.Refresh); got.Error != "invalid_grant" || w.Status(two.Access) != 401 {
		t.Errorf("%d %s: the grant lives on", got.Status, got.Body)
	}
}

func TestHazard08ProofIsOptional(t *testing.T) {
	w, b := hazardWorld(t)
	got := b.exchange(b.code())
	has(t, got.Status == 200, got)
	got = b.exchange(b.code("code_challenge", oauthtest.ChallengeOf(oauthtest.Verifier), "code_challenge_method", "S256"))
	has(t, got.Status == 500, got)
	got = b.exchange(b.code("code_challenge", oauthtest.Verifier), "code_verifier", oauthtest.Verifier) // "plain" where none is named
	has(t, got.Status == 200, got)
	for what, q := range map[string]string{"none": oauthtest.Query("app", "code_challenge", "", "code_challenge_method", ""), "plain": oauthtest.Query("app", "code_challenge_method", "plain"), "short": oauthtest.Query("app", "code_challenge", "short")} {
		if v := oauthtest.Sent(t, w.Authorizes(w.Alice("s1"), "GET", q, ""), oauthtest.Redirect); v.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", what, v)
		}
	}
	if got := w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", w.Code("app", nil), "redirect_uri", oauthtest.Redirect); got.Status != 400 || got.Error != "invalid_grant" {
		t.Errorf("no verifier: %d %s", got.Status, got.Body)
	}
}

func TestHazard09WrongStatuses(t *testing.T) {
	w, b := hazardWorld(t)
	got := b.exchange("unknown")
	has(t, got.Status == 401 && got.Error == "invalid_grant", got)
	got = b.token("app", "wrong", "grant_type", "client_credentials")
	has(t, got.Status == 401 && got.Header.Get("WWW-Authenticate") == "", got)
	if got := w.Exchange("app", "unknown"); got.Status != 400 || got.Error != "invalid_grant" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	r := httptest.NewRequest("POST", oauthtest.Issuer+"/t", nil)
	r.SetBasicAuth("app", "wrong")
	if got := w.Send(w.Token(), r, "grant_type=client_credentials"); got.Status != 401 || got.Error != "invalid_client" || got.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	if got := w.Post(w.Token(), "nobody", "client_id", "nobody", "grant_type", "client_credentials"); got.Status != 401 || got.Error != "invalid_client" {
		t.Errorf("an unknown client: %d %s", got.Status, got.Body)
	}
}

func TestHazard10FragmentInjection(t *testing.T) {
	const state = "a&access_token=EVIL"
	b := newBare(t)
	to := b.asks("response_type", "token", "state", state)
	has(t, strings.Contains(to, "&access_token=EVIL"), to)
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { oauthtest.WithSessions(o); o.InsecureImplicitGrant = true })
	oauthtest.Must(t, w.DB.CreateClient(t.Context(), storage.Client{ID: "page", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.Implicit}, RedirectURIs: []string{oauthtest.Redirect}}))
	alice := w.Alice("s1")
	handle := oauthtest.HandleOf(t, w.Authorizes(alice, "GET", oauthtest.Query("page", "response_type", "token", "state", state), ""))
	to = w.Authorizes(alice, "POST", "", "handle="+handle+"&decision=allow").Header().Get("Location")
	_, text, ok := strings.Cut(to, "#")
	v, err := url.ParseQuery(text)
	if !ok || err != nil || v.Get("state") != state || len(v["access_token"]) != 1 || strings.Contains(to, "&access_token=EVIL") {
		t.Errorf("%s", to)
	}
}

func TestHazard11TokensThatAreTheSame(t *testing.T) {
	w, b := hazardWorld(t)
	b.manager.MapAccessGenerate(generates.NewJWTAccessGenerate("", []byte(strings.Repeat("k", 32)), gojwt.SigningMethodHS256))
	same := false
	for range 3 { // a second may end in between
		one, two := b.token("app", "secret", "grant_type", "client_credentials"), b.token("app", "secret", "grant_type", "client_credentials", "scope", "other")
		same = same || one.Access != "" && one.Access == two.Access
	}
	has(t, same, "tokens differ")
	one, two := w.Post(w.Token(), "app", "grant_type", "client_credentials"), w.Post(w.Token(), "app", "grant_type", "client_credentials", "scope", "write")
	if one.Access == two.Access {
		t.Error("two tokens of a moment are the same")
	}
	if w.Post(w.Revoke(), "app", "token", one.Access); w.Status(one.Access) != 401 || w.Status(two.Access) != 200 {
		t.Error("revoking one of them is not revoking one of them")
	}
}

func TestHazard12TokensInPlain(t *testing.T) {
	b := newBare(t)
	pair := b.exchange(b.code())
	info := b.store.tokens[pair.Access]
	has(t, info != nil && info.GetRefresh() == pair.Refresh, "the store is given no text")
	path := filepath.Join(t.TempDir(), "db")
	s, err := sqlite.Open(path, nil)
	oauthtest.Must(t, err)
	defer s.Close()
	oauthtest.Must(t, s.Migrate(t.Context()))
	w := oauthtest.NewWorld(t, s, nil)
	code := w.Code("app", nil)
	ours := w.Exchange("app", code)
	ours2 := w.Refreshes("app", ours.Refresh)
	if ours2.Status != 200 {
		t.Fatal(ours2.Body)
	}
	read := 0
	for _, name := range []string{path, path + "-wal"} {
		file, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		read += len(file)
		for what, text := range map[string]string{"code": code, "access": ours.Access, "refresh": ours.Refresh, "next access": ours2.Access, "next refresh": ours2.Refresh, "secret": w.Secrets["app"]} {
			if bytes.Contains(file, []byte(text)) {
				t.Errorf("the %s token is in the database", what)
			}
		}
		if bytes.Contains(file, []byte("id-alice")) {
			read += 1 << 30
		}
	}
	if read < 1<<30 {
		t.Error("this reads no database")
	}
}

func TestHazard13RefreshEndsAccess(t *testing.T) {
	b := newBare(t)
	pair := b.exchange(b.code())
	b.store.tokens[pair.Access].SetRefreshCreateAt(time.Now().Add(-365 * 24 * time.Hour))
	_, err := b.manager.LoadAccessToken(t.Context(), pair.Access)
	has(t, err != nil, err)
	w := oauthtest.NewWorld(t, memory.New(nil), func(o *oauthtest.Options) { o.RefreshTTL, o.AbsoluteTTL = 10*time.Minute, 24*time.Hour })
	ours := w.Exchange("app", w.Code("app", nil))
	w.Pass(30 * time.Minute)
	if w.Status(ours.Access) != 200 || w.Refreshes("app", ours.Refresh).Error != "invalid_grant" {
		t.Error("an access token ends with its refresh token")
	}
}

func TestHazard14TokensInTheURL(t *testing.T) {
	w, b := hazardWorld(t)
	pair := b.exchange(b.code())
	info, err := b.ValidationBearerToken(httptest.NewRequest("GET", "/?access_token="+pair.Access, nil))
	has(t, err == nil && info != nil, err)
	r := httptest.NewRequest("POST", "/token?grant_type=client_credentials", nil)
	r.SetBasicAuth("app", "secret")
	rec := httptest.NewRecorder()
	_ = b.HandleTokenRequest(rec, r)
	has(t, rec.Code == 200, rec.Body)
	ours := w.Exchange("app", w.Code("app", nil))
	body := httptest.NewRequest("POST", "/", strings.NewReader("access_token="+ours.Access))
	body.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for what, r := range map[string]*http.Request{"URL": httptest.NewRequest("GET", "/?access_token="+ours.Access, nil), "body": body} {
		if id, err := (authn.Chain{w.Scheme()}).Authenticate(r); id.Authenticated() || err == nil {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	r = httptest.NewRequest("POST", oauthtest.Issuer+"/t?grant_type=client_credentials", nil)
	r.SetBasicAuth("app", w.Secrets["app"])
	if got := w.Send(w.Token(), r, ""); got.Status != 400 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestHazard15RedirectNotCompared(t *testing.T) {
	w, b := hazardWorld(t)
	got := b.exchange(b.code("redirect_uri", ""), "redirect_uri", "https://evilexample.com/other")
	has(t, got.Status == 200, got)
	none := func(c *storage.Code) { c.RedirectURI = "" }
	if got := w.Exchange("app", w.Code("app", none)); got.Error != "invalid_grant" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := w.Post(w.Token(), "app", "grant_type", "authorization_code", "code", w.Code("app", none), "code_verifier", oauthtest.Verifier); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestHazard16WhatIsMissing(t *testing.T) {
	w, b := hazardWorld(t)
	// Any client may use any grant.
	b.store.clients["web"] = &models.Client{ID: "web", Secret: "s", Domain: "https://example.com"}
	got := b.token("web", "s", "grant_type", "client_credentials", "scope", "admin")
	has(t, got.Status == 200, got)
	has(t, goauth.GrantType("urn:ietf:params:oauth:grant-type:device_code").String() == "", "it knows the device grant")
	if got := w.Post(w.Token(), "other", "grant_type", "client_credentials"); got.Error != "unauthorized_client" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	rec := httptest.NewRecorder()
	w.Metadata().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	for _, want := range []string{"revocation_endpoint", "introspection_endpoint", "pushed_authorization_request_endpoint", `"authorization_response_iss_parameter_supported":true`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %s: %s", want, rec.Body)
		}
	}
}
