package authn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/storage"
)

// scheme is a fake with a fixed result.
type scheme struct {
	name      string
	id        authn.Identity
	err       error
	challenge string
}

func (s *scheme) Name() string { return s.name }
func (s *scheme) Authenticate(*http.Request) (authn.Identity, error) {
	return s.id, s.err
}
func (s *scheme) Challenge(_ *http.Request, err error) string {
	if s.challenge != "" && !errors.Is(err, authn.ErrNoCredentials) {
		return s.challenge + ` error="refused"`
	}
	return s.challenge
}

var (
	absent  = &scheme{name: "absent", err: authn.ErrNoCredentials, challenge: "Absent"}
	refuses = &scheme{name: "refuses", err: authn.AuthenticationFailed("No.").WithCause(errors.New("private reason")), challenge: "Refuses"}
	silent  = &scheme{name: "silent", err: authn.AuthenticationFailed("No.")}
	accepts = &scheme{name: "accepts", id: authn.Identity{Subject: "1"}}
	broken  = &scheme{name: "broken", err: errors.New("store down"), challenge: "Broken"}
)

// closed responds like a handler that requires authentication.
var closed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if !authn.FromContext(r.Context()).Authenticated() {
		authn.Respond(w, r, authn.ErrNoCredentials)
	}
})

func TestAnswers(t *testing.T) {
	const none = `{"detail":"Authentication credentials were not provided."}`
	for name, x := range map[string]struct {
		chain      authn.Authenticator
		policy     authn.ChallengePolicy
		headers    []string
		code       int
		body       string
		challenges []string
	}{
		"accepted":                       {chain: authn.Chain{absent, accepts}, code: 200},
		"absent":                         {chain: authn.Chain{absent, &scheme{name: "b", err: authn.ErrNoCredentials, challenge: "Other"}, &scheme{name: "c", err: authn.ErrNoCredentials, challenge: "Absent"}}, code: 401, body: none, challenges: []string{"Absent", "Other"}},
		"absent, no challenge":           {chain: authn.Chain{silentAbsent}, code: 403, body: none},
		"refused":                        {chain: authn.Chain{absent, refuses, accepts}, code: 401, body: `{"detail":"No."}`, challenges: []string{`Refuses error="refused"`}},
		"refused without a challenge":    {chain: authn.Chain{absent, silent}, code: 401, body: `{"detail":"No."}`, challenges: []string{"Absent"}},
		"refused, nobody has one":        {chain: authn.Chain{silent}, code: 403, body: `{"detail":"No."}`},
		"fault":                          {chain: authn.Chain{broken, accepts}, code: 503, body: `{"detail":"Service temporarily unavailable, try again later."}`},
		"first only: missing":            {chain: authn.Chain{absent, refusing("Second")}, policy: authn.FirstChallenge, code: 401, body: `{"detail":"No."}`, challenges: []string{"Absent"}},
		"first only: it has none":        {chain: authn.Chain{silentAbsent, refuses}, policy: authn.FirstChallenge, code: 403, body: `{"detail":"No."}`},
		"browser, cookies and basic":     {chain: authn.Chain{cookies{"sid"}, basicAbsent}, headers: []string{"Sec-Fetch-Mode: navigate"}, code: 401, body: none, challenges: []string{`Session realm="api"`}},
		"program, cookies and basic":     {chain: authn.Chain{cookies{"sid"}, basicAbsent}, code: 401, body: none, challenges: []string{`Session realm="api"`, `Basic realm="api"`}},
		"browser, basic without cookies": {chain: authn.Chain{basicAbsent}, headers: []string{"Sec-Fetch-Mode: navigate"}, code: 403, body: none},
		"a wrapped refusal": {chain: authn.Func(func(*http.Request) (authn.Identity, error) {
			return authn.Identity{}, fmt.Errorf("x: %w", authn.PermissionDenied("Blocked."))
		}), code: 403, body: `{"detail":"Blocked."}`},
		"unrecognized":               {chain: authn.Chain{&scheme{name: "u", err: authn.ErrUnrecognized, challenge: "U"}, absent}, code: 401, body: `{"detail":"Invalid token."}`, challenges: []string{`U error="refused"`}},
		"unrecognized, then taken":   {chain: authn.Chain{&scheme{name: "u", err: authn.ErrUnrecognized}, accepts}, code: 200},
		"unrecognized, then a fault": {chain: authn.Chain{&scheme{name: "u", err: authn.ErrUnrecognized}, broken}, code: 503, body: `{"detail":"Service temporarily unavailable, try again later."}`},
		"a refusal that wraps absence": {chain: authn.Func(func(*http.Request) (authn.Identity, error) {
			return authn.Identity{}, authn.AuthenticationFailed("No.").WithCause(authn.ErrUnrecognized)
		}), code: 403, body: `{"detail":"No."}`},
		"typed nil refusal": {chain: authn.Func(func(*http.Request) (authn.Identity, error) {
			var e *authn.Error
			return authn.Identity{Subject: "1"}, e
		}), code: 503, body: `{"detail":"Service temporarily unavailable, try again later."}`},
	} {
		t.Run(name, func(t *testing.T) {
			m := authn.New(x.chain, &authn.Options{Challenges: x.policy, Logger: quiet})
			got := ask(m.Handler(closed), "GET", "/", x.headers...)
			if got.Code != x.code || got.Body.String() != x.body || !slices.Equal(got.Header()["Www-Authenticate"], x.challenges) {
				t.Errorf("got %d %s %q", got.Code, got.Body, got.Header()["Www-Authenticate"])
			}
			if (got.Header().Get("Retry-After") != "") != (x.code == 503) {
				t.Errorf("Retry-After: %q", got.Header().Get("Retry-After"))
			}
			if x.code >= 400 && got.Header().Get("Cache-Control") != "no-store" {
				t.Error("an error may be cached")
			}
		})
	}
}

var silentAbsent = authn.Func(func(*http.Request) (authn.Identity, error) { return authn.Identity{}, authn.ErrNoCredentials })
var basicAbsent = &scheme{name: "basic", err: authn.ErrNoCredentials, challenge: `Basic realm="api"`}

func refusing(challenge string) *scheme {
	return &scheme{name: challenge, err: authn.AuthenticationFailed("No."), challenge: challenge}
}

func TestRetryAfter(t *testing.T) {
	busy := &scheme{name: "b", err: fmt.Errorf("x: %w", &authn.Unavailable{Reason: "busy", RetryAfter: 1200 * time.Millisecond})}
	for _, x := range []struct {
		a    authn.Authenticator
		opts authn.Options
		want string
	}{{broken, authn.Options{}, "5"}, {broken, authn.Options{RetryAfter: time.Minute}, "60"}, {busy, authn.Options{}, "2"}} {
		x.opts.Logger = quiet
		if got := ask(authn.New(x.a, &x.opts).Handler(closed), "GET", "/"); got.Code != 503 || got.Header().Get("Retry-After") != x.want {
			t.Errorf("%d, Retry-After %q, want %s", got.Code, got.Header().Get("Retry-After"), x.want)
		}
	}
}

func TestWriters(t *testing.T) {
	form := &authn.Error{Status: 400, Code: "invalid", Members: []authn.Member{{Name: "username", Value: []string{"This field is required."}}}}
	for _, x := range []struct {
		write authn.ErrorWriter
		err   error
		kind  string
		body  string
	}{
		{authn.WriteDetail, authn.InvalidLogin(), "application/json", `{"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}`},
		{authn.WriteDetail, form, "application/json", `{"username":["This field is required."]}`},
		{authn.WriteDetail, authn.Throttled(30 * time.Second), "application/json", `{"detail":"Request was throttled. Expected available in 30 seconds."}`},
		{authn.WriteDetail, authn.Throttled(time.Millisecond), "application/json", `{"detail":"Request was throttled. Expected available in 1 second."}`},
		{authn.WriteDetail, authn.Throttled(0), "application/json", `{"detail":"Request was throttled."}`},
		{authn.WriteDetail, authn.MethodNotAllowed("FOO"), "application/json", `{"detail":"Method \"FOO\" not allowed."}`},
		{authn.WriteProblem, authn.NotFound(""), "application/problem+json", `{"type":"about:blank","title":"Not Found","status":404,"detail":"Not found.","code":"not_found"}`},
		{authn.WriteProblem, form, "application/problem+json", `{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid","errors":{"username":["This field is required."]}}`},
		{authn.WriteProblem, authn.InvalidLogin().WithChallenge("X"), "application/problem+json", `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Unable to log in with provided credentials.","code":"invalid_credentials"}`},
	} {
		h := authn.New(accepts, &authn.Options{WriteError: x.write, Logger: quiet}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, x.err) }))
		got := ask(h, "GET", "/")
		if got.Header().Get("Content-Type") != x.kind || got.Body.String() != x.body || !json.Valid(got.Body.Bytes()) {
			t.Errorf("got %s %s, want %s", got.Header().Get("Content-Type"), got.Body, x.body)
		}
	}
}

func TestRespondWithoutMiddleware(t *testing.T) {
	for err, want := range map[error]int{authn.ErrNoCredentials: 403, authn.NotFound(""): 404, errors.New("x"): 500, nil: 500, authn.Undecided(errors.New("x")): 503, authn.AuthenticationFailed("").WithChallenge("X"): 401} {
		w := httptest.NewRecorder()
		authn.Respond(w, httptest.NewRequest("GET", "/", nil), err)
		if w.Code != want {
			t.Errorf("%v: %d, want %d", err, w.Code, want)
		}
	}
}

func TestObserveAndTrace(t *testing.T) {
	const secret = "canary-77aa"
	now := time.Unix(0, 0)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	log := new(bytes.Buffer)
	var events []authn.Event
	opts := &authn.Options{Clock: clock, Trace: true, Logger: textLog(log), Observe: func(_ *http.Request, e authn.Event) { events = append(events, e) }}
	var steps []authn.Step
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { steps = authn.TraceFrom(r.Context()) })
	for _, x := range []struct {
		chain authn.Authenticator
		want  authn.Event
	}{
		{authn.Chain{absent, accepts}, authn.Event{Scheme: "accepts", Outcome: authn.Accepted, Duration: time.Second}},
		{absent, authn.Event{Outcome: authn.Absent, Duration: time.Second}},
		{authn.Chain{absent, refuses}, authn.Event{Scheme: "refuses", Outcome: authn.Refused, Code: "authentication_failed", Duration: time.Second}},
		{broken, authn.Event{Scheme: "broken", Outcome: authn.Fault, Duration: time.Second}},
		{authn.Chain{&scheme{name: "u", err: authn.ErrUnrecognized}}, authn.Event{Scheme: "u", Outcome: authn.Refused, Code: "authentication_failed", Duration: time.Second}},
	} {
		events = nil
		ask(authn.New(x.chain, opts).Handler(next), "GET", "/", "Authorization: Token "+secret, "Cookie: a="+secret)
		if !reflect.DeepEqual(events, []authn.Event{x.want}) {
			t.Errorf("got %+v, want %+v", events, x.want)
		}
	}
	steps = nil
	ask(authn.New(authn.Chain{cookies{"sid"}, &scheme{name: "u", err: authn.ErrUnrecognized}, absent, accepts}, opts).Handler(next), "GET", "/")
	want := []authn.Step{
		{Scheme: "session", Outcome: authn.Absent, Why: "no header that it reads"}, {Scheme: "u", Outcome: authn.Absent, Why: "its keyword, not its shape"},
		{Scheme: "absent", Outcome: authn.Absent, Why: "no credential of its kind"}, {Scheme: "accepts", Outcome: authn.Accepted},
	}
	if !reflect.DeepEqual(steps, want) {
		t.Errorf("trace %+v", steps)
	}
	text := log.String()
	for _, part := range []string{"authentication rejected", "private reason", "authentication error", "store down", "authentication trace"} {
		if !strings.Contains(text, part) {
			t.Errorf("the log lacks %q", part)
		}
	}
	if strings.Contains(text, secret) {
		t.Error("a secret is in the log")
	}
	opts.Observe = func(*http.Request, authn.Event) { panic("x") }
	if got := ask(authn.New(accepts, opts).Handler(closed), "GET", "/"); got.Code != 200 {
		t.Errorf("a panic in the observer: %d", got.Code)
	}
}

// renewing is a scheme that adds to the response.
type renewing struct {
	scheme
	err error
	f   func()
}

func (s *renewing) Renew(w http.ResponseWriter, _ *http.Request, id authn.Identity) error {
	w.Header().Set("X-Renewed", id.Subject)
	if s.f != nil {
		s.f()
	}
	return s.err
}

func TestRenewer(t *testing.T) {
	for name, x := range map[string]struct {
		err  error
		f    func()
		code int
	}{"fine": {nil, nil, 200}, "failed": {errors.New("x"), nil, 200}, "refused": {authn.AuthenticationFailed("Gone.").WithChallenge("X"), nil, 401}, "panic": {nil, func() { panic("x") }, 200}} {
		s := &renewing{*accepts, x.err, x.f}
		for _, a := range []authn.Authenticator{s, authn.Chain{absent, authn.Chain{decorated{s}}}} {
			got := ask(authn.New(a, &authn.Options{Logger: quiet}).Handler(closed), "GET", "/")
			if got.Code != x.code || got.Header().Get("X-Renewed") != "1" {
				t.Errorf("%s: %d %v", name, got.Code, got.Header())
			}
		}
	}
}

type decorated struct{ authn.Authenticator }

func (d decorated) Unwrap() authn.Authenticator { return d.Authenticator }

func TestAs(t *testing.T) {
	s := &renewing{scheme: *accepts}
	if r, ok := authn.AbilityOf[authn.Renewer](authn.Chain{absent, decorated{decorated{s}}}); !ok || r != authn.Renewer(s) {
		t.Error("As does not see through a chain and two decorators")
	}
	if _, ok := authn.AbilityOf[authn.Renewer](authn.Chain{absent, decorated{accepts}}); ok {
		t.Error("As found an ability that nobody has")
	}
	if _, ok := authn.AbilityOf[authn.Renewer](nil); ok {
		t.Error("As found an ability of nil")
	}
}

// A decorator may read another header than the decorated scheme, so it is called.
func TestDecoratorIsAsked(t *testing.T) {
	d := asker{cookies{"sid"}}
	if got := ask(authn.New(authn.Chain{d}, nil).Handler(http.HandlerFunc(who)), "GET", "/", "X-Other: 1"); got.Body.String() != "other/session" {
		t.Errorf("got %s", got.Body)
	}
}

// Credentials that no scheme accepted are rejected, even if a scheme of another header, decorated
// or not, would accept its own credentials.
func TestUnrecognizedBesideOthers(t *testing.T) {
	w := newWorld(t)
	for name, other := range map[string]authn.Authenticator{"cookies": cookies{"sid"}, "decorated": decorated{cookies{"sid"}}, "header": apiKey{}, "decorated header": decorated{apiKey{}}} {
		for _, c := range []authn.Chain{{w.token, other}, {w.token, authn.Chain{other}}} {
			h := authn.New(c, &authn.Options{Logger: quiet}).Handler(http.HandlerFunc(who))
			for authorization, want := range map[string]int{"Token junk": 401, "Token vst_": 401, "Token " + w.good: 200, "Unknown x": 200} {
				if got := ask(h, "GET", "/", "Authorization: "+authorization, "Cookie: sid=bob", "X-Api-Key: k"); got.Code != want {
					t.Errorf("%s, %s: %d", name, authorization, got.Code)
				}
			}
		}
	}
	c := authn.Chain{decorated{cookies{"sid"}}, w.token}
	if got := ask(authn.New(c, nil).Handler(http.HandlerFunc(who)), "GET", "/", "Authorization: Token "+w.good, "Cookie: sid=bob"); got.Body.String() != "alice/token" {
		t.Errorf("a decorated cookie goes before Authorization: %s", got.Body)
	}
}

type apiKey struct{}

func (apiKey) Headers() []string { return []string{"X-Api-Key"} }
func (apiKey) Authenticate(r *http.Request) (authn.Identity, error) {
	if r.Header.Get("X-Api-Key") == "" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	return authn.Identity{Subject: "machine", Scheme: "key"}, nil
}

type asker struct{ inner authn.Authenticator }

func (a asker) Unwrap() authn.Authenticator { return a.inner }
func (a asker) Authenticate(r *http.Request) (authn.Identity, error) {
	if r.Header.Get("X-Other") != "" {
		return authn.Identity{Subject: "other"}, nil
	}
	return a.inner.Authenticate(r)
}

func TestIgnoreKeywords(t *testing.T) {
	w := newWorld(t)
	m := authn.New(authn.Chain{w.basic, cookies{"sid"}}, &authn.Options{IgnoreKeywords: []string{"basic"}, Logger: quiet})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who(w, r)
		if r.Header.Get("Authorization") == "" {
			t.Error("the handler does not see the header")
		}
	}))
	for cookie, want := range map[string]string{"sid=bob": "bob/session", "x=y": "/"} {
		if got := ask(h, "GET", "/", "Authorization: BASIC junk", "Cookie: "+cookie); got.Body.String() != want {
			t.Errorf("%s: %d %s", cookie, got.Code, got.Body)
		}
	}
	for _, second := range []string{"Basic junk", "Token x"} {
		if got := ask(h, "GET", "/", "Authorization: Basic junk", "Authorization: "+second); got.Code != 400 {
			t.Errorf("two headers, the other %q: %d", second, got.Code)
		}
	}
}

func TestBare(t *testing.T) {
	m := authn.New(broken, &authn.Options{WriteError: authn.WriteProblem, Logger: quiet})
	h := m.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { authn.Respond(w, r, authn.NotFound("")) }))
	if got := ask(h, "GET", "/", "Authorization: Token x"); got.Code != 404 || got.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %v", got.Code, got.Header())
	}
	if got := ask(h, "GET", "/", "Authorization: a b", "Authorization: c d"); got.Code != 400 {
		t.Errorf("two headers: %d", got.Code)
	}
}

func TestIdentityTravels(t *testing.T) {
	u := storage.User{ID: "1"}.WithPermissions(nil)
	far := time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	for _, want := range []authn.Identity{
		{Subject: "s", Client: "c", Issuer: "i", Scheme: "x", Roles: []string{"r"}, Scopes: []string{}, User: u, Credential: 7, AuthTime: far, Expires: far.AddDate(1000, 0, 0)},
		{Subject: "s", Scheme: "x"},
		{Client: "c", Scheme: "x", Scopes: []string{"a"}},
		{},
	} {
		if got := authn.FromContext(authn.WithIdentity(context.Background(), want)); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := authn.FromContext(authntest.As(httptest.NewRequest("GET", "/", nil), want).Context()); !reflect.DeepEqual(got, want) {
			t.Errorf("As: got %+v", got)
		}
	}
	ctx := authn.WithIdentity(context.WithValue(context.Background(), key{}, "kept"), authn.Identity{Subject: "1", User: u})
	if ctx.Value(key{}) != "kept" {
		t.Error("other values are lost")
	}
	if got, ok := authn.UserFrom[*storage.Account](ctx); !ok || !reflect.DeepEqual(got, u) {
		t.Error("UserFrom does not find the user")
	}
	if _, ok := authn.UserFrom[otherUser](ctx); ok {
		t.Error("UserFrom found a user of another type")
	}
	if _, ok := authn.UserFrom[*storage.Account](context.Background()); ok {
		t.Error("UserFrom found a user without a middleware")
	}
	client := authn.New(&scheme{name: "x", id: authn.Identity{Client: "c"}}, nil).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if id := authn.FromContext(r.Context()); id.Scopes == nil || !id.Delegated() {
			t.Error("a client without scopes is not limited")
		}
	}))
	ask(client, "GET", "/")
}

type key struct{}
type otherUser struct{}

func (otherUser) UserID() string { return "" }

// The middleware adds two allocations and 736 bytes to a request, and a guard none.
func TestAllocations(t *testing.T) {
	s := authn.Func(func(*http.Request) (authn.Identity, error) {
		return authn.Identity{Subject: "1", Scheme: "x", AuthTime: time.Unix(1, 2)}, nil
	})
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = authn.FromContext(r.Context()) })
	h := authn.New(authn.Chain{silentAbsent, s}, nil).Handler(next)
	r, w := httptest.NewRequest("GET", "/", nil), &discard{make(http.Header)}
	old := slog.SetLogLoggerLevel(slog.LevelInfo)
	defer slog.SetLogLoggerLevel(old)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, r)
		}
	})
	if n, size := result.AllocsPerOp(), result.AllocedBytesPerOp(); !raceEnabled && (n > 2 || size > 736) {
		t.Errorf("%d allocations and %d bytes", n, size)
	}
}

// The private reason of a rejection is logged, also if an endpoint responds.
func TestRespondLogsTheReason(t *testing.T) {
	log := new(bytes.Buffer)
	m := authn.New(accepts, &authn.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	got := ask(m.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authn.Respond(w, r, authn.InvalidLogin().WithCause(errors.New("account disabled")))
	})), "POST", "/login")
	if !strings.Contains(log.String(), "account disabled") || strings.Contains(got.Body.String(), "disabled") {
		t.Errorf("log %s, body %s", log, got.Body)
	}
}
