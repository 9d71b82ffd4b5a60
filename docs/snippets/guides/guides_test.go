package guides

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const alicePassword = "wonderland-42"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// world is a store with the user alice, who has the ID "alice".
type world struct {
	db        *memory.Store
	passwords *password.Checker
	devices   *knox.Scheme
	site      *csrf.Site
	browsers  *session.Scheme
	ring      *keys.Ring
}

func newWorld(t *testing.T) world {
	t.Helper()
	db := memory.New(nil)
	w := world{
		db: db, passwords: must(newPasswords(db, nil)), devices: must(knox.New(db, nil)),
		site: must(csrf.New("https://app.example", nil)), ring: must(keys.NewRing(keys.Generate())),
	}
	w.browsers = must(session.New(db, w.site, nil))
	must(w.passwords.Register(t.Context(), password.NewUser{ID: "alice", Name: "alice", Password: alicePassword}))
	return w
}

func (w world) token(t *testing.T, scopes ...string) string {
	t.Helper()
	epoch := must(w.devices.CurrentEpoch(t.Context(), "alice"))
	text, _, err := w.devices.Issue(t.Context(), "alice", epoch, knox.Token{Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return "Knox " + text
}

// call sends a request over https with headers (name, value, …) and returns the response.
func call(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, "https://app.example"+path, strings.NewReader(body)), httptest.NewRecorder()
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

func expect(t *testing.T, what string, got *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if got.Code != status || !strings.Contains(got.Body.String(), body) {
		t.Errorf("%s: %d %s, want %d %s", what, got.Code, got.Body, status, body)
	}
}

func TestChain(t *testing.T) {
	w := newWorld(t)
	api := must(newAPI(w.devices, w.passwords))
	expect(t, "anonymous", call(api, "GET", "/whoami", ""), 200, "anonymous")
	expect(t, "token", call(api, "GET", "/whoami", "", "Authorization", w.token(t)), 200, "alice, by knox")
	expect(t, "bad token", call(api, "GET", "/whoami", "", "Authorization", "Knox vkn_x"), 401, "")
	basicAuth := must(http.NewRequest("GET", "/", nil))
	basicAuth.SetBasicAuth("alice", alicePassword)
	expect(t, "basic", call(api, "GET", "/whoami", "", "Authorization", basicAuth.Header.Get("Authorization")), 200, "alice, by basic")
	if _, err := newBasic(w.passwords); err != nil {
		t.Error(err)
	}
}

func TestCustomSchemes(t *testing.T) {
	w := newWorld(t)
	serve := func(a authn.Authenticator) http.Handler {
		return authn.New(authn.Chain{a}, nil).Handler(http.HandlerFunc(whoami))
	}
	keyed := serve(apiKeys{storage.DigestOf("k1"): "alice"})
	mux := authz.NewMux(authn.New(authn.Chain{apiKeys{}}, nil))
	mux.HandleFunc("GET /closed", whoami, authz.IsAuthenticated)
	expect(t, "key", call(keyed, "GET", "/", "", "X-Api-Key", "k1"), 200, "by apikey")
	expect(t, "wrong key", call(keyed, "GET", "/", "", "X-Api-Key", "k2"), 401, "Invalid API key.")
	expect(t, "two keys", call(keyed, "GET", "/", "", "X-Api-Key", "k1", "X-Api-Key", "k2"), 400, "more than one")
	expect(t, "no key", call(keyed, "GET", "/", ""), 200, "anonymous")
	if got := call(mux, "GET", "/closed", ""); got.Code != 401 || got.Header().Get("WWW-Authenticate") != `ApiKey realm="api"` {
		t.Errorf("%d %v", got.Code, got.Header())
	}

	tokens := must(token.New(w.db, w.ring, nil))
	text := must(tokens.GetOrCreate(t.Context(), "alice", must(tokens.CurrentEpoch(t.Context(), "alice"))))
	for hour, want := range map[int]int{7: 403, 8: 200, 17: 200, 18: 403} {
		at := time.Date(2026, 1, 5, hour, 0, 0, 0, time.UTC)
		office := serve(officeHours{tokens, func() time.Time { return at }})
		expect(t, fmt.Sprint(hour), call(office, "GET", "/", "", "Authorization", "Token "+text), want, "")
	}

	auth, pages, err := withCookie(w.devices, "https://app.example")
	if err != nil {
		t.Fatal(err)
	}
	set := httptest.NewRecorder()
	rememberToken(set, pages, strings.TrimPrefix(w.token(t), "Knox "))
	cookie, _, _ := strings.Cut(set.Header().Get("Set-Cookie"), ";")
	cookies := auth.Handler(http.HandlerFunc(whoami))
	expect(t, "cookie", call(cookies, "GET", "/", "", "Cookie", cookie), 200, "alice, by cookie")
	expect(t, "another site", call(cookies, "POST", "/", "a=b", "Cookie", cookie, "Origin", "https://evil.example"), 403, "CSRF")
}

func TestLogoutEverywhere(t *testing.T) {
	w := newWorld(t)
	mux := authz.NewMux(authn.New(authn.Chain{w.devices}, nil))
	mountLogoutEverywhere(mux, w.db)
	mux.HandleFunc("GET /me", whoami, authz.IsAuthenticated)
	other, own := w.token(t), w.token(t)
	expect(t, "scoped", call(mux, "POST", "/logout-everywhere", "", "Authorization", w.token(t, "notes:read")), 403, "")
	expect(t, "before", call(mux, "GET", "/me", "", "Authorization", other), 200, "alice")
	expect(t, "log out", call(mux, "POST", "/logout-everywhere", "", "Authorization", own), 204, "")
	expect(t, "after", call(mux, "GET", "/me", "", "Authorization", other), 401, "")
}

type memoryNotes map[int64]Note

func (m memoryNotes) Note(_ context.Context, id int64) (Note, error) {
	if n, ok := m[id]; ok {
		return n, nil
	}
	return Note{}, errNoNote
}

func (m memoryNotes) Notes(context.Context) ([]Note, error) {
	return slices.Collect(maps.Values(m)), nil
}

func TestPermissions(t *testing.T) {
	w := newWorld(t)
	auth := authn.New(authn.Chain{w.devices}, nil)
	mux := newNotes(auth, memoryNotes{1: {1, "alice", "milk"}, 2: {2, "bob", "secret"}})
	alice := w.token(t)
	expect(t, "own", call(mux, "GET", "/notes/1", "", "Authorization", alice), 200, "milk")
	expect(t, "bob's", call(mux, "GET", "/notes/2", "", "Authorization", alice), 403, "")
	expect(t, "none", call(mux, "GET", "/notes/3", "", "Authorization", alice), 404, "")
	expect(t, "no number", call(mux, "GET", "/notes/x", "", "Authorization", alice), 404, "")
	expect(t, "anonymous", call(mux, "GET", "/notes/1", ""), 401, "")
	expect(t, "list", call(mux, "GET", "/notes", ""), 200, "milk")

	sunday := weekdays{func() time.Time { return time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC) }}
	closed := authz.NewMux(auth)
	closed.HandleFunc("GET /x", whoami, sunday)
	expect(t, "sunday", call(closed, "GET", "/x", "", "Authorization", alice), 403, "Only on weekdays.")
	monday := weekdays{func() time.Time { return time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) }}
	closed.HandleFunc("GET /y", whoami, monday)
	expect(t, "monday", call(closed, "GET", "/y", "", "Authorization", alice), 200, "alice")

	scoped := mountScopes(auth, whoami, whoami, whoami)
	reader := w.token(t, "notes:read")
	expect(t, "scope", call(scoped, "GET", "/notes", "", "Authorization", reader), 200, "alice")
	expect(t, "missing scope", call(scoped, "GET", "/notes", "", "Authorization", w.token(t, "x")), 403, "")
	expect(t, "password", call(scoped, "POST", "/password", "", "Authorization", reader), 403, "")
	expect(t, "me", call(scoped, "GET", "/me", "", "Authorization", reader), 200, "alice")

	mountChat(mux, http.HandlerFunc(whoami))
	expect(t, "get", call(mux, "GET", "/chat", "", "Authorization", alice), 200, "")
	expect(t, "websocket", call(mux, "GET", "/chat", "", "Authorization", alice, "Connection", "Upgrade", "Upgrade", "websocket"), 403, "")

	mountDelete(mux, whoami)
	expect(t, "before the grant", call(mux, "DELETE", "/notes/1", "", "Authorization", alice), 403, "")
	if err := makeEditor(t.Context(), w.db, "alice"); err != nil {
		t.Fatal(err)
	}
	expect(t, "after the grant", call(mux, "DELETE", "/notes/1", "", "Authorization", alice), 200, "")
	want := []string{"notes.add_note", "notes.change_note", "notes.delete_note"}
	if got, err := permissionsOf(t.Context(), w.db, "alice"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if err := promote(t.Context(), w.db, "alice"); err != nil {
		t.Fatal(err)
	}
	expect(t, "an administrator", call(mux, "GET", "/notes/2", "", "Authorization", alice), 200, "secret")

	var table strings.Builder
	if err := printRoutes(&table, mux); err != nil || !strings.Contains(table.String(), "GET /notes/{id}") {
		t.Errorf("%s, %v", &table, err)
	}
	open := func(yield func(string, http.Handler) bool) { yield("GET /x", http.HandlerFunc(whoami)) }
	if err := audit(open, auth.Handler(http.HandlerFunc(whoami))); err == nil || !strings.Contains(err.Error(), "GET /x") {
		t.Error(err)
	}
}

func TestPasswords(t *testing.T) {
	w := newWorld(t)
	mux := authz.NewMux(authn.New(authn.Chain{w.browsers}, nil))
	mux.Public("POST /session", w.browsers.Login(w.passwords))
	mountChange(mux, w.passwords, w.browsers)
	if err := mountRegister(mux, http.HandlerFunc(whoami), authn.TrustedProxies{}); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if got := call(mux, "POST", "/register", "").Code; i == 24 && got != 429 {
			t.Errorf("25 registrations: %d", got)
		}
	}
	const origin = "https://app.example"
	in := call(mux, "POST", "/session", "username=alice&password="+alicePassword, "Origin", origin)
	cookie, _, _ := strings.Cut(in.Header().Get("Set-Cookie"), ";")
	expect(t, "wrong", call(mux, "POST", "/password", "old=x&new=through-the-glass", "Origin", origin, "Cookie", cookie), 400, "old_password")
	changed := call(mux, "POST", "/password", "old="+alicePassword+"&new=through-the-glass", "Origin", origin, "Cookie", cookie)
	if expect(t, "change", changed, 204, ""); changed.Header().Get("Set-Cookie") == "" {
		t.Error("no new session")
	}
	shared := must(shareTable(w.db))
	hash, err := shared.NewHash(t.Context(), storage.User{Name: "bob"}, "bob-the-builder-42")
	if err != nil || !strings.Contains(string(hash), "$2y$12$") {
		t.Errorf("%q, %v", string(hash)[:7], err)
	}
}

type mail struct {
	db    *memory.Store
	links chan string
}

func (m mail) UserByVerifiedEmail(ctx context.Context, address string) (storage.User, error) {
	return m.db.UserByName(ctx, strings.TrimSuffix(address, "@x.example"))
}

func (m mail) SendResetLink(_ context.Context, _, link string) error {
	m.links <- link
	return nil
}

func TestRecovery(t *testing.T) {
	w := newWorld(t)
	app := mail{w.db, make(chan string, 1)}
	mux := authz.NewMux(authn.New(authn.Chain{w.browsers}, nil))
	if err := mountRecovery(t.Context(), mux, w.db, w.passwords, w.browsers, app); err != nil {
		t.Fatal(err)
	}
	expect(t, "unknown", call(mux, "POST", "/api/forgot", "address=nobody@x.example"), 200, "")
	expect(t, "known", call(mux, "POST", "/api/forgot", "address=alice@x.example"), 200, "")
	_, text, _ := strings.Cut(<-app.links, "#token=")
	reset := "token=" + text + "&password=through-the-glass"
	expect(t, "reset", call(mux, "POST", "/api/reset", reset), 204, "")
	expect(t, "again", call(mux, "POST", "/api/reset", reset), 400, "token")
	expect(t, "login", call(mux, "POST", "/api/login", "username=alice&password=through-the-glass", "Origin", "https://app.example"), 200, "alice")

	// The pages do the same, and the whole link can be pasted.
	const people = "text/html"
	expect(t, "page", call(mux, "GET", "/reset", "", "Accept", people), 200, "Set a new password")
	expect(t, "request page", call(mux, "POST", "/forgot", "address=alice@x.example", "Accept", people), 200, "Check your messages")
	pasted := "password=through-the-keyhole&token=" + url.QueryEscape(<-app.links)
	expect(t, "reset page", call(mux, "POST", "/reset", pasted, "Accept", people), 200, "Your password is changed")
	expect(t, "login page", call(mux, "GET", "/login", "", "Accept", people), 200, `href="/forgot"`)

	// A login revokes a link that was requested before it.
	expect(t, "second link", call(mux, "POST", "/api/forgot", "address=alice@x.example"), 200, "")
	_, text, _ = strings.Cut(<-app.links, "#token=")
	expect(t, "login", call(mux, "POST", "/api/login", "username=alice&password=through-the-keyhole", "Origin", "https://app.example"), 200, "alice")
	expect(t, "revoked", call(mux, "POST", "/api/reset", "token="+text+"&password=down-the-rabbit-hole"), 400, "token")
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	tokens := must(newTokens(w.db, w.ring))
	expect(t, "login", call(tokens.Login(w.passwords), "POST", "/", "email=alice&password="+alicePassword), 200, `"user_id":"alice"`)

	mux := must(newDevices(w.db, w.passwords))
	expect(t, "device login", call(mux, "POST", "/knox/login", "username=alice&password="+alicePassword), 200, `"token":"vkn_`)
	expect(t, "devices", call(mux, "GET", "/knox/tokens", "", "Authorization", w.token(t)), 200, `"current":true`)

	text := must(backupToken(t.Context(), w.devices, "alice"))
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.Header.Set("Authorization", "Knox "+text)
	if id, err := w.devices.Authenticate(r); err != nil || !slices.Equal(id.Scopes, []string{"notes:read"}) {
		t.Errorf("%+v, %v", id, err)
	}
	if err := revokeByName(t.Context(), w.devices, "alice", "backup"); err != nil {
		t.Fatal(err)
	}
	if id, err := w.devices.Authenticate(r); err == nil {
		t.Errorf("%+v", id)
	}

	signing := must(newSigningKeys(t.Context(), w.db, w.ring))
	tokens2 := must(jwt.New("https://app.example", "https://api.example", signing, w.db, nil))
	jwks := call(tokens2.JWKS(), "GET", "/", "")
	var set struct {
		Keys []struct{ Alg jose.Algorithm }
	}
	if err := json.Unmarshal(jwks.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 || set.Keys[0].Alg != jose.ES256 {
		t.Errorf("%s, %v", jwks.Body, err)
	}
	for _, open := range []func(string, string, string) (*jwt.Verifier, error){newVerifier, newServiceVerifier} {
		if _, err := open("https://idp.example", "https://api.example", "https://idp.example/jwks"); err != nil {
			t.Error(err)
		}
	}
	must(newLinkedVerifier("https://id.example", "https://api.example", must(jose.NewKeySet(must(jose.Generate(jose.ES256)))), must(link.New(memory.New(nil), nil))))
	auth0, entra := must(newAuth0()), must(newEntraTenants(jwt.TenantList()))
	if err := authn.Check(authn.Chain{auth0, entra, must(newPartner(signing))}); err != nil {
		t.Error(err)
	}
}

func TestMasterKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vestibule.key")
	digits := hex.EncodeToString(keys.Generate())
	if err := os.WriteFile(path, []byte(digits+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := masterKey(path, ""); err != nil {
		t.Error(err)
	}
	if _, err := masterKey("", digits); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := masterKey(path, ""); err == nil {
		t.Error("a file that others can read")
	}
	if _, err := masterKey(path+"x", ""); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	must(newRemembered(w.db, w.site))
	trusted := must(newSite())
	r := httptest.NewRequest("POST", "https://app.example/", nil)
	r.Header.Set("Origin", "https://front.app.example")
	if trusted.Check(r) != nil || w.site.Check(r) == nil {
		t.Error("the trusted origin makes no difference")
	}
	sealed := must(newSealed(w.ring, w.site, w.db))
	in := call(sealed.Login(w.passwords), "POST", "/", "username=alice&password="+alicePassword, "Origin", "https://app.example")
	cookie, _, _ := strings.Cut(in.Header().Get("Set-Cookie"), ";")
	page := authn.New(authn.Chain{sealed}, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, formToken(r) != "")
	}))
	expect(t, "sealed", call(page, "GET", "/", "", "Cookie", cookie), 200, "true")
}
