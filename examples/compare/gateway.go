package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/proxy"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/basic"
)

// gateway reads what -proxies, -gateway and -origin say.
func (cfg *config) gateway(proxies, gateway string) (err error) {
	if proxies != "" {
		list := strings.Split(proxies, ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		if cfg.Proxies, err = authn.NewTrustedProxies(list...); err != nil {
			return fmt.Errorf("-proxies: %w", err)
		}
	}
	if cfg.Gateway, err = proxy.ParseDialect(gateway); err != nil {
		return fmt.Errorf("-gateway: %w", err)
	}
	if _, err = cfg.site(); err != nil {
		return fmt.Errorf("-origin: %w", err)
	}
	return nil
}

// site is where the pages are: at -origin, or on this machine over plain http.
func (cfg *config) site() (*csrf.Site, error) {
	if cfg.Origin == "" {
		return csrf.Loopback(), nil
	}
	return csrf.New(cfg.Origin, &csrf.Options{Proxies: cfg.Proxies})
}

// basicOptions names the site to the Basic scheme if it has an origin. On loopback the
// scheme compares with the server's own.
func (cfg *config) basicOptions(site *csrf.Site) *basic.Options {
	if cfg.Origin == "" {
		return nil
	}
	return &basic.Options{Site: site}
}

const forwardAuthPath = "/forward-auth"

// withForwardAuth serves a gateway's sub-requests beside next. They bypass the mux, which
// would clean or refuse the path that Envoy asks about.
func withForwardAuth(next http.Handler, cfg *config, site *csrf.Site, auth *authn.Middleware) (http.Handler, error) {
	forward := auth.Public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authn.Respond(w, r, authn.PermissionDenied("")) // without -proxies there is no gateway
	}))
	if !cfg.Proxies.IsZero() {
		var err error
		opts := &proxy.ForwardAuthOptions{
			Login: "/login",
			// The checks of this server expect 204 in every dialect. Behind a real Envoy leave
			// this out: its HTTP service accepts 200 only.
			Accepted: http.StatusNoContent,
		}
		forward, err = proxy.NewForwardAuth(cfg.Gateway, cfg.Proxies, site, auth, authz.Require(authz.IsAuthenticated), opts)
		if err != nil {
			return nil, err
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == forwardAuthPath || strings.HasPrefix(r.URL.Path, forwardAuthPath+"/") {
			forward.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}
