// Package proxy authenticates requests for a gateway. Before the gateway forwards a request, it
// sends a sub-request to this package's handler, and the handler allows or rejects the request. The
// name of this feature is auth_request in nginx, forward auth in Traefik and Caddy, and external
// authorization in Envoy.
//
// Create the handler with [NewForwardAuth]. The gateway's sub-request describes the client's
// request. The handler authenticates this request and checks a guard. If both succeed, it responds
// with 204 and the identity in headers, and the gateway passes these headers to the application.
// docs/gateways.md has a configuration for each gateway.
//
// Use it for applications that do not use this library. An application that uses this library
// authenticates requests itself and needs only authn.TrustedProxies.
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

// Dialect is the way in which a gateway describes the client's request. The zero value is invalid.
type Dialect uint8

const (
	// Nginx sends X-Original-Method, X-Original-URI, X-Original-Host, X-Forwarded-Proto
	// and X-Forwarded-For, as the configuration in docs/gateways.md sets them.
	Nginx Dialect = iota + 1
	// Traefik sends X-Forwarded-Method, -Proto, -Host, -Uri and -For.
	Traefik
	// Caddy sends the same headers as Traefik.
	Caddy
	// Envoy sends the client's method and Host, and the client's path after
	// ForwardAuthOptions.Prefix. It sends X-Forwarded-Proto and X-Forwarded-For if its
	// configuration allows them.
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

// ParseDialect returns the dialect with that name: "nginx", "traefik", "caddy" or "envoy".
func ParseDialect(name string) (Dialect, error) {
	if i := slices.Index(dialects[1:], name); i >= 0 {
		return Dialect(i + 1), nil
	}
	return 0, fmt.Errorf("proxy: ParseDialect: %q is unknown (accepted: %s)", name, strings.Join(dialects[1:], ", "))
}

// Guard decides about a request whose identity is in its context. Use authz.Require.
type Guard interface {
	// Check returns nil, an *authn.Error for a denial, or another error if the decision failed.
	Check(r *http.Request) error
	// Handler returns a handler that calls next if the guard allows the request, and responds
	// itself otherwise.
	Handler(next http.Handler) http.Handler
}

// HeaderNames are the names of the headers for the identity. "" means the default.
type HeaderNames struct {
	User   string // Identity.Subject; default X-Auth-User
	Scheme string // Identity.Scheme; default X-Auth-Scheme
	Client string // Identity.Client; default X-Auth-Client
	Scopes string // Identity.Scopes, separated by spaces; default X-Auth-Scopes
	Issuer string // Identity.Issuer; default X-Auth-Issuer
}

// ForwardAuthOptions configure [NewForwardAuth]. A nil *ForwardAuthOptions means all defaults.
type ForwardAuthOptions struct {
	// Headers are the names of the identity headers.
	Headers HeaderNames
	// Login is the login page: a path such as "/login", or a URL such as
	// "https://app.example/login" on one of the site's hosts. Anonymous visitors of a page are
	// redirected to it, with the requested path in the parameter "next". If "", they get 401.
	Login string
	// Issuers are other issuers whose identities are accepted; nil accepts none. Their subjects are
	// not subjects of this application, so the response names the issuer and no user.
	Issuers []string
	// Prefix is Envoy's path_prefix; "" means "/forward-auth". Other dialects ignore it.
	Prefix string
	// PathParameters accepts paths with a semicolon. Servlet containers and others drop the text
	// after it, so they serve "/admin;x" as "/admin", although the rules were checked for another
	// path. Set it only if the application behind the gateway does not drop this text.
	PathParameters bool
	// Accepted is the status for an allowed request, 200 or 204. 0 means 204, and 200 for Envoy,
	// whose HTTP service accepts only 200.
	Accepted int
}

// forwardAuth is the handler that NewForwardAuth returns.
type forwardAuth struct {
	dialect Dialect
	proxies authn.TrustedProxies
	site    *csrf.Site
	auth    *authn.Middleware
	guard   Guard
	decided http.Handler // auth, then the method decide
	pages   http.Handler // the same for a visitor of a page, for whom an expired session counts as no credential
	allowed http.Handler // guard, then the method accept
	names   [5]string    // user, scheme, client, scopes, issuer
	login   string       // the path of opts.Login
	opts    ForwardAuthOptions
}

// NewForwardAuth returns a handler for the sub-requests of a gateway, of any method. Register it
// with authz.Mux.Public. Sub-requests must come from a proxy in proxies, and must use the dialect.
//
// The handler decides about the client's request, not about the sub-request: auth and guard get the
// original method, host, path and scheme. A cross-site POST is therefore rejected, although nginx
// sends the sub-request as GET. The host is in the form of csrf.Site.CanonicalHost. The handler
// reads only the headers of the dialect, and each must occur exactly once.
//
// The responses are:
//   - 204 (Envoy: 200): allowed. Identity headers describe the caller. In their values, "%"
//     and all bytes except 0x21 to 0x7E are percent-encoded. They are empty for an anonymous request.
//   - 303 to ForwardAuthOptions.Login for an anonymous visitor of a page, and for one whose session
//     has expired (see authn.Page). nginx gets 401 with that Location, because auth_request turns a
//     303 into a 500.
//   - 400: the sub-request already has an identity header, or a header whose name some servers read
//     as an identity header. The gateway must remove identity headers from the client's request.
//   - 401 with the challenges of the chain, or 403: rejected.
//   - 403 with a log line: the client asks for a protocol other than WebSocket, such as h2c. The
//     gateway would forward the upgrade, and later requests on the connection would bypass it.
//   - 403 with a log line that names the configuration error: the peer is not a trusted proxy; a
//     header is missing, repeated, malformed or of another dialect; the host is not the site's; the
//     path can be read in two ways (authn.CheckPath).
//   - 503: a dependency failed.
//
// Every response sets every identity header, so a gateway that copies them overwrites what the
// client sent.
//
// Identities of this application with full rights are accepted. A scope-limited identity is
// accepted only if the guard would deny it without its scopes, as authz.HasScope does. The reason
// is that the application behind the gateway reads only the user's ID. An identity of another
// issuer is accepted only with ForwardAuthOptions.Issuers.
//
// An authenticated unsafe request must also pass site.Check. An exception is a request that was
// authenticated by an Authorization header, but not with Basic, Digest, Negotiate or NTLM. This
// protects against cross-site requests even if a scheme lacks its own check.
//
// NewForwardAuth returns an error if an argument is missing, proxies or the site's proxies are
// empty, or an option is invalid.
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
		return nil, errors.New("proxy: NewForwardAuth: invalid dialect (Nginx, Traefik, Caddy or Envoy)")
	case proxies.IsZero():
		return nil, errors.New("proxy: NewForwardAuth: proxies is empty (pass the gateway's address with authn.NewTrustedProxies)")
	case !site.IsLoopback() && site.Proxies().IsZero():
		return nil, errors.New("proxy: NewForwardAuth: the site trusts no proxy, so it rejects every cookie (set csrf.Options.Proxies)")
	case o.Accepted != http.StatusOK && o.Accepted != http.StatusNoContent:
		return nil, fmt.Errorf("proxy: NewForwardAuth: Accepted %d is invalid (200 or 204)", o.Accepted)
	case !localPath(o.Prefix) || strings.HasSuffix(o.Prefix, "/") || strings.Contains(o.Prefix, "?"):
		return nil, fmt.Errorf("proxy: NewForwardAuth: Prefix %q is invalid (a path without a slash at the end and without a query)", o.Prefix)
	case slices.Contains(o.Issuers, ""):
		return nil, errors.New("proxy: NewForwardAuth: Issuers holds an empty name")
	}
	names, err := o.Headers.names()
	if err != nil {
		return nil, err
	}
	login, ok := loginPath(o.Login, site)
	if !ok {
		return nil, fmt.Errorf("proxy: NewForwardAuth: Login %q is not a page of the site (such as /login or https://app.example/login)", o.Login)
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

// plainKey is the context key of the request without the declaration as a page.
type plainKey struct{}

var errIdentityHeader = authn.BadRequest("The request has an identity header.")

func refused(why string) error {
	return authn.PermissionDenied("").WithCause(errors.New("forward auth: " + why))
}

// decide runs after the chain, with the client's request.
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

// mayBeAmbient reports whether a browser may have sent the credential automatically. Another site
// cannot add an Authorization header without consent (CORS), but browsers add Basic and similar
// credentials themselves.
func mayBeAmbient(r *http.Request) bool {
	keyword := authn.Keyword(r)
	return keyword == "" || strings.EqualFold(keyword, "Basic") || strings.EqualFold(keyword, "Negotiate") || strings.EqualFold(keyword, "Digest") || strings.EqualFold(keyword, "NTLM")
}

// accept runs after the guard.
func (h *forwardAuth) accept(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	if id.Issuer != "" && !slices.Contains(h.opts.Issuers, id.Issuer) {
		h.auth.Respond(w, r, refused("the identity belongs to another issuer: add the issuer to ForwardAuthOptions.Issuers"))
		return
	}
	if id.Delegated() {
		err := h.withoutScopes(r, id)
		var e *authn.Error
		switch {
		case err == nil:
			h.auth.Respond(w, r, refused("the identity is limited to scopes, but the guard requires none: add authz.HasScope"))
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

// withoutScopes returns the guard's decision about the identity without its scopes.
func (h *forwardAuth) withoutScopes(r *http.Request, id authn.Identity) error {
	id.Scopes = []string{}
	return h.guard.Check(r.WithContext(authn.WithIdentity(r.Context(), id)))
}
