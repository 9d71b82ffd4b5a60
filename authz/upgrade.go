package authz

import (
	"net/http"
	"strings"
)

// InsecureAllowUpgrade passes the header Upgrade to h for any protocol. Without it, [Mux] and
// [RequirePlainPath] remove the header unless the protocol is websocket. After an upgrade to h2c,
// the client could send whole requests to the server to which h forwards, for any path and with any
// header. No permission would check them. Removing the header is safe, because a server may ignore
// an upgrade (RFC 9110, section 7.8).
//
// Use it only for a handler that implements the other protocol itself. It MUST NOT be used around a
// reverse proxy. h is the handler of a Mux route, or of RequirePlainPath. It panics if h is nil.
func InsecureAllowUpgrade(h http.Handler) http.Handler {
	return &anyUpgrade{notNil("InsecureAllowUpgrade", h)}
}

type anyUpgrade struct{ next http.Handler }

// Unwrap returns the wrapped handler.
func (h *anyUpgrade) Unwrap() http.Handler { return h.next }

func (h *anyUpgrade) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.next.ServeHTTP(w, r) }

// withoutTunnel returns r without the headers that upgrade the connection to another protocol than
// websocket.
func withoutTunnel(r *http.Request) *http.Request {
	upgrade := r.Header["Upgrade"]
	if len(r.Header["Http2-Settings"]) == 0 && (len(upgrade) == 0 || len(upgrade) == 1 && strings.EqualFold(strings.TrimSpace(upgrade[0]), "websocket")) {
		return r
	}
	c := *r
	c.Header = r.Header.Clone()
	c.Header.Del("Upgrade")
	c.Header.Del("Http2-Settings")
	return &c
}
