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

// limit sets the limiter.
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

// Vouch makes the request's address, and the device that receives the cookies, known to an
// account without a password: strangers who try passwords do not lock them out. Call it only
// after another proof that the caller controls the account, such as a link that was mailed to it,
// a passkey or a second factor. A CAPTCHA is no such proof. ChangePassword calls it.
//
// It returns nil, and does nothing, if the limiter is no authn.Voucher or the account cannot be
// read: the caller then is what it was before.
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

// Recall counts a request, for something else than a login, of a caller that may have logged in
// before, and returns a function that reports whether it did so at an account (authn.Recaller).
// Package recovery uses it, so that strangers who request links do not keep the owner from
// requesting one. The error is an *authn.Error with status 429 if the caller is not known, has
// exceeded its limits, or if the limiter is not an authn.Recaller.
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

// unlimited is the limiter of InsecureNoLimiter.
type unlimited struct{ proxies authn.TrustedProxies }

func (u unlimited) Reserve(r *http.Request, _ string) (authn.LoginAttempt, error) {
	return uncounted(authn.NetworkOf(u.proxies.ClientAddr(r))), nil
}

// uncounted is an attempt that nobody counts.
type uncounted string

func (uncounted) Succeeded(context.Context) []*http.Cookie { return nil }
func (uncounted) Cancelled(context.Context)                {}
func (u uncounted) Source() string                         { return string(u) }

// askerOf returns the account and the network that the hash of an attempt counts for.
func askerOf(attempt authn.LoginAttempt, account string) asker {
	if a, ok := attempt.(authn.AccountAttempt); ok {
		return asker{a.Known(), account, a.Network()}
	}
	return asker{network: networkOf(attempt.Source())}
}

// newcomer returns what the hash of a new account counts for: the network of the client, which the
// middleware of package authn puts into the context.
func newcomer(ctx context.Context) asker {
	if addr := storage.ClientAddr(ctx); addr.IsValid() {
		return asker{network: netOf(addr)}
	}
	return asker{}
}

// networkOf is the network of an address or a prefix, as a source is named. A source of another
// form is a network of its own.
func networkOf(source string) string {
	if p, err := netip.ParsePrefix(source); err == nil {
		return netOf(p.Addr())
	}
	if addr, err := netip.ParseAddr(source); err == nil {
		return netOf(addr)
	}
	return source
}

// netOf is the IPv4 /24 or IPv6 /48, as an authn.AccountAttempt names it.
func netOf(addr netip.Addr) string { return network.Net.Name(addr) }

// wideOf is the IPv4 /16 or IPv6 /32 around a network: what one provider, or one large customer
// of it, has. "" if the network is no prefix.
func wideOf(net string) string {
	p, err := netip.ParsePrefix(net)
	if err != nil {
		return ""
	}
	return network.Vast.Name(p.Addr())
}

// tooMany marks a refusal of the limiter after the attempt was reserved: the attempt has ended,
// and is not to be cancelled.
type tooMany struct{ error }

var errTooMany = errors.New("refused by the limiter")

func (t tooMany) Is(target error) bool { return target == errTooMany }
func (t tooMany) Unwrap() error        { return t.error }
