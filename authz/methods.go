package authz

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

// ByMethod asks another permission for each HTTP method. A method that it does
// not name is refused with 405 to who is authenticated. HEAD is asked as GET
// where it is not named itself.
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
	p, ok := b[a.Request.Method]
	if !ok && a.Request.Method == http.MethodHead {
		p, ok = b[http.MethodGet]
	}
	switch {
	case ok:
		return eval(p, a)
	case !a.Identity.Authenticated():
		return verdict{reason: errAnonymous, blind: blind}
	}
	return verdict{reason: authn.MethodNotAllowed(a.Request.Method)}
}

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
// authenticated. ModelPermissionsWithView also asks for app.view_model.
func ModelPermissions(app, model string) Permission {
	return modelPermissions(app, model, IsAuthenticated)
}

// ModelPermissionsWithView is ModelPermissions where reading needs
// app.view_model.
func ModelPermissionsWithView(app, model string) Permission {
	return modelPermissions(app, model, HasPerm(app+".view_"+model))
}

func modelPermissions(app, model string, read Permission) Permission {
	change := HasPerm(app + ".change_" + model)
	return And(IsAuthenticated, ByMethod(map[string]Permission{
		http.MethodGet:     read,
		http.MethodOptions: read,
		http.MethodPost:    HasPerm(app + ".add_" + model),
		http.MethodPut:     change,
		http.MethodPatch:   change,
		http.MethodDelete:  HasPerm(app + ".delete_" + model),
	}))
}
