package comparison

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"
)

// NewProbe starts a server in w and returns a probe that tests scheme c on it.
func NewProbe(w *World, c Scheme) *Probe { return &Probe{Scheme: c, Site: w.Start()} }

// Check returns a function that makes one authenticated request without the network and returns
// the status of the response.
func (p *Probe) Check() func() int {
	c := p.signIn()
	local := net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
	r := httptest.NewRequest("GET", "http://127.0.0.1"+p.route, nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	r.RemoteAddr = "127.0.0.1:40000"
	r.Header.Set(c.header, c.value)
	h := p.Config.Handler
	return func() int {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Code
	}
}

// Statements returns the number of statements sent to the database so far.
func (s *Site) Statements() int64 { return s.statements.Load() }

// Cost returns the median time of one check, middleware included and network excluded.
func (p *Probe) Cost() time.Duration {
	check := p.Check()
	times := make([]time.Duration, 31)
	for i := range times {
		begin := time.Now()
		if status := check(); status != http.StatusOK {
			p.w.Fatalf("%s: %d", p.Name, status)
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times[len(times)/2].Round(time.Microsecond)
}
