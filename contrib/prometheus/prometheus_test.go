package prometheus_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/contrib/prometheus"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var quiet = slog.New(slog.DiscardHandler)

// scrape returns what Prometheus gets.
func scrape(registry *prom.Registry) string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// value returns the value of a series, or "" if there is none.
func value(text, series string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// A server with everything observed: the metrics say what happened.
func TestMetrics(t *testing.T) {
	registry := prom.NewRegistry()
	m := must(prometheus.New(registry, &prometheus.Options{Version: "v1.2.3"}))(t)
	sink := m.Sink()
	db := must(sqlite.Open(filepath.Join(t.TempDir(), "db"), &gormstore.Options{Sink: sink}))(t)
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := must(cached.New(db, &cached.Options{Sink: sink}))(t)
	m.WatchCache(store)
	table := must(authn.NewTable(nil))(t)
	m.WatchTable(table)
	hasher := must(password.NewHasher(&password.HasherOptions{Sink: sink}))(t)
	limiter := must(throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Sink: sink}))(t)
	events := must(audit.New(func(context.Context, audit.Event) {}, &audit.Options{Sink: sink}))(t)
	passwords := must(password.New(store, hasher, &password.Options{Limiter: limiter, Audit: events, FailureFloor: time.Nanosecond}))(t)
	u := must(passwords.Register(t.Context(), password.NewUser{Name: "alice", Password: "wonderland-42"}))(t)
	devices := must(knox.New(store, &knox.Options{Audit: events}))(t)
	text, _, err := devices.Issue(t.Context(), u.ID, u.Epoch, knox.Token{})
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.New(authn.Chain{devices, must(basic.New(passwords, nil))(t)}, &authn.Options{Sink: sink, Table: table, Logger: quiet})
	ask := func(authorization string) {
		r := httptest.NewRequest("GET", "https://app.example/", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		auth.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("")
	for range 6 {
		ask("Knox " + text)
	}
	ask("Knox nonsense")
	ask("Basic YWxpY2U6d3Jvbmc=") // alice:wrong
	if err := devices.Revoke(t.Context(), u.ID, must(devices.List(t.Context(), u.ID))(t)[0].ID); err != nil {
		t.Fatal(err)
	}

	out := scrape(registry)
	for series, want := range map[string]string{
		`vestibule_decisions_total{code="",outcome="none",scheme=""}`:                               "1",
		`vestibule_decisions_total{code="",outcome="accepted",scheme="knox"}`:                       "6",
		`vestibule_decisions_total{code="authentication_failed",outcome="rejected",scheme="knox"}`:  "1",
		`vestibule_decisions_total{code="authentication_failed",outcome="rejected",scheme="basic"}`: "1",
		`vestibule_decision_duration_seconds_count{outcome="accepted",scheme="knox"}`:               "6",
		`vestibule_cache_entries{kind="identity"}`:                                                  "1",
		`vestibule_limit_decisions_total{limit="account",outcome="allowed"}`:                        "1",
		`vestibule_password_hash_seconds_count{algorithm="argon2"}`:                                 "2",
		`vestibule_password_wait_seconds_count{class="stranger"}`:                                   "2",
		`vestibule_audit_events_total{kind="token.created"}`:                                        "1",
		`vestibule_audit_events_total{kind="token.revoked"}`:                                        "1",
		`vestibule_audit_events_total{kind="account.created"}`:                                      "1",
		`vestibule_build_info{version="v1.2.3"}`:                                                    "1",
		`vestibule_limit_fallback`:                                                                  "0", `vestibule_replicas`: "0", `vestibule_config_mismatch`: "0",
	} {
		if got := value(out, series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	// How often the store is asked depends on when the scheme records a use.
	for _, series := range []string{
		`vestibule_cache_lookups_total{kind="credential",result="miss"}`, `vestibule_cache_lookups_total{kind="identity",result="miss"}`, `vestibule_cache_lookups_total{kind="identity",result="hit"}`,
		`vestibule_store_duration_seconds_count{op="SELECT vestibule_device_tokens",outcome="ok",store="sqlite"}`, `vestibule_store_duration_seconds_count{op="TRANSACTION",outcome="ok",store="sqlite"}`,
	} {
		if got := value(out, series); got == "" || got == "0" {
			t.Errorf("%s is %q", series, got)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "vestibule_decisions_total") || strings.HasPrefix(line, "vestibule_cache_lookups_total") && !strings.HasSuffix(line, " 0\n") {
				t.Log(line)
			}
		}
	}
	if problems := lint(out); len(problems) > 0 {
		t.Error(problems)
	}
	if _, err := prometheus.New(registry, nil); err == nil {
		t.Error("registered twice")
	}
}

// lint returns series whose names break the conventions.
func lint(out string) (list []string) {
	for line := range strings.Lines(out) {
		name, isType := strings.CutPrefix(line, "# TYPE ")
		if !isType {
			continue
		}
		f := strings.Fields(name)
		if !strings.HasPrefix(f[0], "vestibule_") || (f[1] == "counter") != strings.HasSuffix(f[0], "_total") || f[1] == "histogram" && !strings.HasSuffix(f[0], "_seconds") {
			list = append(list, line)
		}
	}
	return list
}

// A scheme that puts what it got into its code, kinds of events and a name for each request make no
// series, and reveal nothing.
func TestLabels(t *testing.T) {
	t.Run("attack_474", func(t *testing.T) {
		registry := prom.NewRegistry()
		m := must(prometheus.New(registry, &prometheus.Options{Codes: []string{"key_expired"}, Kinds: []audit.Kind{"apikey.created"}}))(t)
		sink := m.Sink()
		auth := authn.New(leaking{}, &authn.Options{Sink: sink, Logger: quiet})
		const requests = 2000
		for i := range requests {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", fmt.Sprintf("Leak hunter2-%d", i))
			auth.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
			sink.Audit(fmt.Sprintf("kind-hunter2-%d", i), i%2 == 0)
			sink.Decision(t.Context(), observe.Decision{Scheme: fmt.Sprintf("scheme-%d", i), Outcome: observe.Accepted})
		}
		sink.Decision(t.Context(), observe.Decision{Scheme: "apikey", Outcome: observe.Rejected, Code: "key_expired"})
		sink.Audit("apikey.created", false)
		out := scrape(registry)
		if strings.Contains(out, "hunter2") {
			t.Error("a secret is a label")
		}
		if n := strings.Count(out, "\n"); n > 6000 {
			t.Errorf("%d lines", n)
		}
		for series, want := range map[string]string{
			`vestibule_decisions_total{code="other",outcome="rejected",scheme="leak"}`:        fmt.Sprint(requests),
			`vestibule_audit_events_total{kind="other"}`:                                      fmt.Sprint(requests / 2),
			`vestibule_audit_events_total{kind="apikey.created"}`:                             "1",
			`vestibule_decisions_total{code="key_expired",outcome="rejected",scheme="other"}`: "1",
		} {
			if got := value(out, series); got != want {
				t.Errorf("%s is %q, want %s", series, got, want)
			}
		}
		if n := strings.Count(out, "vestibule_decisions_total{"); n > 100 {
			t.Errorf("%d series of decisions", n)
		}
	})
}

type leaking struct{}

func (leaking) Name() string { return "leak" }
func (leaking) Authenticate(r *http.Request) (authn.Identity, error) {
	return authn.Identity{}, &authn.Error{Status: 401, Code: r.Header.Get("Authorization"), Detail: "x"}
}

// The codes are those of the reference of errors, which is generated.
func TestCodes(t *testing.T) {
	text := must(os.ReadFile("../../docs/reference/errors.md"))(t)
	want := map[string]bool{}
	for _, m := range regexp.MustCompile("\\(#([a-z_]+)\\)|code `([a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		want[m[1]+m[2]] = true
	}
	for _, c := range prometheus.KnownCodes() {
		if !want[c] {
			t.Errorf("%s is no code", c)
		}
		delete(want, c)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestBus(t *testing.T) {
	registry := prom.NewRegistry()
	sink := must(prometheus.New(registry, nil))(t).Sink()
	for _, b := range []observe.Bus{
		{Event: observe.LeaseGained, Courier: "outbox"}, {Event: observe.Blind, Courier: "outbox", Reason: observe.Timeout, Blind: 1500 * time.Millisecond},
		{Event: observe.Flushed, Courier: "outbox", Reason: observe.Gap}, {Event: observe.Received, Courier: "outbox", Messages: 3},
		{Event: observe.Lagged, Courier: "outbox", Lag: 40 * time.Millisecond}, {Event: observe.LeaseLost, Courier: "notify"}, {Event: observe.StaleServed, Messages: 7},
	} {
		sink.Bus(b)
	}
	sink.Fallback(true)
	sink.Replicas(3, true)
	sink.Pruned("vestibule_sessions", 12)
	out := scrape(registry)
	for series, want := range map[string]string{
		`vestibule_bus_lease{courier="outbox"}`: "1", `vestibule_bus_lease{courier="notify"}`: "0", `vestibule_bus_blind_seconds_total{reason="timeout"}`: "1.5",
		`vestibule_bus_flushes_total{reason="gap"}`: "1", `vestibule_bus_messages_total{courier="outbox",direction="received"}`: "3",
		`vestibule_bus_lag_seconds_bucket{courier="outbox",le="0.05"}`: "1", `vestibule_bus_lag_seconds_bucket{courier="outbox",le="0.025"}`: "0",
		`vestibule_stale_answers_total`: "7", `vestibule_limit_fallback`: "1", `vestibule_replicas`: "3", `vestibule_config_mismatch`: "1",
		`vestibule_pruned_rows_total{table="vestibule_sessions"}`: "12",
	} {
		if got := value(out, series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
}

// BenchmarkDecision is what the Sink adds to a decision, and BenchmarkLookup to a lookup.
func BenchmarkDecision(b *testing.B) {
	sink := must(prometheus.New(nil, nil))(b).Sink()
	b.ReportAllocs()
	for b.Loop() {
		sink.Decision(b.Context(), observe.Decision{Scheme: "knox", Outcome: observe.Accepted, Duration: 400})
	}
}

func BenchmarkLookup(b *testing.B) {
	sink := must(prometheus.New(nil, nil))(b).Sink()
	b.ReportAllocs()
	for b.Loop() {
		sink.Lookup(b.Context(), observe.Lookup{Kind: observe.Sessions, Result: observe.Hit})
	}
}

func TestNoAllocations(t *testing.T) {
	sink := must(prometheus.New(nil, nil))(t).Sink()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		sink.Decision(ctx, observe.Decision{Scheme: "knox", Outcome: observe.Accepted, Duration: 400})
		sink.Lookup(ctx, observe.Lookup{Kind: observe.Sessions, Result: observe.Hit})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The deny set of a cache that does not run is not used, and that shows.
func TestDenySet(t *testing.T) {
	registry := prom.NewRegistry()
	m := must(prometheus.New(registry, nil))(t)
	m.WatchCache(must(cached.New(memory.New(nil), nil))(t))
	if got := value(scrape(registry), "vestibule_deny_unused"); got != "" {
		t.Errorf("without a deny set: %q", got)
	}
	store := must(cached.New(memory.New(nil), &cached.Options{DenySet: &cached.DenySet{}}))(t)
	m.WatchCache(store)
	if out := scrape(registry); value(out, "vestibule_deny_unused") != "1" || value(out, "vestibule_deny_entries") != "0" {
		t.Errorf("before Run: %q, %q", value(out, "vestibule_deny_unused"), value(out, "vestibule_deny_entries"))
	}
	store.InvalidateSubject("alice")
	if got := value(scrape(registry), "vestibule_deny_entries"); got != "1" {
		t.Errorf("after a revocation: %q", got)
	}
}
