package authn_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/storage"
)

type transportUser struct{ ID string }

func (u *transportUser) UserID() string { return u.ID }

// transportScheme accepts "Authorization: Call <name>", and fails in the way that the name says.
func transportScheme(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Call", "token")
	switch {
	case err != nil:
		return authn.Identity{}, err
	case text == "down":
		return authn.Identity{}, errors.New("secret of the driver")
	case text == "busy":
		return authn.Identity{}, &authn.Unavailable{Reason: "busy", RetryAfter: 7 * time.Second}
	case text == "panic":
		panic("secret in a panic")
	case text == "odd":
		return authn.Identity{}, authn.ErrUnrecognized
	case text == "mistake":
		return authn.Identity{}, &authn.Error{Status: 200}
	case text == "nobody":
		return authn.Identity{}, nil
	case text != "alice":
		return authn.Identity{}, authn.AuthenticationFailed("Invalid token.").WithCause(errors.New("unknown"))
	}
	return authn.Identity{Subject: text, Scheme: "call", Roles: []string{"staff"}, User: &transportUser{text}}, nil
}

// call is a request that does not come from net/http.
func call(credential string) *http.Request {
	r := &http.Request{Method: "POST", URL: &url.URL{Path: "/notes.Notes/Add"}, RemoteAddr: "203.0.113.7:1", Header: http.Header{}, Body: http.NoBody}
	if credential != "" {
		r.Header.Set("Authorization", "Call "+credential)
	}
	return r
}

func TestAuthenticate(t *testing.T) {
	for credential, x := range map[string]struct {
		subject string
		status  int
		code    string
		outcome authn.Outcome
		log     string
	}{
		"alice":   {"alice", 0, "", authn.Accepted, ""},
		"":        {"", 0, "", authn.Absent, ""},
		"mallory": {"", 401, "authentication_failed", authn.Refused, "level=INFO"},
		"odd":     {"", 401, "authentication_failed", authn.Refused, "level=INFO"},
		"down":    {"", 503, "unavailable", authn.Fault, "level=ERROR"},
		"busy":    {"", 503, "unavailable", authn.Fault, "level=WARN"},
		"panic":   {"", 503, "unavailable", authn.Fault, "level=ERROR"},
		"nobody":  {"", 503, "unavailable", authn.Fault, "level=ERROR"},
		"mistake": {"", 500, "error", authn.Refused, "level=INFO"},
	} {
		t.Run(credential, func(t *testing.T) {
			var log bytes.Buffer
			var events []authn.Event
			m := authn.New(authn.Func(transportScheme), &authn.Options{
				Logger:  slog.New(slog.NewTextHandler(&log, nil)),
				Observe: func(_ *http.Request, e authn.Event) { events = append(events, e) },
			})
			// An identity from before is always replaced.
			r := call(credential)
			r = r.WithContext(authn.WithIdentity(r.Context(), authn.Identity{Subject: "outer"}))
			ctx, err := m.Authenticate(r)
			if id := authn.FromContext(ctx); id.Subject != x.subject || authn.FromContext(r.Context()).Subject != "outer" {
				t.Errorf("identity %+v", id)
			}
			var e *authn.Error
			switch {
			case x.status == 0 && err != nil:
				t.Errorf("error %v", err)
			case x.status == 0:
			case !errors.As(err, &e) || e.Status != x.status || e.Code != x.code || e.Detail == "" || strings.Contains(e.Detail, "secret"):
				t.Errorf("error %v", err)
			case x.status == 503 && e.RetryAfter <= 0:
				t.Errorf("503 without RetryAfter: %v", err)
			}
			if len(events) != 1 || events[0].Outcome != x.outcome {
				t.Errorf("observed %+v", events)
			}
			if x.log == "" && log.Len() > 0 || !strings.Contains(log.String(), x.log) || strings.Contains(log.String(), "secret in a panic") {
				t.Errorf("log %s", log.String())
			}
			// The error contains the response of Handler.
			w := httptest.NewRecorder()
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(200)
			})).ServeHTTP(w, call(credential))
			if want := max(x.status, 200); w.Code != want && !(want == 401 && w.Code == 403) { // 403: the scheme has no challenge
				t.Errorf("Handler answers %d", w.Code)
			}
		})
	}
}

// The context contains what handlers and stores find in a context of Handler.
func TestAuthenticateContext(t *testing.T) {
	proxies, err := authn.NewTrustedProxies("203.0.113.0/24")
	if err != nil {
		t.Fatal(err)
	}
	m := authn.New(authn.Func(transportScheme), &authn.Options{Proxies: proxies, Trace: true, Logger: slog.New(slog.DiscardHandler), IgnoreKeywords: []string{"Basic"}})
	r := call("alice")
	r.Header.Set("X-Forwarded-For", "198.51.100.9")
	type key struct{}
	outer, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
	ctx, err := m.Authenticate(r.WithContext(outer))
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := authn.UserFrom[*transportUser](ctx); !ok || u.ID != "alice" {
		t.Errorf("%+v", u)
	}
	if got := storage.ClientAddr(ctx).String(); got != "198.51.100.9" {
		t.Error(got)
	}
	if len(authn.TraceFrom(ctx)) != 1 || ctx.Value(key{}) != 7 {
		t.Error("the trace, or a value of the call's context, is not there")
	}
	if cancel(); ctx.Err() == nil {
		t.Error("not canceled with the call")
	}
	// A call that modifies its identity does not affect other calls.
	one, _ := m.Authenticate(call("alice"))
	id := authn.FromContext(one)
	id.Roles[0] = "admin"
	if got := authn.FromContext(one).Roles; !slices.Equal(got, []string{"staff"}) {
		t.Errorf("%v", got)
	}
	r = call("")
	r.Header.Set("Authorization", "Basic x")
	if ctx, err := m.Authenticate(r); err != nil || authn.FromContext(ctx).Authenticated() {
		t.Errorf("an ignored keyword: %v", err)
	}
	r.Header["Authorization"] = []string{"Call alice", "Call alice"}
	var e *authn.Error
	if _, err := m.Authenticate(r); !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("two credentials: %v", err)
	}
	// Respond sends the challenges of that chain.
	w := httptest.NewRecorder()
	authn.Respond(w, call("").WithContext(ctx), authn.PermissionDenied(""))
	if w.Code != 403 {
		t.Error(w.Code)
	}
}

// countingLimit limits after the first refusal.
type countingLimit struct{ refused, accepted int }

func (l *countingLimit) Admit(*http.Request, *authn.Presented) error {
	if l.refused > 1 {
		return authn.Throttled(time.Minute)
	}
	return nil
}
func (l *countingLimit) Refused(_ *http.Request, err error) error {
	if l.refused++; l.refused > 1 {
		return authn.Throttled(time.Minute)
	}
	return err
}
func (l *countingLimit) Accepted(*http.Request, *authn.Presented, authn.Identity) { l.accepted++ }

func TestAuthenticateLimits(t *testing.T) {
	l := new(countingLimit)
	m := authn.New(authn.Func(transportScheme), &authn.Options{Refusals: l, Logger: slog.New(slog.DiscardHandler)})
	for i, want := range []int{0, 401, 429, 429} {
		credential := "mallory"
		if i == 0 {
			credential = "alice"
		}
		ctx, err := m.Authenticate(call(credential))
		var e *authn.Error
		if errors.As(err, &e); want == 0 && err != nil || want > 0 && (e == nil || e.Status != want || authn.FromContext(ctx).Authenticated()) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if l.refused != 2 || l.accepted != 1 {
		t.Errorf("%+v", l)
	}
}

// Authenticate allocates no more than Handler for the same request.
func TestAuthenticateAllocations(t *testing.T) {
	id := authn.Identity{Subject: "alice", Scheme: "call", Roles: []string{"staff"}}
	m := authn.New(authn.Func(func(*http.Request) (authn.Identity, error) { return id, nil }), &authn.Options{Logger: slog.New(slog.DiscardHandler)})
	r := call("alice")
	var sink string
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sink = authn.FromContext(r.Context()).Subject }))
	w := unread{http.Header{}}
	served := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) })
	called := testing.AllocsPerRun(1000, func() {
		ctx, err := m.Authenticate(r)
		if err == nil {
			sink = authn.FromContext(ctx).Subject
		}
	})
	if !raceEnabled && called > served || sink != "alice" {
		t.Errorf("%v allocations, Handler has %v", called, served)
	}
	t.Logf("Authenticate %v, Handler %v allocations", called, served)
}

type unread struct{ h http.Header }

func (d unread) Header() http.Header       { return d.h }
func (unread) Write(b []byte) (int, error) { return len(b), nil }
func (unread) WriteHeader(int)             {}
