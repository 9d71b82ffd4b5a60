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

// RemoteOptions configure a [RemoteKeySet]. A nil *RemoteOptions means all defaults.
type RemoteOptions struct {
	// Algorithms are the accepted algorithms. Name the algorithms that the issuer uses. Nil accepts
	// all except HMAC.
	Algorithms []Algorithm
	// Client fetches the keys; nil means a default client. Its Timeout limits a fetch; 0 means 5
	// seconds. NewRemoteKeySet copies the client, removes its cookie jar and lets it follow
	// redirects only within the same host.
	Client *http.Client
	// Insecure allows http for an issuer on this machine only (127.0.0.1, [::1], localhost).
	Insecure bool
	// InsecureHTTP allows http to any host, for development between containers. Anyone on the
	// network path can then substitute keys and forge every token.
	InsecureHTTP bool
	// MaxBytes is the maximum size of the response; 0 means 256 KiB.
	MaxBytes int64
	// MaxAge is the age at which the keys are fetched again; 0 means 10 minutes.
	MaxAge time.Duration
	// MinInterval is the minimum time between two fetches, also for tokens with unknown key IDs; 0
	// means 10 seconds.
	MinInterval time.Duration
	// MaxStale is how long keys older than MaxAge stay usable while the server does not respond; 0
	// means 1 hour.
	MaxStale time.Duration
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// RemoteKeySet holds the published keys of another issuer. It fetches the keys on first use and
// when they are older than MaxAge. It also fetches them for an unknown key ID, at most once per
// MinInterval. A token never determines the address. It is safe for concurrent use and starts no
// goroutine.
type RemoteKeySet struct {
	url    string
	opts   RemoteOptions
	client http.Client
	loader loader[[]*Key]
	count  generations
}

// NewRemoteKeySet returns the key set at address, the issuer's "jwks_uri". It fetches nothing yet.
// It returns an error if address is not an https URL of a host, an option is negative, or an
// algorithm is unknown or an HMAC algorithm.
func NewRemoteKeySet(address string, opts *RemoteOptions) (*RemoteKeySet, error) {
	var o RemoteOptions
	if opts != nil {
		o = *opts
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, errors.New("jose: NewRemoteKeySet: the address must be a URL with a host, without user and fragment")
	case u.Scheme != "https" && !(u.Scheme == "http" && (o.InsecureHTTP || o.Insecure && isLoopback(u.Hostname()))):
		return nil, errors.New("jose: NewRemoteKeySet: the address is not https (Insecure allows http to this machine, InsecureHTTP to any host)")
	case o.MaxBytes < 0 || o.MaxAge < 0 || o.MinInterval < 0 || o.MaxStale < 0:
		return nil, errors.New("jose: NewRemoteKeySet: MaxBytes, MaxAge, MinInterval or MaxStale is negative (at least 0)")
	}
	for _, a := range o.Algorithms {
		if m, err := a.method(); err != nil || m.kind == kindSecret {
			return nil, fmt.Errorf("jose: NewRemoteKeySet: algorithm %q is not for published keys (RS, PS, ES or EdDSA)", a)
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
			return errors.New("redirect to another host, or too many redirects")
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
		return nil, fmt.Errorf("jose: fetch keys: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("jose: fetch keys: status %d (must be 200)", res.StatusCode)
	}
	if kind := res.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(kind), "text/html") {
		return nil, errors.New("jose: fetch keys: the response is an HTML page")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, r.opts.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("jose: fetch keys: %w", err)
	}
	if int64(len(body)) > r.opts.MaxBytes {
		return nil, fmt.Errorf("jose: fetch keys: the response is longer than %d bytes", r.opts.MaxBytes)
	}
	list, err := ParseJWKS(body, r.opts.Algorithms...)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("jose: fetch keys: the set holds no usable key")
	}
	return list, nil
}

// Keys implements [KeySource]. It returns an error if there are no usable keys. It also returns an
// error if the key with that ID is unknown and the last fetch failed.
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

// Generation returns a number that changes when different keys were fetched. Use the number to
// cache verified tokens: read it before the verification, and verify again after it has changed. It
// neither fetches nor waits. While there are no keys, or they are due to be fetched again, each
// call returns a new number, so that the next verification fetches them.
func (r *RemoteKeySet) Generation() uint64 {
	if _, version, ok := r.loader.peek(); ok {
		return r.count.numberFor(version)
	}
	return r.count.none()
}
