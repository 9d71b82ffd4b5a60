package authz

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// Permissions without arguments, named as in Django REST Framework.
var (
	// AllowAny allows everyone. Invalid credentials are still rejected.
	AllowAny Permission = allowAny
	// IsAuthenticated allows authenticated callers: users and clients.
	IsAuthenticated Permission = isAuthenticated
	// ReadOnly allows GET, HEAD and OPTIONS. ReadOnly and Not(ReadOnly) both deny a request for
	// another protocol, such as WebSocket, because its handler can read and write; see [Upgrade].
	ReadOnly Permission = readOnly
	// IsAuthenticatedOrReadOnly allows everyone to read, and authenticated callers to write.
	IsAuthenticatedOrReadOnly = Or(ReadOnly, IsAuthenticated)
	// IsAdmin is HasRole("admin").
	IsAdmin = HasRole("admin")
)

func isSafe(r *http.Request) bool { return !authn.MayChange(r) }

type named uint8

const (
	allowAny named = iota
	isAuthenticated
	readOnly
	firstParty
	noScopeNeeded
)

func (n named) allows(r *http.Request, id *authn.Identity) bool {
	switch n {
	case allowAny, noScopeNeeded:
		return true
	case isAuthenticated:
		return id.Authenticated()
	case firstParty:
		return isFirstParty(id)
	}
	return isSafe(r)
}

func (n named) eval(a *Access) verdict {
	if n == firstParty && !a.Identity.Authenticated() {
		return verdict{reason: errAnonymous, basis: uninformed}
	}
	if n == readOnly && isUpgrade(a.Request) { // both a read and a write
		return verdict{reason: errUpgrade, basis: uninformed}
	}
	return verdict{d: allowIf(n.allows(a.Request, &a.Identity))}
}

func (n named) Decide(a Access) (Decision, error) { return n.eval(&a).results() }
func (n named) String() string {
	return [...]string{"AllowAny", "IsAuthenticated", "ReadOnly", "FirstParty", "NoScopeNeeded"}[n]
}

func allowIf(yes bool) Decision {
	if yes {
		return Allow
	}
	return Deny
}
