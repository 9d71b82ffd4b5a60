package vestibule_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// check returns a function that makes one authenticated request without the network, and
// returns its status.
func (p *probe) check() func() int {
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

// BenchmarkCompare makes one authenticated request under each scheme, with middleware and
// guard and without the network, with SQLite and with PostgreSQL. The recorder of the answer is
// in the numbers.
func BenchmarkCompare(b *testing.B) {
	for _, dialect := range []string{"sqlite", "postgres"} {
		b.Run(dialect, func(b *testing.B) {
			for _, c := range contenders {
				b.Run(c.route[1:], func(b *testing.B) {
					p := &probe{contender: c, site: newWorld(b, dialect).start()}
					check := p.check()
					check()
					b.ReportAllocs()
					n := p.statements.Load()
					for b.Loop() {
						if status := check(); status != http.StatusOK {
							b.Fatal(status)
						}
					}
					b.ReportMetric(float64(p.statements.Load()-n)/float64(b.N), "statements/op")
				})
			}
		})
	}
}
