package jose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/internal/elapsed"
)

// RemoteOptions change a Remote; nil is fine.
type RemoteOptions struct {
	// Algorithms are those that are accepted; nil is all but those of secrets. Name
	// the issuer's.
	Algorithms []Algorithm
	// Client fetches. Its Timeout, 5 seconds where 0, bounds a fetch; it follows no
	// redirect to another host and keeps no cookies.
	Client *http.Client
	// Insecure allows http, for an issuer on this machine (127.0.0.1, [::1],
	// localhost) alone.
	Insecure bool
	// InsecureHTTP allows http to any host, for development between containers: whoever is on
	// the way can give keys of their own, and with them every token.
	InsecureHTTP bool
	// MaxBytes bounds the answer: 256 KiB where 0.
	MaxBytes int64
	// MaxAge is how old the fetched keys get: 10 minutes where 0.
	MaxAge time.Duration
	// MinInterval lies between two fetches, also for tokens with unknown key IDs: 10
	// seconds where 0.
	MinInterval time.Duration
	// MaxStale is how long keys older than MaxAge serve while the server does not
	// answer: 1 hour where 0.
	MaxStale time.Duration
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// RemoteKeySet is the published keys of another issuer. It fetches them when they are
// first needed, when they are old, and, not more often than MinInterval, for a key
// ID that is not among them. Nothing in a token says where from. It is safe for
// concurrent use and has no goroutine of its own.
type RemoteKeySet struct {
	url    string
	opts   RemoteOptions
	client http.Client
	loader loader[[]*Key]
	count  generations
}

// NewRemoteKeySet returns the keys at address, the issuer's "jwks_uri".
func NewRemoteKeySet(address string, opts *RemoteOptions) (*RemoteKeySet, error) {
	var o RemoteOptions
	if opts != nil {
		o = *opts
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, errors.New("jose: the address of the keys is no URL of a host")
	case u.Scheme != "https" && !(u.Scheme == "http" && (o.InsecureHTTP || o.Insecure && isLoopback(u.Hostname()))):
		return nil, errors.New("jose: the address of the keys is not https (RemoteOptions.Insecure allows http to this machine, InsecureHTTP to any in development)")
	case o.MaxBytes < 0 || o.MaxAge < 0 || o.MinInterval < 0 || o.MaxStale < 0:
		return nil, errors.New("jose: a bound below 0")
	}
	for _, a := range o.Algorithms {
		if m, err := a.method(); err != nil || m.kind == kindSecret {
			return nil, fmt.Errorf("jose: %s is no algorithm of published keys", a)
		}
	}
	o.Algorithms = slices.Clone(o.Algorithms)
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<10)
	r := &RemoteKeySet{url: address, opts: o}
	if o.Client != nil {
		r.client = *o.Client
	}
	r.client.Timeout = cmp.Or(r.client.Timeout, loadTimeout)
	r.client.Jar = nil
	r.client.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if len(via) > 3 || to.URL.Host != u.Host || to.URL.Scheme != u.Scheme {
			return errors.New("a redirect to another host, or too many")
		}
		return nil
	}
	r.loader = loader[[]*Key]{
		load: r.fetch, same: func(a, b []*Key) bool { return slices.EqualFunc(a, b, (*Key).equal) }, maxAge: cmp.Or(o.MaxAge, 10*time.Minute),
		minInterval: cmp.Or(o.MinInterval, 10*time.Second), maxStale: cmp.Or(o.MaxStale, time.Hour), timeout: r.client.Timeout, time: elapsed.New(o.Clock),
	}
	return r, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (r *RemoteKeySet) fetch(ctx context.Context) ([]*Key, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("jose: the issuer's keys cannot be fetched: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("jose: the issuer's keys cannot be fetched: status %d", res.StatusCode)
	}
	if kind := res.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(kind), "text/html") {
		return nil, errors.New("jose: the issuer's keys cannot be fetched: a page, not keys")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, r.opts.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("jose: the issuer's keys cannot be fetched: %w", err)
	}
	if int64(len(body)) > r.opts.MaxBytes {
		return nil, fmt.Errorf("jose: the issuer's keys are longer than %d bytes", r.opts.MaxBytes)
	}
	list, err := ParseJWKS(body, r.opts.Algorithms...)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("jose: the issuer publishes no key that could be used")
	}
	return list, nil
}

// Keys implements KeySource. The error says that the keys could not be had, or that
// the kid is not among those that there are and newer ones cannot be fetched.
func (r *RemoteKeySet) Keys(ctx context.Context, kid string, alg Algorithm) ([]*Key, error) {
	list, err := find(func(missed bool) ([]*Key, error) {
		list, _, err := r.loader.get(ctx, missed)
		return list, err
	}, kid, alg)
	if err == nil && len(list) == 0 && kid != "" {
		err = r.loader.failing()
	}
	return list, err
}

// Generation changes when other keys were fetched: what was verified under another
// generation is verified again. Read it before the verification. It neither fetches nor waits.
// While there are no keys, or they are old and due to be fetched again, each call returns another
// value, so that the next verification fetches them.
func (r *RemoteKeySet) Generation() uint64 {
	if _, version, ok := r.loader.peek(); ok {
		return r.count.of(version)
	}
	return r.count.none()
}
