package password

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/internal/network"
	"github.com/vestibule-auth/vestibule/storage"
)

// limit sets the limiter according to the options.
func (o *Options) limit() error {
	switch {
	case strings.IndexByte(o.Space, 0) >= 0:
		return fmt.Errorf("password: New: Space %q must not contain NUL", o.Space)
	case o.InsecureNoLimiter && o.Limiter != nil:
		return errors.New("password: New: Limiter and InsecureNoLimiter exclude each other")
	case o.InsecureNoLimiter:
		o.Limiter = unlimited{o.Proxies}
	case o.Limiter == nil:
		l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Proxies: o.Proxies, Logger: o.Logger, Clock: o.Clock})
		if err != nil {
			return err
		}
		o.Limiter = l
	}
	return nil
}

// Vouch makes the request's address known for an account, as a login does, and returns device
// cookies to set. Known callers are not locked out by strangers who guess passwords.
//
// Call it only after another proof that the caller controls the account, such as a link that was
// mailed to it, a passkey or a second factor. A CAPTCHA is not such a proof.
// [Checker.ChangePassword] calls it.
//
// It returns nil and changes nothing if the limiter is not an authn.Voucher or the account cannot
// be read.
func (c *Checker) Vouch(r *http.Request, subject string) []*http.Cookie {
	v, ok := c.opts.Limiter.(authn.Voucher)
	if !ok {
		return nil
	}
	u, err := c.store.UserByID(r.Context(), subject)
	if err != nil {
		return nil
	}
	return v.Vouch(r, c.opts.Space+"\x00"+u.Name, u.ID, u.Epoch)
}

// Recall counts a request for something other than a login, from a caller that may have logged in
// before. It returns a function that reports whether the caller has logged in to an account before
// (see authn.Recaller). Package recovery uses it, so that strangers who request links do not
// prevent the owner from requesting one.
//
// It returns an *authn.Error with status 429 if the caller is not known or has exceeded its limits,
// or if the limiter is not an authn.Recaller.
func (c *Checker) Recall(r *http.Request) (known func(ctx context.Context, u storage.User) bool, err error) {
	l, ok := c.opts.Limiter.(authn.Recaller)
	if !ok {
		return nil, authn.Throttled(time.Minute)
	}
	at, err := l.Recall(r)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, u storage.User) bool {
		return at(ctx, c.opts.Space+"\x00"+u.Name, u.ID, u.Epoch)
	}, nil
}

// unlimited is the limiter for InsecureNoLimiter.
type unlimited struct{ proxies authn.TrustedProxies }

func (u unlimited) Reserve(r *http.Request, _ string) (authn.LoginAttempt, error) {
	return uncounted(authn.NetworkOf(u.proxies.ClientAddr(r))), nil
}

// uncounted is an attempt that is not counted.
type uncounted string

func (uncounted) Succeeded(context.Context) []*http.Cookie { return nil }
func (uncounted) Cancelled(context.Context)                {}
func (u uncounted) Source() string                         { return string(u) }

// callerOf returns the account and network under which the hash of an attempt is queued.
func callerOf(attempt authn.LoginAttempt, account string) caller {
	if a, ok := attempt.(authn.AccountAttempt); ok {
		return caller{a.Known(), account, a.Network()}
	}
	return caller{network: networkOf(attempt.Source())}
}

// registrant returns the network under which the hash of a new account is queued: that of the
// client, which the middleware of package authn stores in the context.
func registrant(ctx context.Context) caller {
	if addr := storage.ClientAddr(ctx); addr.IsValid() {
		return caller{network: netOf(addr)}
	}
	return caller{}
}

// networkOf returns the network of a source that is an address or a prefix. Any other source is a
// network of its own.
func networkOf(source string) string {
	if p, err := netip.ParsePrefix(source); err == nil {
		return netOf(p.Addr())
	}
	if addr, err := netip.ParseAddr(source); err == nil {
		return netOf(addr)
	}
	return source
}

// netOf returns the name of the IPv4 /24 or IPv6 /48, as authn.AccountAttempt does.
func netOf(addr netip.Addr) string { return network.Net.Name(addr) }

// wideOf returns the IPv4 /16 or IPv6 /32 around a network, which one provider or a large customer
// can have. It returns "" if the network is not a prefix.
func wideOf(net string) string {
	p, err := netip.ParsePrefix(net)
	if err != nil {
		return ""
	}
	return network.Vast.Name(p.Addr())
}

// tooMany marks an error of the limiter after the attempt was reserved. The attempt has ended and
// must not be canceled.
type tooMany struct{ error }

var errTooMany = errors.New("refused by the limiter")

func (t tooMany) Is(target error) bool { return target == errTooMany }
func (t tooMany) Unwrap() error        { return t.error }
