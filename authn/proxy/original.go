package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Headers that describe the client's request in several dialects, in canonical form.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
)

// described holds, for each dialect, the headers for method, URI and host.
var described = map[Dialect][3]string{
	Nginx:   {"X-Original-Method", "X-Original-Uri", "X-Original-Host"},
	Traefik: {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
	Caddy:   {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
}

// ofAnyDialect holds the headers from which some gateway, server or framework takes the original
// method, path or host. If one of them is not used by the configured dialect, the client may have
// sent it. Then the application could serve another request than the one that the guard decides
// about: gunicorn removes the value of SCRIPT_NAME from the beginning of the path.
var ofAnyDialect = [...]string{
	"X-Original-Method", "X-Original-Uri", "X-Original-Host", "X-Original-Url", "X-Rewrite-Url",
	"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host",
	"Script-Name", "X-Script-Name", "Path-Info", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
}

const (
	maxURI    = 8 << 10 // bytes
	maxMethod = 32
)

// original returns the client's request as the sub-request describes it. The error tells what is
// wrong with the sub-request. It does not quote the path, which may hold a secret.
func (h *forwardAuth) original(r *http.Request) (*http.Request, error) {
	own, ok := described[h.dialect]
	for sent := range r.Header {
		for _, name := range ofAnyDialect {
			if alike(sent, name) && !(ok && sent == name && slices.Contains(own[:], name)) {
				return nil, fmt.Errorf("the header %s, or a header that some servers read as %[1]s, does not belong to the dialect %s: let the gateway remove it", name, h.dialect)
			}
		}
	}
	method, uri, host := r.Method, "", r.Host
	if ok {
		var values [3]string
		for i, name := range own {
			var err error
			if values[i], err = only(r.Header, name); err != nil {
				return nil, err
			}
		}
		method, uri, host = values[0], values[1], values[2]
		if _, err := only(r.Header, forwardedFor); err != nil {
			return nil, err
		}
	} else if uri, ok = strings.CutPrefix(r.RequestURI, h.opts.Prefix); !ok {
		return nil, fmt.Errorf("the path does not begin with the prefix %q: set Envoy's path_prefix", h.opts.Prefix)
	} else if len(r.Header[forwardedFor]) > 1 {
		return nil, errors.New("the header X-Forwarded-For occurs twice")
	}
	proto := "http" // Envoy sends the header only if it is allowed
	if h.dialect != Envoy || len(r.Header[forwardedProto]) > 0 {
		var err error
		if proto, err = only(r.Header, forwardedProto); err != nil {
			return nil, err
		}
	}
	https, upgrade, ok := scheme(proto)
	switch {
	case !ok:
		return nil, errors.New("X-Forwarded-Proto is neither http nor https")
	case !isMethod(method):
		return nil, errors.New("the method is malformed")
	}
	canonical, ok := h.site.CanonicalHost(host)
	if !ok {
		return nil, fmt.Errorf("the host %.100s is not the site's: add it to csrf.Options.Hosts", strconv.Quote(host))
	}
	if !upgradesToWebSocket(r.Header) {
		return nil, errors.New("the client asks for a protocol other than websocket: a connection that is upgraded to h2c bypasses the gateway")
	}
	u, err := parseURI(uri, h.opts.PathParameters)
	if err != nil {
		return nil, err
	}
	header := r.Header.Clone()
	for _, name := range own {
		delete(header, name)
	}
	header[forwardedProto] = []string{"http"}
	if https {
		header[forwardedProto] = []string{"https"}
	}
	if upgrade && len(header["Upgrade"]) == 0 {
		header["Upgrade"] = []string{"websocket"}
	}
	// Create a new request, because path values and TLS state describe the gateway's connection.
	return (&http.Request{
		Method: method, URL: u, RequestURI: uri, Host: canonical, Header: header, RemoteAddr: r.RemoteAddr,
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Body: r.Body, ContentLength: r.ContentLength, TransferEncoding: r.TransferEncoding,
	}).WithContext(authn.WithSubrequest(r.Context())), nil
}

// upgradesToWebSocket reports whether the client asks for no other protocol, or only for websocket.
// Gateways forward any upgrade. After one to h2c they copy bytes, so the client can send requests
// to the application that no rule sees, with identity headers of its own.
func upgradesToWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	return len(h["Http2-Settings"]) == 0 && (len(upgrade) == 0 || len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket"))
}

// only returns the value of a header that must occur exactly once.
func only(h http.Header, name string) (string, error) {
	switch lines := h[name]; {
	case len(lines) == 0 || lines[0] == "":
		return "", fmt.Errorf("the header %s is missing: set it in the gateway's configuration", name)
	case len(lines) > 1:
		return "", fmt.Errorf("the header %s occurs twice", name)
	default:
		return lines[0], nil
	}
}

// scheme parses X-Forwarded-Proto. Traefik sends ws and wss for WebSockets.
func scheme(proto string) (https, upgrade, ok bool) {
	switch strings.ToLower(proto) {
	case "http":
		return false, false, true
	case "https":
		return true, false, true
	case "ws":
		return false, true, true
	case "wss":
		return true, true, true
	}
	return false, false, false
}

// isMethod reports whether s is a method: a token (RFC 9110, section 5.6.2).
func isMethod(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= maxMethod
}

// parseURI parses a request target in origin form (RFC 9112, section 3.2.1). It accepts only paths
// that all servers read in the same way.
func parseURI(uri string, parameters bool) (*url.URL, error) {
	if len(uri) > maxURI || !strings.HasPrefix(uri, "/") {
		return nil, errors.New("the URI is not a path, or is too long")
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c > '~' || c == '#' {
			return nil, errors.New("the URI has an invalid character")
		}
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || u.Host != "" || u.Scheme != "" || u.Path == "" {
		return nil, errors.New("the URI is malformed")
	}
	check := authn.CheckPath
	if parameters {
		check = authn.CheckPathWithParameters
	}
	if err := check(u); err != nil {
		return nil, fmt.Errorf("%w: let the gateway clean or refuse such paths, or see ForwardAuthOptions.PathParameters", err)
	}
	u.RawPath = "" // a permission sees one path, which is the decoded one
	return u, nil
}
