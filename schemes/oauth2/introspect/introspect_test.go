package introspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/introspect"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const theirs = "https://login.example"

// abroad is another issuer's introspection endpoint, and a scheme that asks it.
type abroad struct {
	*introspect.Scheme
	url   string
	mu    sync.Mutex
	says  map[string]string // of a token
	with  func(w http.ResponseWriter, r *http.Request) bool
	asked atomic.Int64
	now   atomic.Int64
}

const live = `{"active":true,"iss":"https://login.example","sub":"id-bob","client_id":"phone","username":"bob","aud":["https://api.example"],"scope":"read write","token_type":"Bearer","exp":1770178000}`

func newAbroad(t testing.TB, change func(*introspect.Options)) *abroad {
	t.Helper()
	a := &abroad{says: map[string]string{"good": live}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL + "/introspect"
	a.Scheme = a.another(t, "https://api.example", change)
	return a
}

func (a *abroad) another(t testing.TB, audience string, change func(*introspect.Options)) *introspect.Scheme {
	t.Helper()
	o := introspect.Options{Clock: a.clock}
	if change != nil {
		change(&o)
	}
	i, err := introspect.New(theirs, a.url, audience, introspect.ClientCredentials{ID: "api:1", Secret: "s%c r+t"}, &o)
	oauthtest.Must(t, err)
	return i
}

func (a *abroad) clock() time.Time     { return oauthtest.Born.Add(time.Duration(a.now.Load())) } // 1770091506
func (a *abroad) pass(d time.Duration) { a.now.Add(int64(d)) }

func (a *abroad) set(token, says string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.says[token] = says
}

// answers makes with answer before the endpoint does; where it reports false, the endpoint
// goes on.
func (a *abroad) answers(with func(http.ResponseWriter, *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.with = with
}

func (a *abroad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	a.mu.Lock()
	with, says := a.with, a.says[r.PostFormValue("token")]
	a.mu.Unlock()
	if with != nil && with(w, r) {
		return
	}
	// The parts are form-urlencoded.
	if id, secret, ok := r.BasicAuth(); !ok || id != "api%3A1" || secret != "s%25c+r%2Bt" || r.Method != "POST" || r.URL.RawQuery != "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	if says == "" {
		says = `{"active":false}`
	}
	_, _ = io.WriteString(w, says)
}

func bearer(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
}

func presentTo(a authn.Authenticator, token string) (authn.Identity, error) {
	r := httptest.NewRequest("GET", "/", nil)
	bearer(token)(r)
	return authn.Chain{a}.Authenticate(r)
}

// outcome is "200", or the status of the refusal with its private reason, or "503".
func outcome(a authn.Authenticator, token string) string {
	_, err := presentTo(a, token)
	var e *authn.Error
	switch {
	case err == nil:
		return "200"
	case errors.As(err, &e) && e.Unwrap() != nil:
		why, _, _ := strings.Cut(e.Unwrap().Error(), "\n")
		return fmt.Sprint(e.Status, " ", why)
	case errors.As(err, &e):
		return fmt.Sprint(e.Status)
	}
	return "503"
}

func TestIntrospector(t *testing.T) {
	a := newAbroad(t, nil)
	a.asks(t, 0, "JWTs", func() {
		for _, text := range []string{"eyJhbGciOiJub25lIn0.e30.", "ewoiYWxnIjoibm9uZSJ9.e30.", "eyJhbGciOiJub25lIn0.e30.e30.e30.e30"} {
			if got := outcome(a, text); got != "401 a JWT, or in the format of this application's tokens (set Options.Prefix)" {
				t.Errorf("%s: %s", text, got)
			}
		}
	})
	t.Run("attack_522_mistyped", func(t *testing.T) {
		own := newAbroad(t, func(o *introspect.Options) { o.OwnPrefixes = []string{"acme_"} })
		token := credential.MustFormat("vat").Encode([credential.Size]byte{1})
		own.asks(t, 0, "tokens of this application", func() {
			for _, text := range []string{
				token, oauthtest.Changed(token), token[:len(token)-1], token + "A", "vor_x", "vkn_x", "vcs_x", credential.MustFormat("other").Encode([credential.Size]byte{1}),
				"acme_x", oauthtest.Changed(credential.MustFormat("acme").Encode([credential.Size]byte{1})),
			} {
				if got := outcome(own, text); !strings.HasPrefix(got, "401 a JWT, or in the format") {
					t.Errorf("%s: %s", text, got)
				}
				r := httptest.NewRequest("GET", "/", nil)
				bearer(text)(r)
				if text, _ := own.Presented(r); text != "" {
					t.Errorf("kept: %s", text)
				}
			}
		})
		for _, p := range []string{"", "ey", "a b"} {
			if _, err := introspect.New("https://a.example", "https://a.example/i", "x", introspect.ClientCredentials{ID: "a", Secret: "s"}, &introspect.Options{OwnPrefixes: []string{p}}); err == nil {
				t.Errorf("OwnPrefixes %q", p)
			}
		}
	})
	id, err := presentTo(a, "good")
	oauthtest.Must(t, err)
	got := id.Credential.(*introspect.Token)
	if id.Subject != "id-bob" || id.Client != "phone" || id.Issuer != theirs || id.Scheme != "oauth2" || len(id.Scopes) != 2 || id.Expires.Unix() != 1770178000 ||
		id.Roles != nil || id.User != nil || got.Username != "bob" || got.Audience[0] != "https://api.example" {
		t.Errorf("%+v", id)
	}
	if c := a.Challenge(nil, authn.ErrNoCredentials); c != "Bearer" {
		t.Errorf("%q", c)
	}
	_, err = presentTo(a, "bad")
	if c := a.Challenge(nil, err); c != `Bearer error="invalid_token"` {
		t.Errorf("%q", c)
	}
	for says, want := range map[string]string{
		`"sub":"phone","client_id":"phone"`:                              " phone []", // a client's own
		`"client_id":"phone","sub":"id-bob","scope":""`:                  "id-bob phone []",
		`"client_id":"phone"`:                                            " phone []",
		`"sub":"id-bob","scope":" read  write "`:                         "id-bob  [read write]",
		`"sub":"id-bob","cnf":null,"auth_time":1770000000,"username":""`: "id-bob  []",
	} {
		a.set(says, `{"active":true,"aud":"https://api.example","token_type":"bearer",`+says+`}`)
		a.set("x", a.says[says])
		a.Forget("x")
		id, err := presentTo(a, "x")
		if got := fmt.Sprint(id.Subject, " ", id.Client, " ", id.Scopes); err != nil || got != want || id.Scopes == nil {
			t.Errorf("%s: %q, %v, want %q", says, got, err, want)
		}
	}
}

// What the issuer says is refused, or is a fault; nobody sees more than that the token is
// invalid.
func TestIntrospectorRefuses(t *testing.T) {
	var events []audit.Event
	a := newAbroad(t, func(o *introspect.Options) {
		o.CacheTTL = -1
		o.Audit = audit.To(func(_ context.Context, e audit.Event) { events = append(events, e) })
	})
	change := func(from, to string) string {
		if !strings.Contains(live, from) {
			t.Fatalf("%s is not in the answer", from)
		}
		return strings.Replace(live, from, to, 1)
	}
	for says, want := range map[string]string{
		live:               "200",
		`{"active":false}`: "401 not active",
		change(`"iss":"https://login.example"`, `"iss":"https://evil.example"`): "401 of another issuer",
		change(`["https://api.example"]`, `"https://files.example"`):            "401 for another audience",
		change(`["https://api.example"]`, `"https://api.example/"`):             "401 for another audience",
		change(`"aud":["https://api.example"],`, ``):                            "401 aud missing",
		change(`"token_type":"Bearer",`, ``):                                    "401 token_type missing",
		change(`"Bearer"`, `"DPoP"`):                                            "401 token_type is not Bearer",
		change(`"Bearer"`, `"Bearer","token_use":"refresh_token"`):              "401 token_use is not access_token",
		change(`"Bearer"`, `"Bearer","cnf":{"jkt":"x"}`):                        "401 sender-constrained token",
		change(`1770178000`, `1770091506`):                                      "401 expired",
		change(`"exp"`, `"nbf":1770091507,"exp"`):                               "401 not valid yet",
		change(`"exp"`, `"nbf":1770091506,"exp"`):                               "200",
		change(`"sub":"id-bob","client_id":"phone",`, ``):                       "401 neither sub nor client_id",
		// Faults: what the answer says cannot be relied upon.
		change(`true`, `"true"`): "503", change(`true`, `1`): "503", change(`"active":true,`, ``): "503", change(`true`, `null`): "503",
		change(`{`, `{"active":false,`): "503", change(`"sub"`, `"SUB"`): "503", change(`["https://api.example"]`, `[]`): "503",
		change(`["https://api.example"]`, `["https://api.example",1]`): "503", change(`["https://api.example"]`, `null`): "503",
		change(`1770178000`, `"1770178000"`): "503", change(`1770178000`, `-1`): "503", change(`"id-bob"`, `7`): "503", change(`"phone"`, `["phone"]`): "503",
		change(`"read write"`, `["read"]`): "503", change(`"read write"`, `"re\"ad"`): "503", change(`"read write"`, `"read\twrite"`): "503",
		change(`"id-bob"`, `"id\u0000bob"`): "503", change(`"phone"`, `"ph\u0000one"`): "503", change(`"bob"`, `"\ud800"`): "503",
		change(`"exp"`, `"auth_time":"x","exp"`): "503",
		live + live:                              "503", `[` + live + `]`: "503", `true`: "503", ``: "401 not active", ` `: "503", `{`: "503", `null`: "503",
	} {
		a.set("x", says)
		events = nil
		if got := outcome(a, "x"); got != want {
			t.Errorf("%s: %s, want %s", says, got, want)
		}
		reported := strings.HasPrefix(want, "401") && want != "401 not active" // active there, not valid here
		if got := len(events) == 1 && events[0].Kind == audit.CredentialRejected && events[0].Reason != "" && events[0].Credential != "" && events[0].Subject == ""; got != reported || !reported && len(events) > 0 {
			t.Errorf("%s: events %+v", want, events)
		}
	}
	a.set("x", strings.Replace(strings.Replace(live, `"aud":["https://api.example"],`, ``, 1), `"token_type":"Bearer",`, ``, 1))
	lax := a.another(t, "https://api.example", func(o *introspect.Options) { o.InsecureNoAudience, o.InsecureNoType = true, true })
	if got := outcome(lax, "x"); got != "200" {
		t.Errorf("an issuer that says neither, allowed: %s", got)
	}
	a.set("x", strings.Replace(live, "api.example", "files.example", 1))
	lax.Forget("x")
	if got := outcome(lax, "x"); got != "401 for another audience" {
		t.Errorf("an audience that is there counts: %s", got)
	}
	late := a.another(t, "https://api.example", func(o *introspect.Options) { o.Leeway = time.Minute })
	for exp, want := range map[string]string{"1770091447": "200", "1770091446": "401 expired"} {
		a.set(exp, change("1770178000", exp))
		if got := outcome(late, exp); got != want {
			t.Errorf("leeway, exp %s: %s, want %s", exp, got, want)
		}
	}
}

// An issuer that does not answer, or not as it should, is a fault, and no error holds a
// secret.
func TestIntrospectorFaults(t *testing.T) {
	var elsewhere atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, live)
	}))
	defer canary.Close()
	blocked := make(chan struct{})
	a := newAbroad(t, func(o *introspect.Options) { o.MaxBytes = 1000 })
	impatient := a.another(t, "https://api.example", func(o *introspect.Options) {
		o.Client = &http.Client{Timeout: 50 * time.Millisecond}
	})
	defer close(blocked)
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, live)
			return true
		}
	}
	for what, with := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"400": status(400), "401": status(401), "201": status(201), "500": status(500), "204": status(204),
		"a redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, canary.URL, http.StatusTemporaryRedirect)
			return true
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, live)
			return true
		},
		"a long answer": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, live+strings.Repeat(" ", 1000))
			return true
		},
		"half an answer": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "2000")
			_, _ = io.WriteString(w, live)
			return true
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-blocked:
			case <-r.Context().Done():
			}
			return true
		},
	} {
		a.answers(with)
		for range 2 { // an error is not kept
			before, asks := a.asked.Load(), a.Scheme
			if what == "no answer" {
				asks = impatient
			}
			_, err := presentTo(asks, "good")
			var e *authn.Error
			if err == nil || errors.As(err, &e) || errors.Is(err, authn.ErrNoCredentials) {
				t.Errorf("%s: %v, want a fault", what, err)
			} else if text := err.Error(); strings.Contains(text, "good") || strings.Contains(text, "s%c") || strings.Contains(text, "bob") {
				t.Errorf("%s: a secret in %q", what, text)
			}
			if a.asked.Load() == before {
				t.Errorf("%s: not asked again", what)
			}
		}
		a.answers(nil)
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
	if got := outcome(a, "good"); got != "200" {
		t.Errorf("the issuer is back: %s", got)
	}
	c := introspect.ClientCredentials{ID: "api", Secret: "hidden"}
	text, _ := json.Marshal(c)
	if all := fmt.Sprintf("%v %+v %#v %s", c, c, c, text); strings.Contains(all, "hidden") {
		t.Error(all)
	}
}

func TestIntrospectorUser(t *testing.T) {
	var refuse error
	a := newAbroad(t, func(o *introspect.Options) {
		o.Name = "partner"
		o.User = func(_ context.Context, f *introspect.Token) (authn.User, error) {
			return storage.User{ID: f.Username}.WithPermissions(nil), refuse
		}
	})
	if id, err := presentTo(a, "good"); err != nil || id.User.UserID() != "bob" || id.Scheme != "partner" {
		t.Errorf("%+v, %v", id, err)
	}
	refuse = authn.AuthenticationFailed("Who?")
	if got := outcome(a, "good"); got != "401" { // asked for each request, whatever the cache has
		t.Error(got)
	}
	refuse = oauthtest.ErrDown
	if got := outcome(a, "good"); got != "503" {
		t.Error(got)
	}
}

func TestNewIntrospectorRefuses(t *testing.T) {
	by := introspect.ClientCredentials{ID: "api", Secret: "x"}
	make := func(issuer, endpoint, audience string, by introspect.ClientCredentials, o introspect.Options) error {
		_, err := introspect.New(issuer, endpoint, audience, by, &o)
		return err
	}
	const end = "https://login.example/introspect"
	for _, good := range []string{end, "http://127.0.0.1:8080/i", "http://[::1]/i", "http://localhost/i"} {
		if err := make(theirs, good, "a", by, introspect.Options{CacheTTL: time.Hour, Leeway: 5 * time.Minute}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for what, err := range map[string]error{
		"http": make(theirs, "http://login.example/i", "a", by, introspect.Options{}), "no URL": make(theirs, ":", "a", by, introspect.Options{}),
		"no host": make(theirs, "https:///i", "a", by, introspect.Options{}), "a query": make(theirs, end+"?key=x", "a", by, introspect.Options{}),
		"a fragment": make(theirs, end+"#x", "a", by, introspect.Options{}), "a secret in the URL": make(theirs, "https://a:b@login.example/i", "a", by, introspect.Options{}),
		"no issuer": make("", end, "a", by, introspect.Options{}), "no audience": make(theirs, end, "", by, introspect.Options{}),
		"no name": make(theirs, end, "a", introspect.ClientCredentials{Secret: "x"}, introspect.Options{}), "no secret": make(theirs, end, "a", introspect.ClientCredentials{ID: "x"}, introspect.Options{}),
		"a long memory": make(theirs, end, "a", by, introspect.Options{CacheTTL: time.Hour + 1}), "leeway": make(theirs, end, "a", by, introspect.Options{Leeway: 6 * time.Minute}),
		"leeway below 0": make(theirs, end, "a", by, introspect.Options{Leeway: -1}), "bytes": make(theirs, end, "a", by, introspect.Options{MaxBytes: -1}),
		"entries": make(theirs, end, "a", by, introspect.Options{CacheEntries: -1}), "cache bytes": make(theirs, end, "a", by, introspect.Options{CacheBytes: -1}),
		"a prefix of JWTs": make(theirs, end, "a", by, introspect.Options{Prefix: "eyJ"}), "another": make(theirs, end, "a", by, introspect.Options{Prefix: "e"}), "a prefix with a blank": make(theirs, end, "a", by, introspect.Options{Prefix: "a b"}),
	} {
		if err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// The tokens of this application are not shown to the issuer, whoever shares the chain.
func TestIntrospectorInAChain(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	pair := w.Exchange("app", w.Code("app", nil))
	a := newAbroad(t, nil)
	if err := authn.Check(authn.Chain{a, w.Scheme()}); err == nil || !strings.Contains(err.Error(), "put it after") {
		t.Errorf("what is left, before the others: %v", err)
	}
	if err := authn.Check(authn.Chain{a, a.another(t, "b", nil)}); err == nil {
		t.Error("two take what is left")
	}
	named := a.another(t, "https://api.example", func(o *introspect.Options) { o.Prefix = "go" })
	oauthtest.Must(t, authn.Check(authn.Chain{named, w.Scheme(), a}))
	if err := authn.Check(authn.Chain{w.Scheme(), a.another(t, "b", func(o *introspect.Options) { o.Prefix = "vat_" })}); err == nil {
		t.Error("two take vat_")
	}
	chain := authn.Chain{w.Scheme(), a}
	oauthtest.Must(t, authn.Check(chain))
	for token, want := range map[string]string{pair.Access: "200", pair.Refresh: "401 not in the format of a token", "good": "200", pair.Access[:50]: "401 malformed",
		credential.MustFormat("vkn").Encode([32]byte{1}): "401 not in the format of a token", "eyJhbGciOiJub25lIn0.e30.": "401 not in the format of a token", "other": "401 not active"} {
		if got := outcome(chain, token); got != want {
			t.Errorf("%.10s: %s, want %s", token, got, want)
		}
	}
	if n := a.asked.Load(); n != 2 {
		t.Errorf("the issuer was asked %d times, want about its own and an unknown one", n)
	}
	for token, want := range map[string]string{"good": "200", "go": "401 not in the format of a token", "other": "401 not in the format of a token"} {
		if got := outcome(named, token); got != want {
			t.Errorf("by prefix, %s: %s, want %s", token, got, want)
		}
	}
}

// Another server of this package is an issuer like others.
func TestIntrospectorAsksServer(t *testing.T) {
	w := oauthtest.NewWorld(t, memory.New(nil), nil)
	server := httptest.NewServer(w.Introspect())
	defer server.Close()
	i, err := introspect.New(oauthtest.Issuer, server.URL, "https://api.example", introspect.ClientCredentials{ID: "api", Secret: w.Secrets["api"]},
		&introspect.Options{Prefix: "vat_", Clock: w.Clock, CacheTTL: -1})
	oauthtest.Must(t, err)
	resource := func(c *storage.Code) { c.Resource = []string{"https://api.example"} }
	pair := w.Exchange("app", w.Code("app", resource))
	if id, err := presentTo(i, pair.Access); err != nil || id.Subject != "id-alice" || id.Client != "app" || id.Issuer != oauthtest.Issuer {
		t.Errorf("%+v, %v", id, err)
	}
	w.Post(w.Revoke(), "app", "token", pair.Access)
	if got := outcome(i, pair.Access); got != "401 not active" {
		t.Errorf("revoked: %s", got)
	}
	w.DB.Fail.Store(true)
	if got := outcome(i, pair.Access); got != "503" {
		t.Errorf("its store is down: %s", got)
	}
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzIntrospectionAnswer(f *testing.F) {
	for _, s := range []string{live, `{"active":false}`, `{"active":true,"aud":"https://api.example","token_type":"Bearer","sub":"x"}`, `{}`, `[]`, `{"active":true,"aud":["https://api.example"],"scope":"a","sub":"a","client_id":"b","token_type":"bearer"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		client := &http.Client{Transport: trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})}
		i, err := introspect.New(theirs, "https://login.example/i", "https://api.example", introspect.ClientCredentials{ID: "a", Secret: "b"}, &introspect.Options{Client: client})
		oauthtest.Must(t, err)
		id, err := presentTo(i, "x")
		if err != nil {
			return
		}
		var said map[string]any
		if json.Unmarshal(body, &said) != nil || said["active"] != true || !strings.EqualFold(said["token_type"].(string), "bearer") || id.Scopes == nil ||
			!bytes.Contains(body, []byte("api.example")) && !bytes.Contains(body, []byte(`\`)) {
			t.Errorf("%s is taken: %+v", body, id)
		}
	})
}
