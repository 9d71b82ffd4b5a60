package observe_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/observe"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// recorder notes all reports as texts.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) note(kind string, v ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%s %+v", kind, v))
}

func (r *recorder) sink() *observe.Sink {
	return &observe.Sink{
		Decision:     func(_ context.Context, d observe.Decision) { r.note("decision", d, d.Outcome.String()) },
		Lookup:       func(_ context.Context, l observe.Lookup) { r.note("lookup", l.Kind.String(), l.Result.String()) },
		StoreCall:    func(_ context.Context, c observe.StoreCall) { r.note("store", c, c.Outcome.String()) },
		Limit:        func(_ context.Context, l observe.Limit) { r.note("limit", l.Name.String(), l.Allowed) },
		PasswordWait: func(_ context.Context, w observe.PasswordWait) { r.note("wait", w.Known, w.Busy) },
		PasswordHash: func(_ context.Context, h observe.PasswordHash) { r.note("hash", h.Algorithm) },
		Audit:        func(kind string, dropped bool) { r.note("audit", kind, dropped) },
		Pruned:       func(table string, n int) { r.note("pruned", table, n) },
	}
}

// has reports whether a report contains all words.
func (r *recorder) has(words ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Nothing that is reported contains what came with a request, or whom it is about.
func TestReports(t *testing.T) {
	t.Run("attack_474", func(t *testing.T) {
		var r recorder
		sink, quiet := r.sink(), slog.New(slog.DiscardHandler)
		db := must(sqlite.Open(filepath.Join(t.TempDir(), "db"), &gormstore.Options{Sink: sink}))(t)
		defer db.Close()
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		store := must(cached.New(db, &cached.Options{Sink: sink}))(t)
		hasher := must(password.NewHasher(&password.HasherOptions{Sink: sink}))(t)
		strict := throttle.DefaultLoginLimits()
		strict.AccountPlace = []throttle.Rate{{Limit: 2, Window: time.Hour}}
		limiter := must(throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Sink: sink, Limits: &strict}))(t)
		events := must(audit.New(func(context.Context, audit.Event) {}, &audit.Options{Sink: sink, Required: true}))(t)
		passwords := must(password.New(store, hasher, &password.Options{Limiter: limiter, Audit: events, FailureFloor: time.Nanosecond, Logger: quiet}))(t)
		u := must(passwords.Register(t.Context(), password.NewUser{ID: "canary-id", Name: "canary-name", Password: "canary-password-1"}))(t)
		devices := must(knox.New(store, &knox.Options{Audit: events, Logger: quiet}))(t)
		auth := authn.New(authn.Chain{devices}, &authn.Options{Sink: sink, Logger: quiet})
		refusals := must(throttle.NewRefusals(&throttle.RefusalOptions{Sink: sink, Limit: throttle.Rate{Limit: 1, Window: time.Hour}}))(t)
		limited := authn.New(authn.Chain{devices}, &authn.Options{Sink: sink, Logger: quiet, Refusals: refusals})
		perMinute := must(throttle.Anon(throttle.NewMemory(nil), throttle.Rate{Limit: 1, Window: time.Minute}, &throttle.Options{Sink: sink}))(t)
		send := func(h http.Handler, authorization string, form url.Values) int {
			method := "GET"
			if form != nil {
				method = "POST"
			}
			req := httptest.NewRequest(method, "https://canary-host.example/canary-path", strings.NewReader(form.Encode()))
			req.RemoteAddr = "198.51.100.77:4711"
			if form != nil {
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if authorization != "" {
				req.Header.Set("Authorization", authorization)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return w.Code
		}
		login := auth.Public(devices.Login(passwords))
		for i, want := range []int{401, 401, 429} {
			if got := send(login, "", url.Values{"username": {"canary-name"}, "password": {fmt.Sprint("canary-wrong-", i)}}); got != want {
				t.Errorf("login %d: %d", i, got)
			}
		}
		text, rec, err := devices.Issue(t.Context(), u.ID, u.Epoch, knox.Token{Name: "canary-device"})
		if err != nil {
			t.Fatal(err)
		}
		none := http.NotFoundHandler()
		for range 4 {
			send(auth.Handler(none), "Knox "+text, nil)
		}
		for range 3 {
			send(limited.Handler(none), "Knox canary-junk", nil)
			send(perMinute(none), "", nil)
		}
		unused, _, err := devices.Issue(t.Context(), u.ID, u.Epoch, knox.Token{})
		if err != nil {
			t.Fatal(err)
		}
		if err := devices.Revoke(t.Context(), u.ID, rec.ID); err != nil {
			t.Fatal(err)
		}
		send(auth.Handler(none), "Knox "+text, nil)
		send(auth.Handler(none), "Knox "+text, nil)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if got := send(auth.Handler(none), "Knox "+unused, nil); got != 503 {
			t.Errorf("without a database: %d", got)
		}
		for _, want := range [][]string{
			{"decision", "Scheme:knox", "accepted", "Kept:true"}, {"decision", "Scheme:knox", "accepted", "Stored:true"}, {"decision", "authentication_failed", "rejected"}, {"decision", "error"}, {"store", "Operation:SELECT", "fault"},
			{"lookup", "identity hit"}, {"lookup", "credential miss"}, {"lookup", "credential negative"}, {"store", "System:sqlite", "Operation:SELECT", "Table:vestibule_device_tokens", "ok"},
			{"store", "Operation:TRANSACTION"}, {"store", "Operation:INSERT", "Table:vestibule_audit"}, {"limit", "place false"}, {"limit", "account true"}, {"limit", "source false"}, {"limit", "request false"},
			{"wait", "false false"}, {"hash", "argon2"}, {"audit", "token.revoked false"}, {"audit", "account.created"},
		} {
			if !r.has(want...) {
				t.Errorf("no report %v", want)
			}
		}
		for _, line := range r.lines {
			for _, secret := range []string{"canary", "198.51.100", u.ID, rec.ID, text} {
				if strings.Contains(line, secret) {
					t.Errorf("%q in %s", secret, line)
				}
			}
		}
		if t.Failed() {
			t.Log(strings.Join(r.lines, "\n"))
		}
	})
}

func TestJoin(t *testing.T) {
	var a, b recorder
	if observe.Join() != nil || observe.Join(nil, nil) != nil {
		t.Error("a Sink of nothing")
	}
	one := a.sink()
	if observe.Join(nil, one) != one {
		t.Error("one Sink was wrapped")
	}
	partly := &observe.Sink{Audit: b.sink().Audit}
	both := observe.Join(one, nil, partly)
	if both.Bus != nil || both.Fallback != nil {
		t.Error("a function that no Sink has")
	}
	both.Audit("logout", true)
	both.Lookup(t.Context(), observe.Lookup{Kind: observe.Sessions, Result: observe.Hit})
	both.Pruned("t", 1)
	if len(a.lines) != 3 || len(b.lines) != 1 {
		t.Errorf("%v, %v", a.lines, b.lines)
	}
}

// Each number has a name, so that no label is "other" by mistake.
func TestNames(t *testing.T) {
	for k := range observe.Kinds {
		if k.String() == "other" {
			t.Errorf("kind %d", k)
		}
	}
	for r := range observe.Results {
		if r.String() == "other" {
			t.Errorf("result %d", r)
		}
	}
	for r := range observe.Reasons {
		if r.String() == "other" {
			t.Errorf("reason %d", r)
		}
	}
	for l := range observe.Limits {
		if l.String() == "other" {
			t.Errorf("limit %d", l)
		}
	}
	if observe.Kinds.String() != "other" || observe.Lagged.String() != "lagged" || observe.Fault.String() != "fault" || observe.Error.String() != "error" {
		t.Error("names moved")
	}
}
