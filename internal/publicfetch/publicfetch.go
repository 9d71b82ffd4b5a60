// Package publicfetch reads JSON documents at URLs that strangers chose, such as the metadata of a
// client that nobody registered.
//
// A server that fetches such a URL can be made to send requests into its own network (server-side
// request forgery). So a fetch connects only to public addresses. It resolves the name once, and
// checks the address again when it connects, so that a name which changes between two look-ups
// gains nothing. It follows no redirect, uses no proxy, sends no credentials, and limits time and
// size.
package publicfetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Resolver returns the addresses of a name; *net.Resolver implements it. The name ends with a dot,
// so that no search list applies.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a [Fetcher].
type Options struct {
	// Agent is the value of User-Agent.
	Agent string
	// Addresses are further networks to which the fetcher may connect.
	Addresses []netip.Prefix
	// DNS64 judges addresses in 64:ff9b::/96 by the IPv4 address inside.
	DNS64 bool
	// Resolver resolves names; nil means net.DefaultResolver.
	Resolver Resolver
	// Roots are the trusted certificate authorities; nil means those of the system.
	Roots *x509.CertPool
	// Timeout limits a fetch as a whole; 0 means 5 seconds. Resolution gets at most two fifths.
	Timeout time.Duration
}

// Fetcher fetches documents. It is safe for concurrent use.
type Fetcher struct{ opts Options }

// New returns a Fetcher.
func New(o Options) *Fetcher {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	return &Fetcher{o}
}

// Document is what a fetch returns.
type Document struct {
	Body []byte
	// MaxAge is how long the document may be cached, as its server says: 0 means not at all, and
	// [Unsaid] that it says nothing.
	MaxAge time.Duration
}

// Unsaid is the MaxAge of a document without Cache-Control and Expires.
const Unsaid time.Duration = -1

var (
	// ErrAddress is the error if a name has an address that is not public. No connection was made.
	ErrAddress = errors.New("publicfetch: address refused")
	// ErrResponse is the error for a response that is not a JSON document of the allowed size.
	ErrResponse = errors.New("publicfetch: response refused")
)

const (
	maxHeaders   = 16 << 10
	maxAddresses = 32
)

// Get fetches a JSON document of at most most bytes. admit is called with the addresses of the
// name, before a connection is made; its error is returned unchanged. nil admits all.
//
// Every error means that there is no document. [ErrURL] and [ErrAddress] mean that no connection
// was made. Error texts hold nothing of the response's body.
func (f *Fetcher) Get(ctx context.Context, uri string, most int, admit func([]netip.Addr) error) (Document, error) {
	if err := CheckURL(uri); err != nil {
		return Document{}, err
	}
	u, err := url.Parse(uri)
	if err != nil {
		return Document{}, fmt.Errorf("%w: malformed", ErrURL)
	}
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	addresses, err := f.resolve(ctx, u.Hostname())
	if err != nil {
		return Document{}, err
	}
	if admit != nil {
		if err := admit(addresses); err != nil {
			return Document{}, err
		}
	}
	transport := f.transport(addresses)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return Document{}, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Accept-Encoding", "identity") // and so nothing is unpacked
	r.Header.Set("User-Agent", f.opts.Agent)
	answer, err := transport.RoundTrip(r) // not a Client, which would follow redirects
	if err != nil {
		return Document{}, err
	}
	defer answer.Body.Close()
	if err := checkHeaders(answer, most); err != nil {
		return Document{}, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, int64(most)+1))
	switch {
	case err != nil:
		return Document{}, fmt.Errorf("%w: read body: %w", ErrResponse, err)
	case len(body) > most:
		return Document{}, errSize
	}
	return Document{body, maxAge(answer.Header)}, nil
}

var errSize = fmt.Errorf("%w: too large", ErrResponse)

// resolve returns the addresses of a name, all of which must be allowed. One that is not refuses
// the name, because the owner of the name chooses which one is used.
func (f *Fetcher) resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout*2/5)
	defer cancel()
	list, err := f.opts.Resolver.LookupNetIP(ctx, "ip", name+".")
	switch {
	case err != nil:
		return nil, fmt.Errorf("publicfetch: resolve: %w", err)
	case len(list) == 0 || len(list) > maxAddresses:
		return nil, fmt.Errorf("%w: %d addresses (1 to %d)", ErrAddress, len(list), maxAddresses)
	}
	for i, a := range list {
		if !f.allowed(a) {
			return nil, fmt.Errorf("%w: %v is not public", ErrAddress, a)
		}
		list[i] = a.Unmap()
	}
	return list, nil
}

// transport returns a transport for one request, which connects to these addresses only.
func (f *Fetcher) transport(addresses []netip.Addr) *http.Transport {
	dialer := net.Dialer{
		Timeout: f.opts.Timeout * 2 / 5, // so that an address that does not answer leaves time for the next one
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !f.allowed(to.Addr()) {
				return fmt.Errorf("%w: at the connection", ErrAddress)
			}
			return nil
		},
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			for _, a := range addresses {
				if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil || ctx.Err() != nil {
					break
				}
			}
			return conn, err
		},
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.opts.Roots},
		ForceAttemptHTTP2: true, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: maxHeaders,
		// Proxy is nil: a proxy would resolve the name again.
	}
}

// checkHeaders checks everything but the body.
func checkHeaders(r *http.Response, most int) error {
	switch types := r.Header.Values("Content-Type"); {
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: status %d", ErrResponse, r.StatusCode)
	case len(r.Header.Values("Content-Encoding")) > 0:
		return fmt.Errorf("%w: encoded content", ErrResponse)
	case len(types) != 1 || !isJSON(types[0]):
		return fmt.Errorf("%w: not application/json", ErrResponse)
	case r.ContentLength > int64(most):
		return errSize
	}
	return nil
}

func isJSON(text string) bool {
	kind, _, err := mime.ParseMediaType(text)
	sub, ok := strings.CutPrefix(kind, "application/")
	return err == nil && ok && (sub == "json" || strings.HasSuffix(sub, "+json"))
}

// maxAge returns how long a response may be cached (RFC 9111, sections 5.2.2 and 5.3).
func maxAge(h http.Header) time.Duration {
	age := Unsaid
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0
			}
			age = time.Duration(seconds) * time.Second
		}
	}
	if age != Unsaid || h.Get("Expires") == "" {
		return age
	}
	end, err := http.ParseTime(h.Get("Expires"))
	begin, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil {
		return 0
	}
	return max(end.Sub(begin), 0)
}
