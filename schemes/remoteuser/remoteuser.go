// Package remoteuser accepts the user name that a reverse proxy sends in a header, like Django's
// RemoteUserAuthentication. The proxy authenticates users by single sign-on, Kerberos or client
// certificates.
//
// Use it only if every request passes through the proxy. Anyone who can send the header can be any
// user. The scheme therefore accepts the header only if the address of the connection belongs to
// one of the proxies that you pass to [New]. The proxy MUST remove the header from the requests of
// its clients.
//
// The proxy authenticates every request of a browser, including requests that another site causes.
// The scheme therefore checks the origin of each unsafe request (see package authn/csrf).
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

// Options configure a [Scheme]. A nil *Options means all defaults.
type Options struct {
	// Canonical returns the normal form of an account name, or an error if the name is invalid. Use
	// the same function as in password.Options. Nil accepts names unchanged: 1 to 150 bytes of
	// UTF-8 that contain no comma or control character and have no white space at either end.
	Canonical func(name string) (string, error)
	// Create returns a new account for a name that the store does not have; the scheme stores it.
	// See NewUser. Nil rejects unknown names. If Create returns an *authn.Error, the request is
	// rejected; any other error is a failure (503 or 500). The account's ID is without the store's
	// name space, which the scheme adds.
	//
	// If an account with the name exists, the scheme uses it, and its password stays valid. If
	// people can also register, someone could register another person's name and then share that
	// account. Prevent this with a store that has a name space of its own for the proxy's users.
	Create func(ctx context.Context, name string) (storage.User, error)
	// User returns the application's account for a stored account; nil means *storage.Account. If
	// it returns an *authn.Error, the request is rejected; any other error is a failure.
	User func(context.Context, storage.Account) (authn.User, error)
	// Audit receives account.created and header.ignored (the header did not come from one of the
	// proxies).
	Audit *audit.Notifier
}

// Scheme authenticates by a header of a reverse proxy. It is safe for concurrent use.
type Scheme struct {
	header  string
	proxies authn.TrustedProxies
	users   storage.Users
	store   any                 // see storage.AccountStoreOf
	perms   storage.Permissions // nil if the store has none
	site    *csrf.Site
	opts    Options
	headers []string
	noStore []string
}

// New returns a scheme that reads header, such as "X-Remote-User", from requests of the proxies. If
// a proxy connects to a Unix socket, add authn.UnixSocket to the proxies.
//
// It returns an error if users or site is nil, or if proxies is empty. It also returns an error if
// header is not in canonical form, or is a header that HTTP uses for something else.
func New(header string, proxies authn.TrustedProxies, users storage.Users, site *csrf.Site, opts *Options) (*Scheme, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if users == nil || site == nil {
		return nil, errors.New("remoteuser: New: users and site are required")
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	if proxies.IsZero() {
		return nil, errors.New("remoteuser: New: proxies is empty (use authn.NewTrustedProxies)")
	}
	if o.Create != nil { // otherwise the scheme changes nothing
		if err := o.Audit.CheckStore(users); err != nil {
			return nil, err
		}
	}
	if o.Canonical == nil {
		o.Canonical = plain
	}
	s := &Scheme{header: header, proxies: proxies, users: users, store: storage.AccountStoreOf(users), site: site, opts: o, headers: []string{header}, noStore: []string{"no-store"}}
	s.perms, _ = users.(storage.Permissions)
	return s, nil
}

// reserved holds headers that have another meaning.
var reserved = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Host", "Connection", "Forwarded", "Origin", "Referer", "User-Agent", "Via", "Date",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-Ip",
}

func checkHeader(name string) error {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	ok := name != "" && canonical == name && !slices.Contains(reserved, name)
	for _, c := range []byte(name) {
		// Some servers treat "_" and "-" as the same, so a client could send a spelling that the
		// proxy does not remove.
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
	}
	for _, prefix := range []string{"Sec-", "Content-", "Accept", "If-", "Access-Control-"} {
		ok = ok && !strings.HasPrefix(name, prefix)
	}
	if !ok {
		return fmt.Errorf("remoteuser: New: header %q is reserved or not in canonical form (such as X-Remote-User)", name)
	}
	return nil
}

// plain is the default of Options.Canonical.
func plain(name string) (string, error) {
	if len(name) > 150 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == ',' }) {
		return "", errors.New("not a valid account name")
	}
	return name, nil
}

// NewUser is a simple Options.Create: it returns an active account with that name, a random ID, no
// roles and no usable password.
func NewUser(_ context.Context, name string) (storage.User, error) {
	return storage.User{ID: strings.ToLower(rand.Text()), Name: name, Active: true}, nil
}

// Name returns "remoteuser".
func (s *Scheme) Name() string { return "remoteuser" }

// Headers returns the name of the header.
func (s *Scheme) Headers() []string { return s.headers }

// Ambient returns true, so a chain tries schemes that read Authorization first.
func (s *Scheme) Ambient() bool { return true }
