package server

import (
	"net/http"
	"slices"
)

// Access defines who may call a route, and therefore how to mount it.
type Access int

const (
	// ForClients marks public documents and endpoints that read client credentials. Mount them
	// outside the chain (authz.Mux.Public), because the chain would read these credentials as
	// credentials of a user.
	ForClients Access = iota
	// ForVisitors marks pages that redirect anonymous visitors to the login page. Mount them behind
	// the chain with authz.AllowAny.
	ForVisitors
	// ForAccounts marks endpoints for the account itself, not for clients that act for it. Mount
	// them behind the chain with authz.FirstParty.
	ForAccounts
)

// Route is an endpoint with its pattern for http.ServeMux.
type Route struct {
	Pattern string
	Handler http.Handler
	Access  Access
}

// Routes returns all endpoints of the server and of the packages that extend it. Call it after you
// have constructed all of them.
func (s *Server) Routes() []Route {
	e := s.opts.Endpoints
	list := []Route{
		s.Route(e.Token, s.Token(), ForClients),
		s.Route(e.Revoke, s.Revoke(), ForClients),
		s.Route(e.Introspect, s.Introspect(), ForClients),
		s.Route(e.PushedAuthorization, s.PushedAuthorization(), ForClients),
		{"/.well-known/oauth-authorization-server" + s.path, s.Metadata(), ForClients},
	}
	if s.opts.Keys != nil {
		list = append(list, s.Route(e.DeviceAuthorization, s.DeviceAuthorization(), ForClients))
	}
	if s.opts.SigningKeys != nil {
		list = append(list, s.Route(e.JWKS, s.JWKS(), ForClients))
	}
	list = append(list, s.extended.Routes...)
	return slices.DeleteFunc(list, func(r Route) bool { return r.Pattern == "" })
}

// Route returns the route for a path of Options().Endpoints. If the path is "-", the pattern is ""
// and Routes omits it.
func (s *Server) Route(path string, h http.Handler, a Access) Route {
	if path == "-" {
		return Route{}
	}
	return Route{s.path + path, h, a}
}
