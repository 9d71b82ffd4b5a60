package server

import (
	"cmp"
	"fmt"
)

// Endpoints are the paths of the endpoints, relative to the path of the issuer. "" means the
// default path. "-" means that there is no such endpoint, so the metadata and Routes omit it. The
// metadata lists an endpoint whether or not it is mounted.
type Endpoints struct {
	Authorize           string // "/oauth2/authorize"
	Token               string // "/oauth2/token"
	Revoke              string // "/oauth2/revoke"
	Introspect          string // "/oauth2/introspect"
	PushedAuthorization string // "/oauth2/par"
	JWKS                string // "/oauth2/jwks"; with SigningKeys
	UserInfo            string // "/oauth2/userinfo"; with package openid
	Logout              string // "/oauth2/logout"; with openid.Options.EndSession
	// DeviceAuthorization is the endpoint "/oauth2/device_authorization", and Device the page
	// "/oauth2/device". They exist only with Options.Keys.
	DeviceAuthorization, Device string
	Register                    string // "/oauth2/register"; with package registration
	Grants                      string // "/oauth2/grants"; with package consent
	GrantsPage                  string // "/oauth2/applications"; with package consent
}

// all returns the paths with their defaults.
func (e *Endpoints) all() map[*string]string {
	return map[*string]string{
		&e.Authorize: "/oauth2/authorize", &e.Token: "/oauth2/token", &e.Revoke: "/oauth2/revoke", &e.Introspect: "/oauth2/introspect",
		&e.PushedAuthorization: "/oauth2/par", &e.JWKS: "/oauth2/jwks", &e.UserInfo: "/oauth2/userinfo", &e.Logout: "/oauth2/logout",
		&e.DeviceAuthorization: "/oauth2/device_authorization", &e.Device: "/oauth2/device", &e.Register: "/oauth2/register",
		&e.Grants: "/oauth2/grants", &e.GrantsPage: "/oauth2/applications",
	}
}

func (e Endpoints) defaults() Endpoints {
	for path, otherwise := range e.all() {
		*path = cmp.Or(*path, otherwise)
	}
	return e
}

func (e Endpoints) check() error {
	for path := range e.all() {
		if *path != "-" && (*path)[0] != '/' {
			return fmt.Errorf("server: New: invalid endpoint %q (a path that begins with a slash, or \"-\" for none)", *path)
		}
	}
	return nil
}

// URL returns the URL of a path of Options().Endpoints, and "" for "-".
func (s *Server) URL(path string) string {
	if path == "-" {
		return ""
	}
	return s.issuer + path
}
