package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// A measurement takes that long, and says so often how far it is.
const (
	measureFor   = 600 * time.Millisecond
	measureTells = 100 * time.Millisecond
)

// progress is one line of the answer.
type progress struct {
	Scheme    string  `json:"scheme"`
	Requests  int     `json:"requests"`
	Seconds   float64 `json:"seconds"`
	Median    float64 `json:"median_us,omitempty"`
	P99       float64 `json:"p99_us,omitempty"`
	PerSecond float64 `json:"per_second,omitempty"`
	Done      bool    `json:"done"`
}

// measure asks for the caller's profile again and again, with the credential of this request,
// and streams how many answers came: whole requests without the network. It serves this
// machine alone, one caller at a time and for a bounded while.
func measure(h http.Handler) http.HandlerFunc {
	var one sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		if !authn.OnLoopback(r) || !fromLoopback(r) {
			authn.Respond(w, r, authn.PermissionDenied("Measured is on this machine alone."))
			return
		}
		if !one.TryLock() {
			w.Header().Set("Retry-After", "1")
			authn.Respond(w, r, &authn.Error{Status: http.StatusTooManyRequests, Code: "throttled", Detail: "A measurement is running."})
			return
		}
		defer one.Unlock()
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		out, lines := json.NewEncoder(w), http.NewResponseController(w)
		again := r.Clone(r.Context())
		again.Method, again.URL.Path, again.URL.RawPath, again.RequestURI, again.Body = http.MethodGet, "/api/profile", "", "/api/profile", http.NoBody
		p := progress{Scheme: authn.FromContext(r.Context()).Scheme}
		var times []time.Duration
		begin := time.Now()
		told := begin
		for now := begin; now.Sub(begin) < measureFor; {
			answer := status{header: make(http.Header)}
			h.ServeHTTP(&answer, again)
			if answer.code != http.StatusOK || r.Context().Err() != nil {
				return // without "done"
			}
			then := now
			now = time.Now()
			times = append(times, now.Sub(then))
			if now.Sub(told) >= measureTells {
				told, p.Requests, p.Seconds = now, len(times), now.Sub(begin).Seconds()
				if out.Encode(p) != nil || lines.Flush() != nil {
					return
				}
				now = time.Now()
			}
		}
		slices.Sort(times)
		p.Requests, p.Seconds, p.Done = len(times), time.Since(begin).Seconds(), true
		p.Median, p.P99 = micro(times[len(times)/2]), micro(times[len(times)*99/100])
		p.PerSecond = float64(p.Requests) / p.Seconds
		_ = out.Encode(p)
	}
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// fromLoopback reports whether the peer is on this machine.
func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// status keeps an answer's status and drops its body.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header { return s.header }
func (s *status) WriteHeader(code int) {
	if s.code == 0 {
		s.code = code
	}
}
func (s *status) Write(b []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return len(b), nil
}
