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
// over https to public addresses only, so that a client cannot use the server to reach your own
// network. The server follows no redirect, uses no proxy, and waits at most 5 seconds.
type Fetching struct {
	// Addresses are further networks to which the server may send such requests, for example an
	// intranet with some of your clients. Every client can then make the server send requests to
	// these networks.
	Addresses []netip.Prefix
	// DNS64 means that an address in 64:ff9b::/96 is allowed if the IPv4 address in it is allowed.
	// Set DNS64 if the server is in an IPv6 network with DNS64 and NAT64.
	DNS64 bool
	// Roots are the trusted certificate authorities; nil means the system's authorities.
	Roots *x509.CertPool
	// Resolver resolves names; nil means net.DefaultResolver.
	Resolver Resolver
	// InsecureLoopback accepts loopback addresses in Addresses even if the issuer's host is not a
	// loopback address. Set it only in tests, because services that listen on a loopback address
	// often trust every request.
	InsecureLoopback bool
}

// urlKind describes who chose a URL. Each kind has its own limits, so that strangers cannot use up
// the limits of clients that are already in use.
type urlKind int

const (
	// strangeURL is a URL that anybody may have made up, or the URL of a client that registered
	// itself.
	strangeURL urlKind = iota
	// cachedURL had a valid document when it was last fetched. Anybody can have published it.
	cachedURL
	// allowedURL is the ID of a client that a user allowed. Anybody with an account can allow a
	// client.
	allowedURL
	// registeredURL belongs to a client that an administrator registered.
	registeredURL
)

func (k urlKind) String() string {
	return [...]string{"strange", "cached", "allowed", "registered"}[k]
}

// byAnybody reports whether anybody, or any user, can make the server fetch URLs of this kind. Such
// fetches count by the network of the request and by the network to which they go.
func (k urlKind) byAnybody() bool { return k != registeredURL }

const (
	// netFetches is the maximum number of fetches of a kind that run at the same time in this
	// process for one network of clients (IPv4 /24, IPv6 /48). It does not apply to URLs that an
	// administrator registered.
	netFetches = 2
	// hostFetches is the maximum number of fetches from a host per minute, for each kind. If
	// anybody can cause the fetch, each network of clients has its own limit. wideFetches is the
	// maximum for the network of the host, because many names can lead to one network.
	hostFetches, wideFetches = 6, 30
)

// places are the maximum numbers of fetches of each kind that run at the same time in this process.
var places = [...]int{strangeURL: 16, cachedURL: 8, allowedURL: 8, registeredURL: 8}

// workFetch limits fetches that anybody can cause, by the network of the request.
var workFetch = work{"fetch", 0, rates{10, 120}, rates{20, 240}, rates{40, 480}}

// fetches are the requests to URLs of clients.
type fetches struct {
	fetcher *publicfetch.Fetcher

	mu      sync.Mutex
	running [len(places)]int
	nets    map[string]int // by kind and network of the client
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

// fetch reads a JSON document. The argument from is the client address that causes the fetch. The
// fetch is not counted for this address if an administrator registered the URL. An error with
// status 429 means that no request was sent.
func (s *Server) fetch(ctx context.Context, uri string, most int, kind urlKind, from netip.Addr) (publicfetch.Document, error) {
	if err := publicfetch.CheckURL(uri); err != nil { // before it counts
		return publicfetch.Document{}, err
	}
	f := s.fetches
	net := network.Net.Name(from)
	if !f.begin(kind, net) {
		return publicfetch.Document{}, errBusy
	}
	defer f.end(kind, net)
	return f.fetcher.Get(ctx, uri, most, func(addresses []netip.Addr) error { return s.admitFetch(ctx, uri, addresses[0], kind, net) })
}

// admitSource counts a fetch for the client address from, which causes it.
func (s *Server) admitSource(ctx context.Context, from netip.Addr) error {
	if s.opts.Limits == nil {
		return nil
	}
	return s.admit(ctx, workFetch.name, s.cellsOf(from, workFetch)...)
}

// admitFetch counts a fetch for its host. The argument net is the network of the client that causes
// the fetch, and the argument to is an address of the host.
func (s *Server) admitFetch(ctx context.Context, uri string, to netip.Addr, kind urlKind, net string) error {
	if s.opts.Limits == nil {
		return nil
	}
	host := hostOf(uri)
	cell := Cell{Key: s.cellKey("fetch host", kind.String(), host), Limit: hostFetches, Window: time.Minute}
	if !kind.byAnybody() {
		return s.admit(ctx, workFetch.name, cell)
	}
	cell.Key = s.cellKey("fetch host", kind.String(), host, net)
	wide := Cell{Key: s.cellKey("fetch net", kind.String(), network.Net.Name(to)), Limit: wideFetches, Window: time.Minute}
	return s.admit(ctx, workFetch.name, cell, wide)
}

// begin counts a fetch as running. It returns false if too many fetches are running.
func (f *fetches) begin(kind urlKind, net string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := kind.String() + " " + net
	if f.running[kind] >= places[kind] || kind.byAnybody() && f.nets[name] >= netFetches {
		return false
	}
	f.running[kind]++
	f.nets[name]++
	return true
}

func (f *fetches) end(kind urlKind, net string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := kind.String() + " " + net
	f.running[kind]--
	if f.nets[name]--; f.nets[name] == 0 {
		delete(f.nets, name)
	}
}
