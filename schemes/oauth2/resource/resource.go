package resource

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/dpop"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// WellKnown is the beginning of the path of every document (RFC 9728, section 3).
const WellKnown = "/.well-known/oauth-protected-resource"

// Options configure [Metadata]. A nil *Options means all defaults.
type Options struct {
	// Scopes are the scopes of the API. Clients request all of them if a challenge names none. Nil
	// omits them. offline_access is omitted, because it gives no right at an API.
	Scopes []string
	// Name is the name of the API for users; "" omits it.
	Name string
	// Documentation is the page for developers, Policy says how clients may use the data, and Terms
	// are the terms of service. They are https URLs, or http for a loopback address; "" omits them.
	Documentation, Policy, Terms string
	// DPoP is the verifier of oauth2.Options.DPoP. Its algorithms are published, so that clients send
	// proofs (RFC 9449). Nil means bearer tokens only, as for package introspect and jwt.Verifier,
	// which reject sender-constrained tokens.
	DPoP *dpop.Verifier
	// RequireDPoP tells clients that bearer tokens are rejected. It requires DPoP. It only informs
	// clients; server.Options.RequireDPoP makes the server issue no bearer tokens.
	RequireDPoP bool
}

// Metadata is the document of one API, and its handler. It is safe for concurrent use.
type Metadata struct {
	resource string
	at       *url.URL // of the document
	document http.Handler
}

// document is the JSON of RFC 9728, section 2.
type document struct {
	Resource      string           `json:"resource"`
	Servers       []string         `json:"authorization_servers"`
	Scopes        []string         `json:"scopes_supported,omitempty"`
	Methods       []string         `json:"bearer_methods_supported"`
	Name          string           `json:"resource_name,omitempty"`
	Documentation string           `json:"resource_documentation,omitempty"`
	Policy        string           `json:"resource_policy_uri,omitempty"`
	Terms         string           `json:"resource_tos_uri,omitempty"`
	Proofs        []jose.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
	MustProve     bool             `json:"dpop_bound_access_tokens_required,omitempty"`
}

// New returns the metadata of an API. resource is its identifier: the URL that you give to clients,
// such as "https://api.example/mcp". Clients compare it byte for byte with the URL that they call,
// so write scheme and host in lower case, without the default port. It is also the audience that
// your schemes require. issuers are the authorization servers, of which most clients use the first.
// Write each issuer exactly as in its own metadata.
//
// URLs must be https, or http for a loopback address. They are never read from a request.
//
// New returns an error if a URL, a scope or an option is invalid, or if there is no issuer.
func New(resource string, issuers []string, opts *Options) (*Metadata, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	m, err := newMetadata(resource, issuers, o)
	if err != nil {
		return nil, fmt.Errorf("resource: New: %w", err)
	}
	return m, nil
}

func newMetadata(resource string, issuers []string, o Options) (*Metadata, error) {
	at, err := locationOf(resource)
	if err != nil {
		return nil, err
	}
	if len(issuers) == 0 {
		return nil, errors.New("issuers are required (without one, clients cannot get tokens)")
	}
	for i, issuer := range issuers {
		if u := parse(issuer); u == nil || strings.Contains(issuer, "?") || slices.Contains(issuers[:i], issuer) {
			return nil, fmt.Errorf("invalid or repeated issuer %q (https://host/path without query and fragment; http for loopback addresses)", issuer)
		}
	}
	var scopes []string
	for _, name := range o.Scopes {
		switch {
		case !syntax.IsScope(name):
			return nil, fmt.Errorf("invalid scope %q (printable ASCII without spaces, quotes and backslashes, RFC 6749 section 3.3)", name)
		case name != oauth2.ScopeOfflineAccess && !slices.Contains(scopes, name):
			scopes = append(scopes, name)
		}
	}
	for _, page := range []string{o.Documentation, o.Policy, o.Terms} {
		if page != "" && parse(page) == nil {
			return nil, fmt.Errorf("invalid page %q in Documentation, Policy or Terms (https URL; http for loopback addresses)", page)
		}
	}
	if o.RequireDPoP && o.DPoP == nil {
		return nil, errors.New("RequireDPoP requires DPoP")
	}
	var proofs []jose.Algorithm
	if o.DPoP != nil {
		proofs = o.DPoP.Algorithms()
	}
	return &Metadata{resource: resource, at: at, document: oauth2.Document(document{
		Resource: resource, Servers: issuers, Scopes: scopes, Methods: []string{"header"}, Name: o.Name,
		Documentation: o.Documentation, Policy: o.Policy, Terms: o.Terms, Proofs: proofs, MustProve: o.RequireDPoP,
	})}, nil
}

// Resource returns the identifier of the API, for the audience of schemes.
func (m *Metadata) Resource() string { return m.resource }

// URL returns the absolute URL of the document, for the ResourceMetadata option of schemes.
func (m *Metadata) URL() string { return m.at.String() }

// Path returns the path of the document, as a pattern for http.ServeMux. Mount the metadata there,
// outside the chain (authz.Mux.Public). Do not serve it at other paths: clients that find it at
// [WellKnown] itself expect the metadata of the whole host there.
func (m *Metadata) Path() string { return m.at.EscapedPath() }

// ServeHTTP responds with the document, which everyone can read, from any origin. If the resource
// has a query, requests with another query get 404.
func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.at.RawQuery != "" && r.URL.RawQuery != m.at.RawQuery {
		http.NotFound(w, r)
		return
	}
	m.document.ServeHTTP(w, r)
}

// locationOf returns the URL of the document about a resource (RFC 9728, section 3.1). WellKnown
// stands between host and path, without a slash at the end. The query is kept.
func locationOf(resource string) (*url.URL, error) {
	u := parse(resource)
	if u == nil || len(resource) > maxResource || u.Opaque != "" || u.ForceQuery || !hasPlainPath(u) || u.Scheme+"://"+u.Host != strings.ToLower(u.Scheme+"://"+u.Host) ||
		!strings.HasPrefix(resource, u.Scheme+"://") || u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" || strings.HasSuffix(u.Host, ":") {
		return nil, fmt.Errorf("invalid resource %q (https://host/path in lower case without default port, user and fragment; http for loopback addresses)", resource)
	}
	at := *u
	at.Path = WellKnown + strings.TrimSuffix(u.Path, "/")
	if u.RawPath != "" {
		at.RawPath = WellKnown + strings.TrimSuffix(u.RawPath, "/")
	}
	return &at, nil
}

// maxResource is the maximum length of a resource, that of oauth2.Options.Audience.
const maxResource = 2048

// hasPlainPath reports whether a path has one reading only, and is no pattern with wildcards.
func hasPlainPath(u *url.URL) bool {
	if strings.ContainsAny(u.Path, `\{}`) || strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	text := strings.ToLower(u.EscapedPath())
	if strings.Contains(text, "%2f") || strings.Contains(text, "%2e") {
		return false
	}
	segments := strings.Split(strings.TrimPrefix(strings.TrimSuffix(u.Path, "/"), "/"), "/")
	return len(segments) == 1 && segments[0] == "" || !slices.ContainsFunc(segments, func(s string) bool { return s == "" || s == "." || s == ".." })
}

// parse returns an absolute URL that clients can use, or nil.
func parse(text string) *url.URL {
	if text == "" || (authn.BearerChallenge{ResourceMetadata: text}).Check() != nil {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	return u
}
