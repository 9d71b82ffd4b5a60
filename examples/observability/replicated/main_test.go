package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/pgtest"
	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/bus"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// one is a running server.
type one struct{ api, metrics *httptest.Server }

// start runs a server until the test ends.
func start(t *testing.T, database, redisURL string, ring *keys.Ring) one {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	serving, ended := make(chan one, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, database, redisURL, ring, func(api, metrics http.Handler) error {
			s := one{httptest.NewServer(api), httptest.NewServer(metrics)}
			defer s.api.Close()
			defer s.metrics.Close()
			serving <- s
			<-ctx.Done()
			return nil
		})
	}()
	t.Cleanup(stop)
	select {
	case s := <-serving:
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return s
	case err := <-ended:
		t.Fatal(err)
	}
	return one{}
}

func ask(t *testing.T, method, url, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Knox "+token)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, string(text)
}

// A login at one server is good at the other, and a logout there is one here, within the bound.
func TestTwoServers(t *testing.T) {
	database, redisServer := pgtest.URL(t), redistest.Start(t)
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		t.Fatal(err)
	}
	a, b := start(t, database, redisServer.URL(), ring), start(t, database, redisServer.URL(), ring)
	db, err := postgres.Open(database, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	hasher, err := password.NewHasher(nil)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := password.New(db, hasher, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.Register(t.Context(), password.NewUser{Name: "alice", Password: "wonderland-42"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []one{a, b} {
		if !redistest.Poll(t, func(context.Context) bool {
			code, body := ask(t, "GET", s.api.URL+"/readyz", "", "")
			return code == 200 && strings.HasPrefix(body, `{"status":"ok"`)
		}) {
			t.Fatal(ask(t, "GET", s.api.URL+"/readyz", "", ""))
		}
	}
	code, body := ask(t, "POST", a.api.URL+"/login", "", url.Values{"username": {"alice"}, "password": {"wonderland-42"}}.Encode())
	var got struct{ Token string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 {
		t.Fatal(code, body, err)
	}
	for range 3 {
		if code, body := ask(t, "GET", b.api.URL+"/hello", got.Token, ""); code != 200 {
			t.Fatal(code, body)
		}
	}
	if code, body := ask(t, "POST", a.api.URL+"/logout", got.Token, ""); code != 204 {
		t.Fatal(code, body)
	}
	acknowledged := time.Now()
	for code = 200; code == 200; {
		begun := time.Now()
		if code, body = ask(t, "GET", b.api.URL+"/hello", got.Token, ""); code == 200 && begun.Sub(acknowledged) > bus.Bound {
			t.Fatal("accepted", begun.Sub(acknowledged), "after the logout")
		}
	}
	if code != 401 {
		t.Error(code, body)
	}
	_, series := ask(t, "GET", b.metrics.URL, "", "")
	for _, want := range []string{`vestibule_bus_lease{courier="notify"} 1`, `store="postgresql"`, `vestibule_decisions_total{code="",outcome="accepted",scheme="knox"}`} {
		if !strings.Contains(series, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	redisServer.Kill()
	if code, body := ask(t, "POST", a.api.URL+"/login", "", url.Values{"username": {"alice"}, "password": {"wonderland-42"}}.Encode()); code != 200 {
		t.Error("without Redis:", code, body)
	}
	for begun := time.Now(); ; { // a result can be a second old
		_, body := ask(t, "GET", a.api.URL+"/readyz", "", "")
		if strings.Contains(body, `"limits":"in memory"`) && strings.HasPrefix(body, `{"status":"degraded"`) {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("without Redis:", body)
		}
	}
}
