package authz

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// Upgrade is the key in [ByMethod] for requests that switch to another protocol, such as WebSocket.
// They use GET (RFC 6455, section 4.1) or the extended CONNECT of RFC 8441, and afterwards the
// caller can read and write. It is not an HTTP method and cannot appear in a request line.
const Upgrade = "(upgrade)"

// ByMethod returns a permission that evaluates a different permission for each HTTP method.
// Authenticated callers get 405 for a method that ps does not hold. HEAD uses the permission for
// GET unless ps holds HEAD. ByMethod panics if ps is empty or holds a nil permission.
//
// A GET, HEAD or OPTIONS that asks for another protocol (see [authn.MayChange]) does not count as a
// read. It uses the permission for [Upgrade], and is denied with 403 if there is none. An HTTP/2
// CONNECT with a ":protocol" also uses Upgrade, or else the permission for CONNECT.
//
// Not(ByMethod(…)) also denies methods that ps does not hold.
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
	p, ok := b.permissionFor(a.Request)
	switch {
	case ok:
		return eval(p, a)
	case !a.Identity.Authenticated():
		return verdict{reason: errAnonymous, basis: uninformed}
	case isUpgrade(a.Request):
		return verdict{reason: errUpgrade, basis: uninformed}
	}
	return verdict{reason: authn.MethodNotAllowed(a.Request.Method), basis: uninformed}
}

// permissionFor returns the permission for a request.
func (b byMethod) permissionFor(r *http.Request) (p Permission, ok bool) {
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

// isUpgrade reports whether r asks for another protocol with a method that does not show it.
func isUpgrade(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return authn.MayChange(r)
	case http.MethodConnect:
		return len(r.Header[":protocol"]) > 0 // net/http adds it (RFC 8441, section 4)
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

// ModelPermissions works like DjangoModelPermissions: POST requires app.add_model, PUT and PATCH
// app.change_model, DELETE app.delete_model. GET, HEAD and OPTIONS only require an authenticated
// caller; use [ModelPermissionsWithView] to require app.view_model for them.
//
// A request for WebSocket or another protocol requires all of these permissions, because the caller
// can write anything over it.
func ModelPermissions(app, model string) Permission {
	return modelPermissions(app, model, IsAuthenticated)
}

// ModelPermissionsWithView is [ModelPermissions] with app.view_model required for reading.
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
