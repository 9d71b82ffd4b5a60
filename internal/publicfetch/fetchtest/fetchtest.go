// Package fetchtest has the internet of the tests: a certificate authority, real TLS servers, and a
// resolver that knows them.
package fetchtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// Home is the address of the servers. Only a fetcher that has it in Options.Addresses connects to
// it; 127.0.0.1 stays as forbidden as ever.
var Home = netip.MustParsePrefix("127.0.0.2/32")

// Net is a certificate authority and a resolver. Its names are those of Serve and Point.
type Net struct {
	Roots *x509.CertPool
	t     testing.TB
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey

	mu      sync.Mutex
	names   map[string][][]netip.Addr // the answers, one after the other; the last one stays
	lookups map[string]int
	ctx     context.Context // of the last look-up
}

// New returns a Net without names.
func New(t testing.TB) *Net {
	t.Helper()
	n := &Net{t: t, Roots: x509.NewCertPool(), names: map[string][][]netip.Addr{}, lookups: map[string]int{}}
	n.ca, n.key = n.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	n.Roots.AddCert(n.ca)
	return n
}

func (n *Net) issue(c, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	if parent == nil {
		parent, by = c, key
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		n.t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		n.t.Fatal(err)
	}
	return c, key
}

// Certificate returns a certificate for a name; change may be nil.
func (n *Net) Certificate(name string, change func(*x509.Certificate)) tls.Certificate {
	n.t.Helper()
	c := &x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(c)
	}
	c, key := n.issue(c, n.ca, n.key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

// Serve starts a TLS server for a name and returns its origin, such as
// "https://app.example:41234". cert may be nil.
func (n *Net) Serve(name string, h http.Handler, cert *tls.Certificate) string {
	n.t.Helper()
	if cert == nil {
		c := n.Certificate(name, nil)
		cert = &c
	}
	port := n.Listen(func(l net.Listener) {
		s := httptest.NewUnstartedServer(h)
		s.Listener.Close()
		s.Listener, s.EnableHTTP2, s.TLS = l, true, &tls.Config{Certificates: []tls.Certificate{*cert}}
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused certificates
		s.StartTLS()
		n.t.Cleanup(s.Close)
	})
	n.Point(name, Home.Addr().String())
	return "https://" + name + ":" + port
}

// Listen opens a port at Home, passes it to serve and returns its number.
func (n *Net) Listen(serve func(net.Listener)) string {
	n.t.Helper()
	l, err := net.Listen("tcp4", Home.Addr().String()+":0")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	serve(l)
	return port
}

// Point sets the addresses of a name, as texts with spaces between them. With several texts each
// look-up gets the next one.
func (n *Net) Point(name string, answers ...string) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name] = nil
	for _, text := range answers {
		list := []netip.Addr{}
		for one := range strings.FieldsSeq(text) {
			list = append(list, netip.MustParseAddr(one))
		}
		n.names[name] = append(n.names[name], list)
	}
}

// LookupNetIP implements publicfetch.Resolver.
func (n *Net) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, rooted := strings.CutSuffix(host, ".")
	n.ctx = ctx
	n.lookups[name]++
	answers := n.names[name]
	if len(answers) == 0 || !rooted {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		n.names[name] = answers[1:]
	}
	return append([]netip.Addr{}, answers[0]...), nil
}

// Lookups returns how often a name was resolved, and the context of the last look-up of any name.
func (n *Net) Lookups(name string) (int, context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lookups[name], n.ctx
}
