package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// sink collects text from several goroutines.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// logged sends the default log to a sink while the test runs.
func logged(t *testing.T) *sink {
	s := new(sink)
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return s
}

// Secrets that went through every endpoint, right and wrong, and over a store that fails, are in
// no log line and in no error answer.
func TestSecretsStayOutOfLogs(t *testing.T) {
	t.Run("attack_242_compare", func(t *testing.T) {
		out := logged(t)
		cfg, err := parseFlags([]string{"-db", "sqlite:" + filepath.Join(t.TempDir(), "db"), "-cache", "off", "-login-rate", "off"})
		if err != nil {
			t.Fatal(err)
		}
		const right, guess = "canary-password-alice", "canary-password-guess"
		cfg.KeyFile, cfg.Users = filepath.Join(t.TempDir(), "key"), []demo.User{{Name: "alice", Password: right}}
		if _, _, err := keys.Create(cfg.KeyFile); err != nil {
			t.Fatal(err)
		}
		db, ring, done, err := cfg.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		h, err := testServer(t, cfg, db, ring)
		if err != nil {
			t.Fatal(err)
		}
		c := demotest.NewClient(t, h)
		secrets := map[string]string{"password": right, "guess": guess}
		for name, header := range bearers(c, "alice", right, "profile notes:write") {
			secrets[name] = header[strings.LastIndexAny(header, " =")+1:]
		}
		login := `{"username":"alice","password":"` + right + `"}`
		pair := c.JSON("/jwt/token", login)
		secrets["jwt refresh"] = pair["refresh"]
		_, secrets["oauth2 refresh"] = authorize(c, sessionCookie(c.Is(200, "*", "POST", "/session/login", login)), "profile")
		secrets["csrf"] = "canary-csrf-token"

		errorBodies := new(sink)
		everywhere := func() {
			var wg sync.WaitGroup
			defer wg.Wait()
			for name, secret := range secrets {
				wg.Go(func() { tryEverywhere(t, c, name, secret, errorBodies) })
			}
		}
		everywhere()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		everywhere() // each look-up is a fault now
		text := out.String()
		if !strings.Contains(text, "invalid_credentials") || !strings.Contains(text, "database is closed") {
			t.Fatalf("the log holds neither refusals nor faults: %.2000s", text)
		}
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				i := strings.Index(text, secret)
				t.Errorf("%s is in the log: %s", name, text[max(0, i-300):i+len(secret)])
			}
			if strings.Contains(errorBodies.String(), secret) {
				t.Errorf("%s is in an error answer", name)
			}
		}
	})
}

// tryEverywhere sends a secret to every endpoint, in every place where a secret may be.
func tryEverywhere(t *testing.T, c demotest.Client, name, secret string, errorBodies *sink) {
	headers := []string{
		"Authorization: Token " + secret, "Authorization: Knox " + secret, "Authorization: Bearer " + secret, "Authorization: Bearer " + secret + "x",
		"Authorization: Basic " + secret, basicAuth("alice", secret), basicAuth(secret, "x"), "Cookie: session=" + secret, "Authorization: DPoP " + secret, "DPoP: " + secret,
		"X-CSRF-Token: " + secret, "Origin: https://evil.example",
	}
	for _, header := range headers {
		for i, path := range []string{"/api/profile", "/api/admin", "/api/notes", "/oauth2/userinfo"} {
			if i > 0 && strings.HasPrefix(header, "Authorization: Basic") {
				continue // a wrong password takes its time
			}
			_, body := c.Do("GET", path, "", header)
			_, _ = errorBodies.Write([]byte(body))
		}
	}
	value := url.QueryEscape(secret)
	for path, form := range map[string]string{
		"/token/login": "username=alice&password=" + value, "/knox/login": "username=" + value + "&password=x", "/jwt/token": "username=alice&password=" + value,
		"/session/login": "username=alice&password=" + value, "/jwt/token/refresh": "refresh=" + value + "x", "/jwt/token/verify": "token=" + value + "x",
		"/jwt/token/blacklist": "refresh=x" + value, "/oauth2/token": "grant_type=authorization_code&client_id=demo-public&code=" + value + "&code_verifier=" + value,
		"/oauth2/revoke": "client_id=demo-public&token=x" + value, "/oauth2/introspect": "client_id=demo-confidential&client_secret=" + value + "&token=" + value,
		"/oauth2/par": "client_id=demo-confidential&client_secret=" + value, "/oauth2/device_authorization": "client_id=" + value,
	} {
		resp, body := c.Do("POST", path, form)
		if resp.StatusCode == 500 {
			t.Errorf("%s with %s: 500", path, name)
		}
		if resp.StatusCode >= 400 {
			_, _ = errorBodies.Write([]byte(body))
		}
	}
	for _, query := range []string{"/oauth2/authorize?client_id=" + value, "/oauth2/device?user_code=" + value, "/oauth2/logout?id_token_hint=" + value, "/api/profile?access_token=" + value} {
		c.Do("GET", query, "")
	}
}

// schemesWorld has every scheme over one store in memory, with a clock and all observers.
type schemesWorld struct {
	testing.TB
	db       *memory.Store
	now      time.Time
	log      *sink
	events   []any
	labels   map[string]bool // of the middleware's events
	tokens   *token.Scheme
	devices  *knox.Scheme
	jwts     *jwt.Scheme
	browsers *session.Scheme
	grants   *oauth2.Scheme
	server   *server.Server
	basics   *basic.Scheme
	auth     *authn.Middleware
}

func newSchemesWorld(t testing.TB) *schemesWorld { return newSkewedWorld(t, 0) }

// newSkewedWorld is one whose store's clock is ahead of the schemes'.
func newSkewedWorld(t testing.TB, ahead time.Duration) *schemesWorld {
	w := &schemesWorld{TB: t, now: time.Unix(1_800_000_000, 0), log: new(sink), labels: make(map[string]bool)}
	clock := func() time.Time { return w.now }
	logger := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.db = memory.New(&memory.Options{Clock: func() time.Time { return w.now.Add(ahead) }})
	ring, err := keys.NewRing(keys.Generate())
	check(err)
	key, err := jose.Generate(jose.EdDSA)
	check(err)
	signing, err := jose.NewKeySet(key)
	check(err)
	site, err := csrf.New("https://app.example", nil)
	check(err)
	hasher, err := password.NewHasher(nil)
	check(err)
	passwords, err := password.New(w.db, hasher, nil)
	check(err)
	_, err = passwords.Register(t.Context(), password.NewUser{Name: "alice", Password: "wonderland-42"})
	check(err)
	events, err := audit.New(func(_ context.Context, e audit.Event) { w.events = append(w.events, e) }, &audit.Options{Keys: ring, Clock: clock})
	check(err)
	w.tokens, err = token.New(w.db, ring, &token.Options{Clock: clock, Logger: logger, Audit: events})
	check(err)
	w.devices, err = knox.New(w.db, &knox.Options{Clock: clock, Logger: logger, TTL: time.Hour, Audit: events})
	check(err)
	w.jwts, err = jwt.New("https://app.example", "https://app.example/api", signing, w.db, &jwt.Options{
		Clock: clock, Logger: logger, AccessTTL: time.Hour, RefreshTTL: time.Hour, Audit: events,
	})
	check(err)
	w.browsers, err = session.New(w.db, site, &session.Options{Clock: clock, Logger: logger, Idle: time.Hour, Audit: events})
	check(err)
	w.grants, err = oauth2.New("https://grants.example", w.db, &oauth2.Options{Clock: clock, Audience: "https://app.example/api"})
	check(err)
	w.server, err = server.New(w.grants, w.db, &server.Options{
		Logger: logger, Scopes: map[string]string{"read": "Read"}, Audit: events,
	})
	check(err)
	w.basics, err = basic.New(passwords, nil)
	check(err)
	w.auth = authn.New(authn.Chain{w.browsers, w.jwts, w.grants, w.devices, w.tokens, w.basics}, &authn.Options{Logger: logger, Observe: func(_ *http.Request, e authn.Event) {
		w.labels[e.Scheme+"/"+e.Outcome.String()+"/"+e.Code] = true
	}})
	return w
}

// alice is the account, as it is now.
func (w *schemesWorld) alice() storage.User {
	w.Helper()
	u, err := w.db.UserByName(w.Context(), "alice")
	if err != nil {
		w.Fatal(err)
	}
	return u
}

// give returns a credential of each scheme as a header, by scheme.
func (w *schemesWorld) give() map[string][2]string {
	w.Helper()
	ctx, u := w.Context(), w.alice()
	check := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	epoch, err := w.db.SubjectEpoch(ctx, u.ID)
	check(err)
	static, err := w.tokens.GetOrCreate(ctx, u.ID, epoch)
	check(err)
	device, _, err := w.devices.Issue(ctx, u.ID, epoch, knox.Token{})
	check(err)
	pair, err := w.jwts.Issue(ctx, u.ID, epoch, nil)
	check(err)
	r, rec := httptest.NewRequest("POST", "https://app.example/", nil), httptest.NewRecorder()
	check(w.browsers.Start(rec, r, authn.Login{Subject: u.ID, Name: u.Name, Epoch: epoch}))
	cookie := rec.Result().Cookies()[0]
	return map[string][2]string{
		"token": {"Authorization", "Token " + static}, "knox": {"Authorization", "Knox " + device}, "jwt": {"Authorization", "Bearer " + pair.Access},
		"session": {"Cookie", cookie.Name + "=" + cookie.Value},
	}
}

// answer is what a client sees of a request with a header.
func (w *schemesWorld) answer(header [2]string) string {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.Header.Set(header[0], header[1])
	rec := httptest.NewRecorder()
	w.auth.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("in")) })).ServeHTTP(rec, r)
	rec.Header().Del("Set-Cookie") // a session's cookie is removed, whatever ended it
	return fmt.Sprint(rec.Code, rec.Body, rec.Header())
}

// Unknown, expired, revoked, outdated and disabled look alike.
func TestRefusalsLookAlike(t *testing.T) {
	for _, scheme := range []string{"token", "knox", "jwt", "session"} {
		t.Run("attack_246_"+scheme, func(t *testing.T) {
			seen := make(map[string][]string)
			for state, end := range map[string]func(*schemesWorld, [2]string) error{
				"unknown": nil,
				"expired": func(w *schemesWorld, _ [2]string) error { w.now = w.now.Add(time.Hour); return nil },
				"everywhere": func(w *schemesWorld, _ [2]string) error {
					_, err := w.db.BumpEpoch(w.Context(), w.alice().ID)
					return err
				},
				"disabled": func(w *schemesWorld, _ [2]string) error { return w.db.SetActive(w.Context(), w.alice().ID, false) },
				"revoked": func(w *schemesWorld, _ [2]string) error {
					ctx, id := w.Context(), w.alice().ID
					_, err1 := w.devices.RevokeAll(ctx, id)
					_, err2 := w.browsers.EndAll(ctx, id, "")
					list, err3 := w.jwts.List(ctx, id, 10)
					for _, f := range list {
						err3 = w.jwts.RevokeFamily(ctx, id, f.ID)
					}
					for _, err := range []error{err1, err2, err3} {
						if err != nil {
							return err
						}
					}
					return w.tokens.Revoke(ctx, id)
				},
			} {
				if state == "expired" && scheme == "token" {
					continue // it has no end
				}
				w := newSchemesWorld(t)
				header := w.give()[scheme]
				if got := w.answer(header); !strings.HasPrefix(got, "200in") && !strings.HasPrefix(got, "200 in") {
					t.Fatalf("before: %s", got)
				}
				if end == nil {
					w = newSchemesWorld(t) // another world does not know it
				} else if err := end(w, header); err != nil {
					t.Fatal(err)
				}
				got := w.answer(header)
				seen[got] = append(seen[got], state)
				if !strings.HasPrefix(got, "401") {
					t.Errorf("%s: %s", state, got)
				}
			}
			if len(seen) != 1 {
				t.Errorf("they can be told apart: %v", seen)
			}
		})
	}
}

// Expiry is by the schemes' clock alone, whatever the store's says, and a clock that jumps revives
// nothing that was revoked.
func TestClocksThatDiffer(t *testing.T) {
	for _, ahead := range []time.Duration{-5 * time.Minute, 5 * time.Minute, -time.Hour, time.Hour} {
		t.Run(fmt.Sprintf("attack_228_%v", ahead), func(t *testing.T) {
			w := newSkewedWorld(t, ahead)
			given := w.give()
			in := func(when string, scheme string, want bool) {
				t.Helper()
				if got := w.answer(given[scheme]); strings.HasPrefix(got, "200") != want {
					t.Errorf("%s, %s: %s", when, scheme, got)
				}
			}
			start := w.now
			for scheme := range given {
				in("at once", scheme, true)
			}
			w.now = start.Add(-time.Hour)
			in("an hour back", "token", true)
			in("an hour back", "knox", true)
			w.now = start.Add(59 * time.Minute)
			for _, scheme := range []string{"token", "knox", "jwt"} {
				in("before its end", scheme, true)
			}
			w.now = start.Add(3 * time.Hour)
			for _, scheme := range []string{"knox", "jwt", "session"} {
				in("after its end", scheme, false)
			}
			w.now = start
			if _, err := w.db.BumpEpoch(t.Context(), w.alice().ID); err != nil {
				t.Fatal(err)
			}
			for _, jump := range []time.Duration{0, -time.Hour, time.Hour, -24 * time.Hour} {
				w.now = start.Add(jump)
				for scheme := range given {
					in("revoked", scheme, false)
				}
			}
		})
	}
}

// What observers and metrics are given holds no secret, and labels are of a bounded number.
func TestObserversSeeNoSecrets(t *testing.T) {
	w := newSchemesWorld(t)
	given := w.give()
	for range 2 {
		for _, h := range given {
			w.answer(h)
		}
	}
	u := w.alice()
	if _, err := w.devices.RevokeAll(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.browsers.EndAll(t.Context(), u.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, h := range given {
		w.answer(h)
	}
	t.Run("attack_249_events", func(t *testing.T) {
		if len(w.events) < 3 {
			t.Fatalf("%d events", len(w.events))
		}
		text, err := json.Marshal(w.events)
		if err != nil {
			t.Fatal(err)
		}
		all := string(text) + fmt.Sprintf("%v %+v %#v", w.events, w.events, w.events) + w.log.String()
		for scheme, h := range given {
			secret := h[1][strings.LastIndexAny(h[1], " =")+1:]
			if strings.Contains(all, secret) {
				t.Errorf("%s's secret reaches an observer or the log", scheme)
			}
			if d := storage.DigestOf(secret); strings.Contains(all, fmt.Sprintf("%x", d[:])) {
				t.Errorf("%s's digest reaches an observer or the log", scheme)
			}
		}
	})
	t.Run("attack_243_labels", func(t *testing.T) {
		for i := range 2000 {
			for _, h := range [][2]string{
				{"Authorization", fmt.Sprintf("Scheme%d value", i)}, {"Authorization", fmt.Sprintf("Token user%d", i)}, {"Authorization", fmt.Sprintf("Bearer a%d.b.c", i)},
				{"Authorization", fmt.Sprintf("Knox vkn_%d", i)}, {"Cookie", fmt.Sprintf("__Host-session=s%d", i)}, {"Authorization", fmt.Sprintf("Basic %d", i)},
			} {
				w.answer(h)
			}
		}
		if len(w.labels) > 40 {
			t.Errorf("%d different labels: %v", len(w.labels), w.labels)
		}
		for label := range w.labels {
			if strings.ContainsAny(label, "0123456789") {
				t.Errorf("label %q comes from a client", label)
			}
		}
	})
}

// A request as no server makes it ends with an answer, and nobody is authenticated.
func TestRequestsWithNilFields(t *testing.T) {
	w := newSchemesWorld(t)
	basicsOf := map[string]authn.Authenticator{"token": w.tokens, "knox": w.devices, "jwt": w.jwts, "session": w.browsers, "oauth2": w.grants, "basic": w.basics}
	given := w.give()
	for name, r := range map[string]*http.Request{
		"empty": {}, "no URL": {Method: "GET", Header: http.Header{"Cookie": {given["session"][1]}}}, "a nil cookie": {Method: "POST", URL: &url.URL{}, Header: http.Header{"Cookie": nil}},
		"nil values": {Header: http.Header{"Authorization": nil}}, "an empty list": {Header: http.Header{"Authorization": {}}}, "an empty value": {Header: http.Header{"Authorization": {""}}},
		"basic":     {Header: http.Header{"Authorization": {"Basic Og=="}}},
		"bearer":    {Header: http.Header{"Authorization": {given["jwt"][1] + "x"}}},
		"no method": {Header: http.Header{"Cookie": {"__Host-session=x"}}},
	} {
		t.Run("attack_241_"+strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for scheme, a := range basicsOf {
				id, err := a.Authenticate(r.Clone(t.Context()))
				if name != "no URL" && (err == nil || id.Authenticated()) {
					t.Errorf("%s: %+v, %v", scheme, id, err)
				}
			}
			rec := httptest.NewRecorder()
			w.auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, r.WithContext(t.Context()))
			if rec.Code >= 500 {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
}

// No package that users import matches regular expressions while it serves: only mappings and
// options, which are read at construction, may use them.
func TestRegularExpressionsStayOutOfRequests(t *testing.T) {
	t.Run("attack_241_regexp", func(t *testing.T) {
		allowed := []string{"schemes/jwt/party.go", "storage/gormstore/usertable.go"}
		for _, root := range []string{"authn", "authz", "schemes", "jose", "keys", "storage", "credential"} {
			err := filepath.WalkDir(filepath.Join("../..", root), func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storagetest") {
					return err
				}
				text, err := os.ReadFile(path)
				if name := strings.TrimPrefix(filepath.ToSlash(path), "../../"); err == nil && bytes.Contains(text, []byte("\"regexp\"\n")) && !slices.Contains(allowed, name) {
					t.Errorf("%s imports regexp", name)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
