package authz

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// The permissions that need no argument, with the names of Django REST Framework.
var (
	// AllowAny lets everybody in. A bad credential is refused all the same.
	AllowAny Permission = allowAny
	// IsAuthenticated lets in who was recognised, user or client.
	IsAuthenticated Permission = isAuthenticated
	// ReadOnly lets GET, HEAD and OPTIONS pass. A request for another protocol, such as a WebSocket, is
	// refused by ReadOnly and by Not(ReadOnly), because its handler may read and write; see [Upgrade].
	ReadOnly Permission = readOnly
	// IsAuthenticatedOrReadOnly lets everybody read and who was recognised write.
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
		return verdict{reason: errAnonymous, blind: blind}
	}
	if n == readOnly && isUpgrade(a.Request) { // neither a read nor a write alone
		return verdict{reason: errUpgrade, blind: blind}
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
