package authz

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Upgrade is the key of [ByMethod] for requests that ask for another protocol, such as a WebSocket.
// They begin with a GET (RFC 6455, section 4.1), or with the CONNECT of RFC 8441, and the caller
// can then write. It is no HTTP method: no request line can hold it.
const Upgrade = "(upgrade)"

// ByMethod evaluates another permission for each HTTP method. To authenticated callers a method
// that it does not name is answered with 405. HEAD is evaluated as GET if it is not named itself.
//
// A GET, HEAD or OPTIONS that asks for another protocol (see [authn.MayChange]) is no read: it is
// evaluated as [Upgrade], and refused with 403 if that is not named. So is an HTTP/2 CONNECT with a
// ":protocol", which is evaluated as CONNECT if only that is named.
//
// Not of a ByMethod refuses what is not named, too.
func ByMethod(ps map[string]Permission) Permission {
	if len(ps) == 0 {
		panic("authz: ByMethod: no method (at least one is required)")
	}
	for m, p := range ps {
		if isNil(p) {
			panic(fmt.Sprintf("authz: ByMethod: the permission for %q is nil (%T)", m, p))
		}
	}
	return byMethod(maps.Clone(ps))
}

type byMethod map[string]Permission

func (b byMethod) Decide(a Access) (Decision, error) { return b.eval(&a).results() }

func (b byMethod) eval(a *Access) verdict {
	p, ok := b.of(a.Request)
	switch {
	case ok:
		return eval(p, a)
	case !a.Identity.Authenticated():
		return verdict{reason: errAnonymous, blind: blind}
	case isUpgrade(a.Request):
		return verdict{reason: errUpgrade, blind: blind}
	}
	return verdict{reason: authn.MethodNotAllowed(a.Request.Method), blind: blind}
}

// of returns the permission for a request.
func (b byMethod) of(r *http.Request) (p Permission, ok bool) {
	if isUpgrade(r) {
		p, ok = b[Upgrade]
		if ok || r.Method != http.MethodConnect {
			return p, ok
		}
	}
	p, ok = b[r.Method]
	if !ok && r.Method == http.MethodHead {
		p, ok = b[http.MethodGet]
	}
	return p, ok
}

// isUpgrade reports a request that asks for another protocol by a method that says nothing of it.
func isUpgrade(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return authn.MayChange(r)
	case http.MethodConnect:
		return len(r.Header[":protocol"]) > 0 // as net/http passes it on (RFC 8441, section 4)
	}
	return false
}

var errUpgrade = authn.PermissionDenied("A request for another protocol is not allowed here.")

func (b byMethod) String() string {
	var s strings.Builder
	for i, m := range slices.Sorted(maps.Keys(b)) {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(m + ": " + name(b[m]))
	}
	return "ByMethod(" + s.String() + ")"
}

// ModelPermissions is DjangoModelPermissions: POST needs app.add_model, PUT and
// PATCH app.change_model, DELETE app.delete_model; to read it is enough to be
// authenticated. ModelPermissionsWithView also requires app.view_model. A request for a WebSocket or
// another protocol requires all of them, because anything can be written over it.
func ModelPermissions(app, model string) Permission {
	return modelPermissions(app, model, IsAuthenticated)
}

// ModelPermissionsWithView is ModelPermissions where reading needs
// app.view_model.
func ModelPermissionsWithView(app, model string) Permission {
	return modelPermissions(app, model, HasPerm(app+".view_"+model))
}

func modelPermissions(app, model string, read Permission) Permission {
	add, change, remove := HasPerm(app+".add_"+model), HasPerm(app+".change_"+model), HasPerm(app+".delete_"+model)
	return And(IsAuthenticated, ByMethod(map[string]Permission{
		http.MethodGet:     read,
		http.MethodOptions: read,
		http.MethodPost:    add,
		http.MethodPut:     change,
		http.MethodPatch:   change,
		http.MethodDelete:  remove,
		Upgrade:            And(read, add, change, remove),
	}))
}
