package authz

import (
	"net/http"
)

// The permissions that need no argument, with the names of Django REST Framework.
var (
	// AllowAny lets everybody in. A bad credential is refused all the same.
	AllowAny Permission = named{"AllowAny", func(Access) bool { return true }}
	// IsAuthenticated lets in who was recognised, user or client.
	IsAuthenticated Permission = named{"IsAuthenticated", func(a Access) bool { return a.Identity.Authenticated() }}
	// ReadOnly lets GET, HEAD and OPTIONS pass.
	ReadOnly Permission = named{"ReadOnly", func(a Access) bool { return isSafe(a.Request.Method) }}
	// IsAuthenticatedOrReadOnly lets everybody read and who was recognised write.
	IsAuthenticatedOrReadOnly = Or(ReadOnly, IsAuthenticated)
	// IsAdmin is HasRole("admin").
	IsAdmin = HasRole("admin")
)

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

type named struct {
	name string
	f    func(Access) bool
}

func (n named) Decide(a Access) (Decision, error) { return allowIf(n.f(a)), nil }
func (n named) String() string                    { return n.name }

func allowIf(yes bool) Decision {
	if yes {
		return Allow
	}
	return Deny
}
