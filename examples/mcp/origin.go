package main

import (
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
)

// #region origin

// The headers that scripts may send to an MCP server, and those that they may read. The wildcard
// covers the names of Mcp-Param-… headers, which are open. It does not cover Authorization.
const (
	sentHeaders = "*, Authorization, Content-Type, Accept, DPoP, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name"
	readHeaders = "WWW-Authenticate, Mcp-Session-Id, DPoP-Nonce, Retry-After"
)

// knownPages rejects requests that a browser sends for the page of another site with 403, whatever
// their method: a GET opens a stream. Such a page may have made its own name point to this address
// (DNS rebinding), so Host is checked, too. Pages of clients, the listed origins, may call tools.
// knownPages wraps the guard, because a preflight request has no token.
func knownPages(site *csrf.Site, clients []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header["Origin"]
		h.Add("Vary", "Origin")
		if len(origin) != 1 || !slices.Contains(clients, origin[0]) || !site.Secure(r) || !site.IsHost(r.Host) {
			unsafe := r.WithContext(r.Context())
			unsafe.Method = http.MethodPost
			if err := site.Check(unsafe); err != nil {
				authn.Respond(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin[0]) // errors too, so that the script can read them
		h.Set("Access-Control-Expose-Headers", readHeaders)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", sentHeaders)
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// #endregion origin
