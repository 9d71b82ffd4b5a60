// Package proxy answers the question that a gateway asks before it passes a request on:
// may this client do this? nginx calls it auth_request, Traefik and Caddy forward auth,
// Envoy external authorization.
//
// Start with [NewForwardAuth]. The gateway sends a sub-request that describes the
// client's request; the handler authenticates it, asks a guard, and answers 204 with the
// identity in headers, which the gateway hands to the application behind it. docs/gateways.md
// has a configuration for each gateway.
//
// Use it for applications that are not written with this library. An application that
// is written with it authenticates by itself and needs only authn.TrustedProxies.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
)

// Dialect is how a gateway describes the client's request. The zero value is none.
type Dialect uint8

const (
	// Nginx sends X-Original-Method, X-Original-URI, X-Original-Host, X-Forwarded-Proto
	// and X-Forwarded-For, as the configuration in docs/gateways.md sets them.
	Nginx Dialect = iota + 1
	// Traefik sends X-Forwarded-Method, -Proto, -Host, -Uri and -For.
	Traefik
	// Caddy sends the same headers as Traefik.
	Caddy
	// Envoy sends the client's own method and Host, and its path behind
	// ForwardAuthOptions.Prefix; X-Forwarded-Proto and X-Forwarded-For if they are allowed.
	Envoy
)

var dialects = [...]string{"", "nginx", "traefik", "caddy", "envoy"}

// String returns "nginx", "traefik", "caddy" or "envoy".
func (d Dialect) String() string {
	if int(d) < len(dialects) {
		return dialects[d]
	}
	return ""
}

// ParseDialect returns the dialect of that name, such as "nginx".
func ParseDialect(name string) (Dialect, error) {
	if i := slices.Index(dialects[1:], name); i >= 0 {
		return Dialect(i + 1), nil
	}
	return 0, fmt.Errorf("proxy: ParseDialect: %q is unknown (accepted: %s)", name, strings.Join(dialects[1:], ", "))
}

// Guard decides about a request whose identity is in its context. authz.Guard is one.
type Guard interface {
	// Check returns an *authn.Error for a refusal and any other error for a fault.
	Check(r *http.Request) error
	// Handler calls next if the guard allows the request, and answers it otherwise.
	Handler(next http.Handler) http.Handler
}

// HeaderNames are the names of the headers that carry the identity. "" is the default.
type HeaderNames struct {
	User   string // Identity.Subject; default X-Auth-User
	Scheme string // Identity.Scheme; default X-Auth-Scheme
	Client string // Identity.Client; default X-Auth-Client
	Scopes string // Identity.Scopes, separated by spaces; default X-Auth-Scopes
	Issuer string // Identity.Issuer; default X-Auth-Issuer
}

// ForwardAuthOptions change NewForwardAuth; nil is fine.
type ForwardAuthOptions struct {
	// Headers are the names of the identity headers.
	Headers HeaderNames
	// Login is the login page: a path such as "/login", or "https://app.example/login" at
	// one of the site's hosts. Anonymous visitors of a page are sent there, with the path
	// that they asked for in the parameter "next". "" answers them 401.
	Login string
	// Issuers are other issuers whose identities are accepted. Their subjects are not
	// subjects of this application, so the answer has the issuer's name and no user.
	// nil accepts none.
	Issuers []string
	// Prefix is Envoy's path_prefix; "/forward-auth" if "". Other dialects ignore it.
	Prefix string
	// PathParameters accepts paths with a semicolon. Servlet containers and others drop what follows
	// it, so they serve "/admin;x" as "/admin", while rules for paths read another path. Set it if
	// the application behind the gateway reads "/admin;x" as it stands.
	PathParameters bool
	// Accepted is the status of an allowed request: 200 or 204. 0 is 204, and for Envoy 200,
	// the only status that its HTTP service accepts.
	Accepted int
}

// forwardAuth is the handler that NewForwardAuth returns.
type forwardAuth struct {
	dialect Dialect
	proxies authn.TrustedProxies
	site    *csrf.Site
	auth    *authn.Middleware
	guard   Guard
	decided http.Handler // auth, then decide
	pages   http.Handler // the same for a visitor of a page: an ended session is no credential
	allowed http.Handler // guard, then accept
	names   [5]string    // user, scheme, client, scopes, issuer
	login   string       // the path of opts.Login
	opts    ForwardAuthOptions
}

// NewForwardAuth returns a handler for a gateway's sub-requests, of any method. Register
// it with authz.Mux.Public. The sub-request must come from one of proxies, in the dialect.
//
// The handler judges the client's request and never the sub-request: auth and guard see
// the original method, host, path and scheme, so a cross-site POST is refused although
// nginx asks about it by GET. It reads only the dialect's headers, each exactly once. The
// answers are:
//
//   - 204 (Envoy: 200): allowed. Identity headers hold who makes the request, percent-encoded
//     outside %x21-7E, and "%" as "%25"; all are empty for an anonymous request.
//   - 303 to ForwardAuthOptions.Login for an anonymous visitor of a page, or one whose session
//     has ended (see authn.Page); nginx gets 401 with that Location, because auth_request
//     turns a 303 into a 500.
//   - 400: the sub-request has an identity header of its own, in any spelling that a
//     server could take for one. The gateway must remove these from the client's request.
//   - 401 with the chain's challenges, and 403.
//   - 403, and a log line that names the mistake: the peer is not a trusted proxy; a
//     header is missing, doubled, unreadable or of another dialect; the host is not the
//     site's; the path could be read in two ways (authn.CheckPath) or is not clean.
//   - 503: a dependency failed.
//
// Every answer carries every identity header, so a gateway that copies them replaces
// what a client sent.
//
// Accepted are identities of this application with their full rights. A scope-limited
// one is accepted only if the guard refuses it without its scopes, as authz.HasScope
// does: the application behind the gateway reads the user's ID and knows no scopes. A
// foreign issuer's identity needs ForwardAuthOptions.Issuers. An unsafe request that was
// not authenticated by an Authorization header other than Basic passes site.Check too,
// so that an ambient scheme that forgot it is not open to other sites.
//
// NewForwardAuth returns an error if something is missing, proxies or the site's proxies
// are empty, or an option is invalid.
func NewForwardAuth(dialect Dialect, proxies authn.TrustedProxies, site *csrf.Site, auth *authn.Middleware, guard Guard, opts *ForwardAuthOptions) (http.Handler, error) {
	var o ForwardAuthOptions
	if opts != nil {
		o = *opts
	}
	if o.Prefix == "" {
		o.Prefix = "/forward-auth"
	}
	if o.Accepted == 0 {
		o.Accepted = http.StatusNoContent
		if dialect == Envoy {
			o.Accepted = http.StatusOK
		}
	}
	o.Issuers = slices.Clone(o.Issuers)
	switch {
	case site == nil || auth == nil || guard == nil:
		return nil, errors.New("proxy: NewForwardAuth: site, auth and guard are required")
	case dialect < Nginx || dialect > Envoy:
		return nil, errors.New("proxy: NewForwardAuth: the dialect is required (Nginx, Traefik, Caddy or Envoy)")
	case proxies.IsZero():
		return nil, errors.New("proxy: NewForwardAuth: name the gateway's address (authn.NewTrustedProxies)")
	case !site.IsLoopback() && site.Proxies().IsZero():
		return nil, errors.New("proxy: NewForwardAuth: the site trusts no proxy, so it would refuse every cookie (set csrf.Options.Proxies)")
	case o.Accepted != http.StatusOK && o.Accepted != http.StatusNoContent:
		return nil, fmt.Errorf("proxy: NewForwardAuth: Accepted %d is neither 200 nor 204", o.Accepted)
	case !localPath(o.Prefix) || strings.HasSuffix(o.Prefix, "/") || strings.Contains(o.Prefix, "?"):
		return nil, fmt.Errorf("proxy: NewForwardAuth: Prefix %q is not a path without a slash at its end", o.Prefix)
	case slices.Contains(o.Issuers, ""):
		return nil, errors.New("proxy: NewForwardAuth: an empty name among the issuers")
	}
	names, err := o.Headers.names()
	if err != nil {
		return nil, err
	}
	login, ok := loginPath(o.Login, site)
	if !ok {
		return nil, fmt.Errorf("proxy: NewForwardAuth: Login %q is not a page of the site (accepted: /login, https://app.example/login)", o.Login)
	}
	h := &forwardAuth{dialect: dialect, proxies: proxies, site: site, auth: auth, guard: guard, names: names, login: login, opts: o}
	h.decided = auth.Handler(http.HandlerFunc(h.decide))
	h.pages = auth.Handler(authn.Page("", http.HandlerFunc(h.decide)))
	h.allowed = guard.Handler(http.HandlerFunc(h.accept))
	return h, nil
}

func (h *forwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for _, name := range h.names {
		header[name] = []string{""}
	}
	header["Cache-Control"] = []string{"no-store"}
	if !h.proxies.TrustsPeer(r) {
		h.auth.Respond(w, r, refused("the peer is not a trusted proxy: add the gateway's address to the proxies of NewForwardAuth"))
		return
	}
	if name := h.identityHeader(r.Header); name != "" {
		h.auth.Respond(w, r, errIdentityHeader.WithCause(errors.New("forward auth: the sub-request has the identity header "+name+": let the gateway remove it from the client's request")))
		return
	}
	original, err := h.original(r)
	if err != nil {
		h.auth.Respond(w, r, refused(err.Error()))
		return
	}
	if h.wantsLogin(original) {
		h.pages.ServeHTTP(w, original.WithContext(context.WithValue(original.Context(), plainKey{}, original)))
		return
	}
	h.decided.ServeHTTP(w, original)
}

// plainKey is the key of a request that was not declared a page.
type plainKey struct{}

var errIdentityHeader = authn.BadRequest("The request has an identity header.")

func refused(why string) error {
	return authn.PermissionDenied("").WithCause(errors.New("forward auth: " + why))
}

// decide runs behind the chain, with the client's request.
func (h *forwardAuth) decide(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	if !id.Authenticated() && h.wantsLogin(r) {
		var e *authn.Error
		if err := h.guard.Check(r); errors.As(err, &e) && e != nil && e.Status == http.StatusUnauthorized {
			h.sendToLogin(w, r)
			return
		}
	}
	if id.Authenticated() && csrf.IsUnsafe(r) && mayBeAmbient(r) {
		if err := h.site.Check(r); err != nil {
			h.auth.Respond(w, r, err)
			return
		}
	}
	h.allowed.ServeHTTP(w, r)
}

// mayBeAmbient reports whether a browser may have sent the credential by itself. Other
// sites cannot add an Authorization header without the site's consent (CORS), but a
// browser adds Basic.
func mayBeAmbient(r *http.Request) bool {
	keyword := authn.Keyword(r)
	return keyword == "" || strings.EqualFold(keyword, "Basic") || strings.EqualFold(keyword, "Negotiate") || strings.EqualFold(keyword, "Digest") || strings.EqualFold(keyword, "NTLM")
}

// accept runs behind the guard.
func (h *forwardAuth) accept(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	if id.Issuer != "" && !slices.Contains(h.opts.Issuers, id.Issuer) {
		h.auth.Respond(w, r, refused("the identity is another issuer's: name it in ForwardAuthOptions.Issuers"))
		return
	}
	if id.Delegated() {
		err := h.withoutScopes(r, id)
		var e *authn.Error
		switch {
		case err == nil:
			h.auth.Respond(w, r, refused("the identity is limited to scopes, and the guard requires none: add authz.HasScope"))
			return
		case !errors.As(err, &e) || e == nil:
			h.auth.Respond(w, r, err)
			return
		}
	}
	user := id.Subject
	if id.Issuer != "" {
		user = ""
	}
	scopes := make([]string, len(id.Scopes))
	for i, s := range id.Scopes {
		scopes[i] = encode(s)
	}
	header := w.Header()
	for i, value := range [...]string{encode(user), encode(id.Scheme), encode(id.Client), strings.Join(scopes, " "), encode(id.Issuer)} {
		header[h.names[i]] = []string{value}
	}
	w.WriteHeader(h.opts.Accepted)
}

// withoutScopes is the guard's answer to the identity without its scopes.
func (h *forwardAuth) withoutScopes(r *http.Request, id authn.Identity) error {
	id.Scopes = []string{}
	return h.guard.Check(r.WithContext(authn.WithIdentity(r.Context(), id)))
}
