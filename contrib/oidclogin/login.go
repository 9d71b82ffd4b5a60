package oidclogin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// Config is what a [Login] requires. Every field must be set.
type Config struct {
	// Origin is the public origin of the application, such as "https://app.example". Site checks
	// that requests come from pages of this origin.
	Origin string
	Site   *csrf.Site
	// Sessions starts the sessions. To link providers, its cookie must have SameSite Lax, which is
	// the default.
	Sessions *session.Scheme
	// Accounts finds the accounts of users.
	Accounts *link.Directory
	// Replays records the completed logins, so that a response of a provider is used only once.
	Replays storage.Replays
	// Keys encrypt the cookies of logins that are not completed yet.
	Keys *keys.Ring
	// Providers are the providers, each with its own Name and Issuer.
	Providers []Provider
}

// Options configure a [Login]. nil means the defaults.
type Options struct {
	// Path is the beginning of all paths. "" means "/login/with".
	Path string
	// Next is the local path to which the browser is redirected if the form has no "next". "" means
	// "/".
	Next string
	// Fresh is the maximum age of a login that may link or unlink providers. 0 means 5 minutes.
	Fresh time.Duration
	// Rate limits the requests of one client address (IPv4, or IPv6 /64), because a callback makes
	// this application call the provider. Logout messages do not count. The zero Rate means 30 per minute; throttle.Off means no
	// limit.
	Rate throttle.Rate
	// LimitStore counts the requests; nil means the memory of the process.
	LimitStore throttle.Store
	// Limits are further options for Rate. Behind a reverse proxy, set its Proxies: without them, all
	// visitors have the address of the proxy and share one limit.
	Limits *throttle.Options
	// Client calls the providers; nil means a default client. Its Timeout limits a call; 0 means 10
	// seconds. New copies it: redirects are not followed and cookies are not kept.
	Client *http.Client
	// Audit receives login.succeeded and login.failed. nil drops the events.
	Audit *audit.Notifier
	// Logger receives the reasons of failed logins; nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}

// Login has the endpoints of all providers. It is safe for concurrent use.
type Login struct {
	site      *csrf.Site
	origin    string
	sessions  *session.Scheme
	accounts  *link.Directory
	replays   storage.Replays
	ring      *keys.Ring
	providers []*provider
	limit     func(http.Handler) http.Handler
	calls     chan struct{} // limits the calls of providers
	opts      Options
}

// maxCalls is the number of callbacks that call providers at the same time.
const maxCalls = 64

// New returns a Login. It does not call the providers: their configuration is read at the first
// login. opts can be nil. New returns an error if a field of config is missing or invalid, if two
// providers have the same Name or Issuer, or if an option is invalid.
func New(config Config, opts *Options) (*Login, error) {
	l := &Login{
		site: config.Site, origin: config.Origin, sessions: config.Sessions, accounts: config.Accounts, replays: config.Replays, ring: config.Keys,
		calls: make(chan struct{}, maxCalls),
	}
	if opts != nil {
		l.opts = *opts
	}
	if l.site == nil || l.sessions == nil || l.accounts == nil || l.replays == nil || l.ring == nil || len(config.Providers) == 0 {
		return nil, errors.New("oidclogin: New: every field of Config is required")
	}
	if err := l.opts.defaults(); err != nil {
		return nil, fmt.Errorf("oidclogin: New: %w", err)
	}
	u, err := url.Parse(l.origin)
	if err != nil || u.Scheme+"://"+u.Host != l.origin || !l.site.IsHost(u.Host) {
		return nil, fmt.Errorf("oidclogin: New: Origin %q is not the origin of Site", l.origin)
	}
	names, issuers := map[string]bool{}, map[string]bool{}
	for _, given := range config.Providers {
		if err := given.check(); err != nil {
			return nil, fmt.Errorf("oidclogin: New: provider %w", err)
		}
		if names[given.Name] || issuers[given.Issuer] {
			return nil, fmt.Errorf("oidclogin: New: two providers have the Name %q or the Issuer %q", given.Name, given.Issuer)
		}
		names[given.Name], issuers[given.Issuer] = true, true
		p := &provider{Provider: given, redirect: l.origin + l.opts.Path + "/" + given.Name + "/callback", client: clientOf(l.opts.Client), clock: l.opts.Clock, turn: make(chan struct{}, 1)}
		p.turn <- struct{}{}
		if p.receiver, err = l.backchannel(p); err != nil {
			return nil, fmt.Errorf("oidclogin: New: %w", err)
		}
		l.providers = append(l.providers, p)
	}
	if l.limit, err = throttle.Anon(l.opts.LimitStore, l.opts.Rate, l.opts.Limits); err != nil {
		return nil, fmt.Errorf("oidclogin: New: %w", err)
	}
	return l, nil
}

func (o *Options) defaults() (err error) {
	if o.Path == "" {
		o.Path = "/login/with"
	}
	if o.Next == "" {
		o.Next = "/"
	}
	if o.Fresh == 0 {
		o.Fresh = 5 * time.Minute
	}
	if o.Rate == (throttle.Rate{}) {
		if o.Rate, err = throttle.ParseRate("30/m"); err != nil {
			return err
		}
	}
	if o.LimitStore == nil {
		o.LimitStore = throttle.NewMemory(nil)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	switch {
	case !strings.HasPrefix(o.Path, "/") || strings.HasSuffix(o.Path, "/") || session.SafeNext(o.Path, "") == "":
		return fmt.Errorf("Path %q is invalid (a local path that does not end with a slash)", o.Path)
	case session.SafeNext(o.Next, "") == "":
		return fmt.Errorf("Next %q is not a local path", o.Next)
	case o.Fresh < 0:
		return fmt.Errorf("Fresh %v is negative", o.Fresh)
	}
	return nil
}

// Routes registers the endpoints in mux. For a provider with the Name "company", the paths below
// Options.Path are:
//
//	POST /company              begins a login; the form field "next" is the local path to visit
//	                           after the login, and the field "fresh" requires a login at the
//	                           provider that is not older than Options.Fresh
//	GET  /company/callback     the redirect URI, to be registered at the provider
//	POST /company/link         begins to link the account of a recent session
//	POST /company/backchannel  receives logout messages of the provider
//	GET  /links                lists the links of the account, as JSON
//	POST /unlink               deletes the link in the form field "id"
//	POST /logout               logs the user out here and at the provider
func (l *Login) Routes(mux *authz.Mux) {
	// Outside the chain, because an expired session must not prevent a login.
	page := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Public(pattern, authn.Page("", l.limit(l.responds(h))))
	}
	for _, p := range l.providers {
		at := l.opts.Path + "/" + p.Name
		page("POST "+at, func(w http.ResponseWriter, r *http.Request) error { return l.begin(w, r, p) })
		page("GET "+at+"/callback", func(w http.ResponseWriter, r *http.Request) error { return l.callback(w, r, p) })
		page("POST "+at+"/link", func(w http.ResponseWriter, r *http.Request) error { return l.beginLink(w, r, p) })
		// Without the limit: all messages come from the provider's few addresses, and a lost one would
		// leave a session open. A message costs as much as a request with a JWT.
		mux.Public("POST "+at+"/backchannel", p.receiver)
	}
	page("GET "+l.opts.Path+"/links", l.links)
	page("POST "+l.opts.Path+"/unlink", l.unlink)
	page("POST "+l.opts.Path+"/logout", l.logout)
}

func (l *Login) responds(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer") // the callback's address has a code
		if err := h(w, r); err != nil {
			w.Header().Del("Location")
			authn.Respond(w, r, err)
		}
	})
}

// fromOwnPage rejects a request unless it is certain that a page of this application sent it.
func (l *Login) fromOwnPage(r *http.Request) error {
	if err := l.site.Check(r); err != nil {
		return err
	}
	if csrf.NeedsToken(r) {
		return authn.PermissionDenied("The browser did not say which page sent the request.")
	}
	return nil
}

// maxForm is the largest form, in bytes.
const maxForm = 16 << 10

func form(w http.ResponseWriter, r *http.Request, name string) string {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	return r.PostFormValue(name)
}

// begin sends the browser to the provider.
func (l *Login) begin(w http.ResponseWriter, r *http.Request, p *provider) error {
	if err := l.fromOwnPage(r); err != nil {
		return err
	}
	f := flow{Next: session.SafeNext(form(w, r, "next"), l.opts.Next)}
	if form(w, r, "fresh") != "" {
		f.Fresh = l.opts.Clock().Add(-l.opts.Fresh)
	}
	return l.send(w, r, p, f)
}

// send starts a flow.
func (l *Login) send(w http.ResponseWriter, r *http.Request, p *provider, f flow) error {
	d, err := p.configured(r.Context())
	if err != nil {
		return err
	}
	f.Provider, f.State, f.Nonce, f.Verifier = p.Name, rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	f.Until = l.opts.Clock().Add(flowTTL)
	sealed, err := l.seal(l.cookieOf(p), f)
	if err != nil {
		return err
	}
	params := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier), oauth2.SetAuthURLParam("nonce", f.Nonce)}
	if p.ACRValues != nil {
		params = append(params, oauth2.SetAuthURLParam("acr_values", strings.Join(p.ACRValues, " ")))
	}
	if !f.Fresh.IsZero() {
		params = append(params, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(l.opts.Fresh/time.Second))))
	}
	l.setCookie(w, l.cookieOf(p), sealed, flowTTL)
	http.Redirect(w, r, d.oauth2.AuthCodeURL(f.State, params...), http.StatusSeeOther)
	return nil
}
