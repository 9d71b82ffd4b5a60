package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

var ring, _ = keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))

func notifier(t *testing.T, opts Options) (*Notifier, func() Event) {
	t.Helper()
	var last []Event
	n, err := New(func(_ context.Context, e Event) { last = append(last, e) }, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return n, func() Event {
		t.Helper()
		if len(last) != 1 {
			t.Fatalf("%d events", len(last))
		}
		e := last[0]
		last = nil
		return e
	}
}

// Notify sets the fields that a scheme does not know.
func TestNotify(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 123_000_000, time.FixedZone("x", 3600))
	n, last := notifier(t, Options{
		Keys: ring, Replica: "web-1", Clock: func() time.Time { return at },
		RequestID: func(context.Context) string { return "req\n-1" },
	})
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = "203.0.113.77:1234"
	r.Header.Set("User-Agent", "curl/8\x00\n"+strings.Repeat("x", 200))
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	n.Notify(Context(r), Event{Kind: TokenCreated, Scheme: "knox", Subject: "alice", Credential: "id-1", Epoch: 3})
	e := last()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(e.ID) {
		t.Errorf("ID %q is no UUID of version 7", e.ID)
	}
	if ms := fmt.Sprintf("%012x", at.UnixMilli()); strings.ReplaceAll(e.ID, "-", "")[:12] != ms {
		t.Errorf("ID %q does not begin with the time %s", e.ID, ms)
	}
	if len(e.Credential) != 11 || e.Credential != n.Credential("id-1") || strings.Contains(e.Credential, "id-1") {
		t.Errorf("credential %q", e.Credential)
	}
	if len(e.UserAgent) != 128 || !strings.HasPrefix(e.UserAgent, "curl/8xxx") {
		t.Errorf("user agent %q", e.UserAgent)
	}
	e.ID, e.Credential, e.UserAgent = "", "", ""
	want := Event{
		Time: at.UTC(), Kind: TokenCreated, Outcome: Accepted, Scheme: "knox", Subject: "alice", Source: "203.0.113.0/24",
		Replica: "web-1", RequestID: "req-1", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", Epoch: 3, Count: 1,
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("%+v\nwant %+v", e, want)
	}
	n.Notify(t.Context(), Event{Kind: LoginFailed, Outcome: Error, Count: 5})
	if e := last(); e.Outcome != Error || e.Count != 5 || e.Source != "" || e.UserAgent != "" {
		t.Errorf("%+v", e)
	}
}

// Every kind has one of the three outcomes, and a kind of failure is not accepted.
func TestOutcomes(t *testing.T) {
	for k, want := range map[Kind]Outcome{LoginSucceeded: Accepted, LoginFailed: Rejected, LoginThrottled: Rejected, RefreshReuse: Rejected, BusBlind: Error, Kind("other"): Accepted} {
		if got := outcomeOf(k); got != want {
			t.Errorf("%s: %s", k, got)
		}
	}
}

// Actor is set if it is not the subject.
func TestActor(t *testing.T) {
	n, last := notifier(t, Options{})
	for _, x := range []struct {
		by   authn.Identity
		want string
	}{
		{authn.Identity{}, ""}, {authn.Identity{Subject: "alice"}, ""}, {authn.Identity{Subject: "admin"}, "admin"},
		{authn.Identity{Subject: "admin", Issuer: "https://other.example"}, ""}, {authn.Identity{Client: "app"}, ""},
	} {
		n.Notify(authn.WithIdentity(t.Context(), x.by), Event{Kind: TokenRevoked, Subject: "alice"})
		if e := last(); e.Actor != x.want {
			t.Errorf("%+v: actor %q", x.by, e.Actor)
		}
	}
	n.Notify(t.Context(), Event{Kind: TokenRevoked, Subject: "alice", Actor: "console"})
	if e := last(); e.Actor != "console" {
		t.Errorf("actor %q", e.Actor)
	}
}

func TestSource(t *testing.T) {
	for _, x := range []struct{ addr, want, whole string }{
		{"203.0.113.77", "203.0.113.0/24", "203.0.113.77"}, {"::ffff:203.0.113.77", "203.0.113.0/24", "203.0.113.77"},
		{"2001:db8:1:2::3", "2001:db8:1::/48", "2001:db8:1:2::3"}, {"", "", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = ""
		if x.addr != "" {
			r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(x.addr), 1).String()
		}
		for whole, want := range map[bool]string{false: x.want, true: x.whole} {
			n, last := notifier(t, Options{WholeSource: whole})
			n.Notify(Context(r), Event{Kind: Logout})
			if e := last(); e.Source != want {
				t.Errorf("%s: %q, want %q", x.addr, e.Source, want)
			}
		}
	}
	// The middleware's address takes precedence over the connection's, and is used without a
	// request too.
	n, last := notifier(t, Options{})
	proxies, err := authn.NewTrustedProxies("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	m := authn.New(authn.Chain{}, &authn.Options{Proxies: proxies})
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "198.51.100.9")
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { n.Notify(r.Context(), Event{Kind: Logout}) })).ServeHTTP(httptest.NewRecorder(), r)
	if e := last(); e.Source != "198.51.100.0/24" {
		t.Error(e.Source)
	}
}

func TestTrace(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01": id, "01-" + id + "-00f067aa0ba902b7-01-more": id, "": "", "junk": "",
		"ff-" + id + "-00f067aa0ba902b7-01": "", "00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01": "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "", "00-" + id[1:] + "-00f067aa0ba902b7-01": "",
		"00-" + id + "-" + strings.Repeat("x", 300) + "-01": "", "00-<script>" + id[8:] + "-x-y": "",
	} {
		if got := traceOf(header); got != want {
			t.Errorf("%.60q: %q", header, got)
		}
	}
	n, last := notifier(t, Options{TraceID: func(context.Context) string { return "span-1" }})
	n.Notify(t.Context(), Event{Kind: Logout})
	if e := last(); e.TraceID != "span-1" || e.RequestID != "" {
		t.Errorf("%+v", e)
	}
}

// A credential and a name typed at a failed login are identified only by an HMAC.
func TestCredential(t *testing.T) {
	n, last := notifier(t, Options{Keys: ring})
	plain, plainLast := notifier(t, Options{})
	other, err := keys.NewRing(bytes.Repeat([]byte("fedcba9876543210"), 2))
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := notifier(t, Options{Keys: other})
	names := map[string]bool{n.Credential("x"): true, plain.Credential("x"): true, foreign.Credential("x"): true, n.Credential("y"): true}
	if again := n.Credential("x"); len(names) != 4 || !names[again] {
		t.Errorf("%v", names)
	}
	n.Notify(t.Context(), Event{Kind: LoginFailed}.ForName("hunter2"))
	e := last()
	if len(e.Credential) != 11 || e.Credential == n.Credential("hunter2") {
		t.Errorf("%+v", e)
	}
	plain.Notify(t.Context(), Event{Kind: LoginFailed}.ForName("hunter2"))
	bare := plainLast()
	if bare.Credential != "" {
		t.Errorf("a guessable name without a key: %+v", bare)
	}
	for _, e := range []Event{e, bare} {
		text, err := json.Marshal(e)
		if all := fmt.Sprintf("%v %+v %#v %s", e, e, e, text); err != nil || strings.Contains(all, "hunter2") {
			t.Errorf("%s, %v", all, err)
		}
	}
}

// Logs have the same names as JSON, and no empty fields.
func TestEventLog(t *testing.T) {
	e := Event{
		ID: "i", Time: time.Unix(1, 0).UTC(), Kind: Logout, Outcome: Accepted, Reason: "r", Scheme: "s", Subject: "u", Actor: "a", Client: "c", Credential: "k",
		Family: "f", Session: "n", Source: "o", UserAgent: "g", Replica: "p", RequestID: "q", TraceID: "t", Epoch: 2, Count: 3,
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("audit", "event", e)
	var logged struct{ Event map[string]any }
	var marshaled map[string]any
	text, err := json.Marshal(e)
	if err != nil || json.Unmarshal(text, &marshaled) != nil || json.Unmarshal(out.Bytes(), &logged) != nil {
		t.Fatal(err)
	}
	if len(marshaled) != 19 || !reflect.DeepEqual(logged.Event, marshaled) {
		t.Errorf("logged %v\nmarshaled %v", logged.Event, marshaled)
	}
	out.Reset()
	slog.New(slog.NewTextHandler(&out, nil)).Info("audit", "event", Event{Kind: Logout})
	if strings.Contains(out.String(), "subject") || strings.Contains(out.String(), "epoch") {
		t.Error(out.String())
	}
}

func TestNil(t *testing.T) {
	var n *Notifier
	n.Notify(t.Context(), Event{Kind: Logout})
	if n.Credential("x") == "" || To(nil) != nil {
		t.Error("a nil Notifier")
	}
	if allocs := testing.AllocsPerRun(100, func() { n.Notify(t.Context(), Event{Kind: Logout, Subject: "alice"}) }); allocs > 0 {
		t.Errorf("a nil Notifier allocates %v", allocs)
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("no hook was accepted")
	}
	if _, err := New(func(context.Context, Event) {}, &Options{Replica: strings.Repeat("x", 65)}); err == nil {
		t.Error("a long Replica was accepted")
	}
}

func TestNotifierPanics_edge_A06(t *testing.T) {
	for name, v := range panics {
		out := new(bytes.Buffer)
		n, err := New(func(context.Context, Event) { panic(v) }, &Options{Logger: slog.New(slog.NewJSONHandler(out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		n.Notify(t.Context(), Event{Kind: Logout, Scheme: "demo"})
		if text := out.String(); strings.Contains(text, secret) || !strings.Contains(text, `"scheme":"demo"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestLogReuse(t *testing.T) {
	var out bytes.Buffer
	LogReuse(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), Event{Kind: RefreshReuse, Scheme: "jwt", Subject: "alice", Family: "f1"})
	if text := out.String(); !strings.Contains(text, `level=WARN msg="token reuse detected" scheme=jwt kind=refresh.reuse`) || !strings.Contains(text, "family=f1") {
		t.Error(text)
	}
}

// The address in the store's context takes precedence, for a program that sets it without a
// middleware.
func TestClientAddr(t *testing.T) {
	n, last := notifier(t, Options{})
	r := httptest.NewRequest("GET", "/", nil)
	ctx := storage.WithClientAddr(Context(r), authn.TrustedProxies{}.ClientAddr(&http.Request{RemoteAddr: "198.51.100.9:1"}))
	n.Notify(ctx, Event{Kind: Logout})
	if e := last(); e.Source != "198.51.100.0/24" {
		t.Error(e.Source)
	}
}
