package server

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/internal/publicfetch"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// Resolver returns the addresses of a host name that ends with a dot; *net.Resolver implements it.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Fetching configures requests to URLs that clients chose: client ID metadata documents
// (Options.ClientDocuments) and key sets (storage.Client.KeysURI). The server sends such a request
// over https to public addresses only, so that nobody can use it to reach your own network. It
// follows no redirect, uses no proxy, and waits at most 5 seconds.
type Fetching struct {
	// Addresses are further networks to which such requests may be sent, such as an intranet in
	// which your clients are. Every client can then make the server send requests there.
	Addresses []netip.Prefix
	// DNS64 checks an address in 64:ff9b::/96 by the IPv4 address that it contains. Set it if the
	// server is in an IPv6 network with DNS64 and NAT64.
	DNS64 bool
	// Roots are the trusted certificate authorities; nil means the system's authorities.
	Roots *x509.CertPool
	// Resolver resolves names; nil means net.DefaultResolver.
	Resolver Resolver
	// InsecureLoopback accepts loopback addresses in Addresses even if the issuer's host is not a
	// loopback address. Set it only in tests: services on the machine itself often trust every
	// request.
	InsecureLoopback bool
}

const (
	// unprovedFetches and provedFetches are how many fetches run at the same time in this process.
	// netFetches is how many of the first kind one network (IPv4 /24, IPv6 /48) has.
	unprovedFetches, provedFetches, netFetches = 16, 8, 2
	// hostFetches is how often a host is fetched from per minute, for each kind. wideFetches is the
	// same for the network of the host, for unproved URLs: many names can lead to one network.
	hostFetches, wideFetches = 6, 30
)

// workFetch limits fetches of URLs that nobody has used yet, by the network of the request.
var workFetch = work{"fetch", 0, rates{10, 120}, rates{20, 240}, rates{40, 480}}

// fetches are the requests to URLs of clients. A URL is proved if a user has allowed its client, or
// an administrator registered it. Proved URLs have limits of their own, so that strangers cannot
// use them up.
type fetches struct {
	fetcher *publicfetch.Fetcher

	mu               sync.Mutex
	unproved, proved int
	nets             map[string]int
}

// newFetches checks the options.
func newFetches(issuer string, o Fetching) (*fetches, error) {
	loopback := syntax.IsLoopback(hostOf(issuer)) || o.InsecureLoopback
	for _, p := range o.Addresses {
		if !p.IsValid() || !loopback && (p.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) || p.Overlaps(netip.MustParsePrefix("::1/128"))) {
			return nil, errors.New("server: New: Fetching.Addresses has an invalid network, or a loopback address although the issuer has none")
		}
	}
	f := &fetches{nets: map[string]int{}}
	f.fetcher = publicfetch.New(publicfetch.Options{Agent: issuer, Addresses: o.Addresses, DNS64: o.DNS64, Roots: o.Roots, Resolver: o.Resolver})
	return f, nil
}

// hostOf returns the host of a URL, without its port.
func hostOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	host, _, _ := strings.Cut(rest, "/")
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host[1:], "]")
		return host
	}
	host, _, _ = strings.Cut(host, ":")
	return host
}

// errBusy rejects a request because too many fetches are running.
var errBusy = &oauth2.Error{Status: http.StatusTooManyRequests, Code: "temporarily_unavailable", Description: "Too many requests.", RetryAfter: time.Second}

// isLimited reports whether err is a limit rather than a failure of the other server.
func isLimited(err error) bool {
	var e *oauth2.Error
	return errors.As(err, &e) && e.Status == http.StatusTooManyRequests
}

// fetch reads a JSON document. from is the client address that causes it; it counts only if the URL
// is not proved. An error with status 429 means that nothing was tried.
func (s *Server) fetch(ctx context.Context, uri string, most int, proved bool, from netip.Addr) (publicfetch.Document, error) {
	if err := publicfetch.CheckURL(uri); err != nil { // before it counts
		return publicfetch.Document{}, err
	}
	f := s.fetches
	net := network.Net.Name(from)
	if !f.begin(proved, net) {
		return publicfetch.Document{}, errBusy
	}
	defer f.end(proved, net)
	return f.fetcher.Get(ctx, uri, most, func(addresses []netip.Addr) error { return s.admitFetch(ctx, uri, addresses[0], proved) })
}

// admitSource counts a fetch of a URL that is not proved, by the client address that causes it.
func (s *Server) admitSource(ctx context.Context, from netip.Addr) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admit(ctx, workFetch.name, s.cellsOf(from, workFetch)...)
}

// admitFetch counts a fetch by its host.
func (s *Server) admitFetch(ctx context.Context, uri string, to netip.Addr, proved bool) error {
	if s.opts.Limits == nil {
		return nil
	}
	kind, host := "unproved", hostOf(uri)
	if proved {
		kind = "proved"
	}
	cells := []Cell{{Key: s.cellKey("fetch host", kind, host), Limit: hostFetches, Window: time.Minute}}
	if !proved {
		cells = append(cells, Cell{Key: s.cellKey("fetch net", network.Net.Name(to)), Limit: wideFetches, Window: time.Minute})
	}
	return s.admit(ctx, workFetch.name, cells...)
}

// begin takes a place among the running fetches.
func (f *fetches) begin(proved bool, net string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case proved && f.proved < provedFetches:
		f.proved++
	case !proved && f.unproved < unprovedFetches && f.nets[net] < netFetches:
		f.unproved++
		f.nets[net]++
	default:
		return false
	}
	return true
}

func (f *fetches) end(proved bool, net string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if proved {
		f.proved--
		return
	}
	f.unproved--
	if f.nets[net]--; f.nets[net] == 0 {
		delete(f.nets, net)
	}
}
