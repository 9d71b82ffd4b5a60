// Package recovery implements password reset by e-mail: it sends a link with which the owner of an
// account sets a new password once. It works with every scheme, because a new password revokes all
// credentials of the account.
//
// Create a [Recovery] with [New] and run [Recovery.Run] on a goroutine. Mount the pages
// [Recovery.RequestForm] and [Recovery.ResetForm] for people, or the endpoints [Recovery.Request]
// and [Recovery.Reset] for your own front end, or all of them.
//
// A caller cannot find out whether an address has an account. Request counts the attempt, puts it
// into a queue and responds in the same way for every address. Run looks up the account, creates
// the token and sends the message.
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

// Prefix is the prefix of the tokens.
const Prefix = "vpr"

// purposes are the purposes of the tokens in the store. The store keeps one token per account and
// purpose, so an account has up to three links.
var purposes = [...]string{"password reset", "password reset 2", "password reset 3"}

// fresh is how long a later link does not replace a link, but at most a quarter of TTL.
const fresh = 10 * time.Minute

// Store holds the tokens and the accounts.
type Store interface {
	storage.OneTimeTokens
	storage.Users
	storage.Accounts
	storage.Transactor
}

// Find returns the account of an address, or [storage.ErrNotFound]. It can look up the e-mail
// address, which only the application knows to be unique and verified, or the account name. Run
// logs any other error and sends no message.
type Find func(ctx context.Context, address string) (storage.User, error)

// Message is a message to the owner of an account. Printing it does not show the token.
type Message struct {
	User storage.User
	// Link is the URL of the page with the token after "#". Browsers do not send this part to a
	// server, so it is in no request, Referer or log. A script of the page reads the token. Without
	// scripts users paste the link, so the message should show the link as text.
	Link string
	// Token is the token in Link.
	Token   string
	Expires time.Time
}

// String returns "Message(account ID)".
func (m Message) String() string { return "Message(" + m.User.ID + ")" }

// GoString returns the same as String.
func (m Message) GoString() string { return m.String() }

// LogValue returns the same as String.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON returns the JSON string "[redacted]".
func (m Message) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Deliver sends a message. Each Run calls it for one message at a time, with a context that ends
// after Options.Timeout. An error is logged and the message is not sent again; the user must
// request a new link. The text of the error MUST NOT hold the link, because it is logged.
type Deliver func(ctx context.Context, m Message) error

// Options configure a [Recovery]. A nil *Options means all defaults.
type Options struct {
	// TTL is the lifetime of a link, from 1 minute to 24 hours; 0 means 1 hour.
	TTL time.Duration
	// Limiter limits requests per requested address and per client address. Nil means a limiter in
	// the memory of this process with the default limits of package throttle. A request beyond the
	// limits is still accepted if the caller is known to the limiter of the password checker. A
	// known caller uses an address from which the account logged in before, or has a device cookie.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter turns limits off. Anyone can then fill a mailbox with messages. Set it only
	// in tests, or if something in front of the server limits requests.
	InsecureNoLimiter bool
	// Proxies are trusted to report the client's address. They are used only by the default
	// limiter.
	Proxies authn.TrustedProxies
	// InsecureHTTP accepts a page over http on any host, for development between containers. The
	// link, which is equivalent to a password, is then sent unencrypted.
	InsecureHTTP bool
	// Queue is the maximum number of waiting requests; 0 means 256. When it is full, the response
	// is 503. Requests of known callers have a second queue of the same size.
	Queue int
	// Timeout limits the work for one request, including delivery; 0 means 30 seconds.
	Timeout time.Duration
	// Audit receives recovery.sent, recovery.failed and password.changed. A request for an unknown
	// address causes no event.
	Audit *audit.Notifier
	// Logger receives messages that could not be sent, at Error; nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time; nil means time.Now.
	Clock func() time.Time
}

// Recovery resets passwords. It is safe for concurrent use. It starts no goroutine.
type Recovery struct {
	store     Store
	passwords *password.Checker
	page      string
	find      Find
	deliver   Deliver
	opts      Options
	queue     chan pending
	known     chan pending // requests of callers that may be known
}

// New returns a Recovery. page is the absolute URL of the page in the links. It must be https or,
// for development on one machine, have a loopback address. The host of a link always comes from
// page and never from a request. Messages wait until [Recovery.Run] runs.
//
// New returns an error if an argument is nil, page is not such a URL, or an option is out of range.
func New(store Store, passwords *password.Checker, page string, find Find, deliver Deliver, opts *Options) (*Recovery, error) {
	if store == nil || passwords == nil || find == nil || deliver == nil {
		return nil, errors.New("recovery: New: store, passwords, find and deliver are required")
	}
	if err := checkPage(page, opts != nil && opts.InsecureHTTP); err != nil {
		return nil, err
	}
	r := &Recovery{store: store, passwords: passwords, page: page, find: find, deliver: deliver}
	if opts != nil {
		r.opts = *opts
	}
	o := &r.opts
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("recovery: New: %w", err)
	}
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
		return nil, errors.New("recovery: New: TTL, Queue or Timeout out of range (TTL 1 minute to 24 hours, Queue at least 1, Timeout not negative)")
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
	r.queue, r.known = make(chan pending, o.Queue), make(chan pending, o.Queue)
	return r, nil
}

func checkPage(page string, insecure bool) error {
	u, err := url.Parse(page)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || strings.Contains(page, "#"):
		return fmt.Errorf("recovery: New: invalid page %q (an absolute URL without user and fragment)", page)
	case u.Scheme == "https", u.Scheme == "http" && insecure:
		return nil
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "http" || u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
		return fmt.Errorf("recovery: New: page %q is not https (Options.InsecureHTTP accepts http in development)", page)
	}
	return nil
}

// Pattern returns a regular expression that matches the tokens, for secret scanners (RE2 syntax).
func (r *Recovery) Pattern() string { return format.Pattern() }

// format is the format of the tokens in links.
var format = credential.MustFormat(Prefix)

// Checker returns a password checker that deletes the account's outstanding links at each
// successful login. A user who logs in needs no link, and old messages in a mailbox become useless.
// Pass it to the login endpoints of schemes. If the links cannot be deleted, the login fails with
// the error of the store.
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
