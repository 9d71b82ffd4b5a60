package server

import (
	"errors"
	"slices"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// mayName returns the resources for which a client may request tokens: the application's own API,
// which is allowed for every client, and the client's registered resources. storage.Client.Serves
// is a different right.
func (s *Server) mayName(c storage.Client) []string {
	return s.withAudience(s.withinOptions(c).Resources)
}

// own returns the resources of a request without a resource: the application's own API. They are
// stored in everything that is issued, because a record without a resource would be valid for
// whichever API reads it.
func (s *Server) own() []string { return s.withAudience(nil) }

// orOwn returns resource or, if it is empty, the resources of a request without a resource.
func (s *Server) orOwn(resource []string) []string {
	if len(resource) > 0 {
		return resource
	}
	return s.own()
}

func (s *Server) withAudience(list []string) []string {
	if s.apiOpts.Audience == "" || slices.Contains(list, s.apiOpts.Audience) {
		return list
	}
	return append([]string{s.apiOpts.Audience}, list...)
}

// resourcesOfGrant returns the resources that a request for tokens of a grant names, or else all
// resources of the grant. The client may have lost some since the grant. If it has lost all of
// them, the error is invalid_target, because a token without a resource must not be issued for this
// application's API. For the same reason a server with an Audience rejects a grant without
// resources, which a server without an Audience issued.
func (s *Server) resourcesOfGrant(x exchange, resource []string) ([]string, error) {
	switch allowed := s.stillNames(resource, x.client); {
	case len(resource) == 0 && s.apiOpts.Audience != "":
		return nil, errGrant.WithCause(errors.New("grant without a resource"))
	case len(resource) > 0 && len(allowed) == 0:
		return nil, errTarget.WithCause(errors.New("client has lost the resources of the grant"))
	default:
		return resourcesOf(x.form, allowed, allowed)
	}
}

// stillNames returns the resources for which the client may currently request tokens.
func (s *Server) stillNames(resource []string, c storage.Client) []string {
	allowed := s.mayName(c)
	return slices.DeleteFunc(slices.Clone(resource), func(one string) bool { return !slices.Contains(allowed, one) })
}

// resourcesOf returns the resources that a request names, in the spelling of allowed; all of them
// must be in allowed. If the request names none, it returns otherwise.
func resourcesOf(f oauth2.Form, allowed, otherwise []string) ([]string, error) {
	named := f.Values["resource"]
	if len(named) == 0 {
		return otherwise, nil
	}
	if len(named) > len(allowed) { // so one is not allowed or is a duplicate
		return nil, errTarget
	}
	list := make([]string, len(named))
	for i, uri := range named {
		at := indexOfResource(allowed, uri)
		if at < 0 || slices.Contains(list[:i], allowed[at]) {
			return nil, errTarget
		}
		list[i] = allowed[at]
	}
	return list, nil
}

// indexOfResource finds a resource, byte for byte or else after normalizing scheme, host, default
// port and empty path (RFC 3986, sections 6.2.2 and 6.2.3).
func indexOfResource(allowed []string, uri string) int {
	if i := slices.Index(allowed, uri); i >= 0 {
		return i
	}
	want, ok := syntax.NormalURI(uri)
	if !ok {
		return -1
	}
	return slices.IndexFunc(allowed, func(one string) bool {
		got, ok := syntax.NormalURI(one)
		return ok && got == want
	})
}
