// Package remoteuser is authentication by a proxy in front, after Django's
// RemoteUserAuthentication: the proxy knows who asks (single sign-on, Kerberos, client
// certificates) and says so in a header. Use it where a proxy is the only way to the
// server; for everything else there are the other schemes.
//
// Whoever can send the header is whoever it says. So it is believed from named
// networks alone, by the address of the connection itself, and the proxy must remove
// the header from what its own clients send.
//
// The proxy vouches for each request of a browser, whoever made the page that asks. So
// each request that is not safe is checked for where it comes from (package authn/csrf).
package remoteuser

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options change a Scheme; nil is fine.
type Options struct {
	// Canonical brings a name to the form in which accounts have it, and refuses what can
	// be none: that of password.Options. nil takes names as they come: 1 to 150 bytes of
	// UTF-8 without control characters, commas, and blanks at the ends.
	Canonical func(name string) (string, error)
	// Create makes the account of a name that the proxy knows and the store does not;
	// the scheme inserts it. NewUser is the plain one. nil refuses unknown names. Its
	// *authn.Error refuses the request; any other error is a fault. Its ID is the bare one:
	// the scheme adds the name space of the store.
	//
	// An account that has the name already is used as it is, with its password. If people can register
	// names by themselves, give the proxy's users a store with a name space of its own: else somebody
	// registers another one's name first, and shares the account.
	Create func(ctx context.Context, name string) (storage.User, error)
	// User makes the application's own account of the record. nil leaves *storage.Account.
	// Its *authn.Error refuses the request; any other error is a fault.
	User func(context.Context, storage.Account) (authn.User, error)
	// Audit receives account.created and header.ignored (the header came from a peer that is
	// not one of the proxies).
	Audit *audit.Notifier
}

// Scheme authenticates by a header of a proxy. It is safe for concurrent use.
type Scheme struct {
	header  string
	proxies authn.TrustedProxies
	users   storage.Users
	perms   storage.Permissions // nil: the store keeps none
	site    *csrf.Site
	opts    Options
	headers []string
	noStore []string
}

// New returns a scheme that believes header, such as "X-Remote-User", from the proxies.
// It returns an error without a proxy, and for a network wider than an IPv4 /8 or an
// IPv6 /7, which would trust everyone. For a proxy that connects to a Unix socket,
// authn.UnixSocket is among the proxies.
func New(header string, proxies authn.TrustedProxies, users storage.Users, site *csrf.Site, opts *Options) (*Scheme, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if users == nil || site == nil {
		return nil, errors.New("remoteuser: users and a site are needed")
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	nets := proxies.Networks()
	if proxies.IsZero() {
		return nil, errors.New("remoteuser: name the proxies that are believed")
	}
	for _, n := range nets {
		if least := 8; n.Bits() < least && !(n.Addr().Is6() && n.Bits() >= 7) {
			return nil, fmt.Errorf("remoteuser: the network %s is too wide to be that of a proxy", n)
		}
	}
	if o.Canonical == nil {
		o.Canonical = plain
	}
	s := &Scheme{header: header, proxies: proxies, users: users, site: site, opts: o, headers: []string{header}, noStore: []string{"no-store"}}
	s.perms, _ = users.(storage.Permissions)
	return s, nil
}

// taken are headers that say something else.
var taken = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Host", "Connection", "Forwarded", "Origin", "Referer", "User-Agent", "Via", "Date",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-Ip",
}

func checkHeader(name string) error {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	ok := name != "" && canonical == name && !slices.Contains(taken, name)
	for _, c := range []byte(name) {
		// Servers in front map "_" and "-" to one, so that a client could send another
		// spelling past the proxy's removal.
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
	}
	for _, prefix := range []string{"Sec-", "Content-", "Accept", "If-", "Access-Control-"} {
		ok = ok && !strings.HasPrefix(name, prefix)
	}
	if !ok {
		return fmt.Errorf("remoteuser: header %q: want one of its own in canonical form, such as X-Remote-User", name)
	}
	return nil
}

// plain is the default of Options.Canonical.
func plain(name string) (string, error) {
	if len(name) > 150 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == ',' }) {
		return "", errors.New("a name that no account has")
	}
	return name, nil
}

// NewUser is a plain Options.Create: an active account of that name without roles and
// without a password that could be used.
func NewUser(_ context.Context, name string) (storage.User, error) {
	return storage.User{ID: strings.ToLower(rand.Text()), Name: name, Active: true}, nil
}

// Name returns "remoteuser".
func (s *Scheme) Name() string { return "remoteuser" }

// Headers returns the header.
func (s *Scheme) Headers() []string { return s.headers }

// Ambient returns true: an Authorization goes before it.
func (s *Scheme) Ambient() bool { return true }
