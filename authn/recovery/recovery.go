// Package recovery is for who forgot the password: a message with a link that sets a new
// one, once. It works beside every scheme, since a new password ends what the account had
// of all of them.
//
// Whether there is an account of an address shows nowhere: a request is counted and put
// into a queue, whoever it is for, and answered. Looking up, making the token and sending
// the message happen behind it, in Run.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

// Prefix is that of the tokens.
const Prefix = "vpr"

// purposes are those of the tokens in the store, which has one of a purpose for an account: an
// account has as many links.
var purposes = [...]string{"password reset", "password reset 2", "password reset 3"}

// fresh is how long a link is not replaced by a later one, at most a quarter of TTL.
const fresh = 10 * time.Minute

// Store is what the tokens are kept in.
type Store interface {
	storage.OneTimeTokens
	storage.Users
	storage.Accounts
	storage.Transactor
}

// Find returns the account that an address belongs to, or storage.ErrNotFound: by its
// e-mail address, which only the application knows to be unique and verified, or by its
// name. Any other error is logged, and no message is sent.
type Find func(ctx context.Context, address string) (storage.User, error)

// Message is what goes to the owner of an account. Printing it says nothing of the token.
type Message struct {
	User storage.User
	// Link is the page of New with the token behind "#", which browsers send to no server:
	// not in a request, not in Referer, not into a log. The page's script reads it there
	// and posts it to Reset.
	Link string
	// Token is the token by itself.
	Token   string
	Expires time.Time
}

// String names the account alone.
func (m Message) String() string { return "Message(" + m.User.ID + ")" }

// GoString is String.
func (m Message) GoString() string { return m.String() }

// LogValue is String.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON is String.
func (m Message) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Deliver sends a message. It is called by Run, one at a time for each Run, with a context
// that ends after Options.Timeout. An error is logged and the message is gone: the user
// asks again. The error's text must not hold the link.
type Deliver func(ctx context.Context, m Message) error

// Options change a Recovery; nil is fine.
type Options struct {
	// TTL is how long a link is good; 0 is an hour, at most a day.
	TTL time.Duration
	// Limiter counts requests, for each address that was requested and for each client
	// address. nil is one of its own in the memory of this process, with the default limits
	// of package throttle. What it refuses is sent all the same if the caller is known at the
	// account to the limiter of the password checker: by an address where the account logged in
	// before, or by a device cookie.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter does not limit requests: anyone can then fill a mailbox. Use it in
	// tests, or if something in front of the server limits them.
	InsecureNoLimiter bool
	// Proxies are trusted to report the client's address, for the limiter of a nil Limiter.
	Proxies authn.TrustedProxies
	// InsecureHTTP accepts a page with http on any host, for development between containers. The
	// link, which is as good as a password, then travels in the clear.
	InsecureHTTP bool
	// Queue is how many requests wait at most; 0 is 256. Beyond, the answer is 503. As many of
	// known callers wait beside them.
	Queue int
	// Timeout bounds the work for one request, delivery included; 0 is 30 seconds.
	Timeout time.Duration
	// Audit receives recovery.sent, recovery.failed and password.changed. Requests for unknown
	// addresses are no events.
	Audit *audit.Notifier
	// Logger is told what could not be sent; nil is slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
}

// Recovery resets passwords. It is safe for concurrent use.
type Recovery struct {
	store     Store
	passwords *password.Checker
	page      string
	find      Find
	deliver   Deliver
	opts      Options
	queue     chan ask
	known     chan ask // of callers that may be known
}

// New returns a Recovery. page is the absolute URL of the page behind the links, on https
// or, for work on one machine, on a loopback address: the links' host is that one, and
// never what a request says (attack 205). Messages wait until Run runs.
func New(store Store, passwords *password.Checker, page string, find Find, deliver Deliver, opts *Options) (*Recovery, error) {
	if store == nil || passwords == nil || find == nil || deliver == nil {
		return nil, errors.New("recovery: a store, a password checker, a look-up and a delivery are needed")
	}
	if err := checkPage(page, opts != nil && opts.InsecureHTTP); err != nil {
		return nil, err
	}
	r := &Recovery{store: store, passwords: passwords, page: page, find: find, deliver: deliver}
	if opts != nil {
		r.opts = *opts
	}
	o := &r.opts
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	if o.Queue == 0 {
		o.Queue = 256
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.TTL < time.Minute || o.TTL > 24*time.Hour || o.Queue < 1 || o.Timeout < 0 {
		return nil, errors.New("recovery: want a TTL from a minute to a day, a queue, and a timeout above 0")
	}
	if o.InsecureNoLimiter && o.Limiter != nil {
		return nil, errors.New("recovery: New: Limiter and InsecureNoLimiter exclude each other")
	}
	if o.Limiter == nil && !o.InsecureNoLimiter {
		l, err := throttle.NewLogin(throttle.NewMemory(nil), &throttle.LoginOptions{Proxies: o.Proxies, Logger: o.Logger, Clock: o.Clock})
		if err != nil {
			return nil, err
		}
		o.Limiter = l
	}
	r.queue, r.known = make(chan ask, o.Queue), make(chan ask, o.Queue)
	return r, nil
}

func checkPage(page string, insecure bool) error {
	u, err := url.Parse(page)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || strings.Contains(page, "#"):
		return fmt.Errorf("recovery: page %q: want an absolute URL without a fragment", page)
	case u.Scheme == "https", u.Scheme == "http" && insecure:
		return nil
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "http" || u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
		return fmt.Errorf("recovery: page %q: want https (Options.InsecureHTTP accepts http in development)", page)
	}
	return nil
}

// Pattern is a regular expression for secret scanners (RE2 syntax).
func (r *Recovery) Pattern() string { return format.Pattern() }

// format is that of the tokens in links.
var format = credential.MustFormat(Prefix)

// Checker returns pw such that a login ends the account's outstanding tokens: who knows the
// password needs no link, and an old message in a mailbox is worth nothing. Give it to the
// schemes' login endpoints. Where the tokens cannot be ended the login fails with a fault.
func (r *Recovery) Checker(pw authn.PasswordChecker) authn.PasswordChecker { return ending{pw, r} }

type ending struct {
	authn.PasswordChecker
	r *Recovery
}

func (e ending) CheckPassword(r *http.Request, name, text string) (authn.Login, error) {
	login, err := e.PasswordChecker.CheckPassword(r, name, text)
	if err != nil || authn.Explained(r.Context()) {
		return login, err
	}
	if authn.Explained(r.Context()) { // nothing changes then
		return login, nil
	}
	for _, purpose := range purposes {
		if err := e.r.store.DeleteOneTimeTokens(r.Context(), login.Subject, purpose); err != nil {
			return authn.Login{}, err
		}
	}
	return login, nil
}

func (r *Recovery) notify(ctx context.Context, kind audit.Kind, subject string) {
	r.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Scheme: "recovery", Subject: subject})
}
