package server

import (
	"net/http"
	"slices"
)

// Access is who may reach a route, which decides how to mount it.
type Access int

const (
	// ForClients are endpoints that read the credentials of a client, and public documents. Mount
	// them outside the chain (authz.Mux.Public), which would take those credentials for its own.
	ForClients Access = iota
	// ForVisitors are pages that send anonymous visitors to the login page. Mount them behind
	// the chain, open to everyone (authz.AllowAny).
	ForVisitors
	// ForAccounts are endpoints for an account itself, and not for clients that act for it. Mount
	// them behind the chain (authz.FirstParty).
	ForAccounts
)

// Route is an endpoint with its pattern for http.ServeMux.
type Route struct {
	Pattern string
	Handler http.Handler
	Access  Access
}

// Routes returns all endpoints of the server and of the packages that extend it. Call it when
// all of them are constructed.
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

// Route returns the route of a path of Options().Endpoints. Its pattern is "" if the path is "-";
// Routes leaves it out.
func (s *Server) Route(path string, h http.Handler, a Access) Route {
	if path == "-" {
		return Route{}
	}
	return Route{s.path + path, h, a}
}
