package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// BenchmarkLoginFlood measures token checks over HTTP by four clients, first alone
// and then beside 64 clients that log in without a pause, all in one process with
// the server. It reports both rates, how much is kept, and the process's greatest
// resident memory. The login limits are off: it is the hash queue that holds.
func BenchmarkLoginFlood(b *testing.B) {
	old := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(old)
	db, err := sqlite.Open(b.TempDir()+"/db", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		b.Fatal(err)
	}
	cfg := &config{Flags: demo.Flags{LoginRate: "off", Users: []demo.User{{Name: "alice", Password: "wonderland-42"}}}}
	h, err := newServer(b.Context(), cfg, db, ring)
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(h)
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	call := func(r *http.Request) (int, string) {
		resp, err := client.Do(r)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	login := func() (int, string) {
		r, _ := http.NewRequest("POST", s.URL+"/token/login", strings.NewReader("username=alice&password=wonderland-42"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return call(r)
	}
	status, body := login()
	if status != 200 {
		b.Fatal(status, body)
	}
	token := strings.Split(body, `"`)[3]
	// rate is checks a second over a while.
	rate := func() float64 {
		var n atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		for range 4 {
			wg.Go(func() {
				for time.Since(begin) < 4*time.Second {
					r, _ := http.NewRequest("GET", s.URL+"/api/token/profile", nil)
					r.Header.Set("Authorization", "Token "+token)
					if status, body := call(r); status != 200 {
						b.Error(status, body)
						return
					}
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return float64(n.Load()) / time.Since(begin).Seconds()
	}
	for b.Loop() {
		idle := rate()
		var stop atomic.Bool
		var good, busy atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for !stop.Load() {
					switch status, body := login(); status {
					case 200:
						good.Add(1)
					case 503:
						busy.Add(1)
					default:
						b.Error(status, body)
						return
					}
				}
			})
		}
		flooded := rate()
		stop.Store(true)
		wg.Wait()
		b.ReportMetric(idle, "idle-checks/s")
		b.ReportMetric(flooded, "flooded-checks/s")
		b.ReportMetric(flooded/idle, "kept")
		b.ReportMetric(float64(good.Load())/4, "logins/s")
		b.ReportMetric(resident(b), "MB")
		b.ReportMetric(0, "ns/op")
	}
}

// resident is the process's greatest resident memory, in MB.
func resident(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	return 0
}
