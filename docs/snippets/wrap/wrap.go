// Package wrap changes the result of another authentication scheme.
package wrap

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
)

// #region wrap

// Blocked rejects subjects that another scheme accepted.
type Blocked struct {
	scheme  authn.Authenticator
	blocked map[string]bool
}

// Unwrap lets the chain find the challenge and the other optional methods of the scheme.
func (b *Blocked) Unwrap() authn.Authenticator { return b.scheme }

func (b *Blocked) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := b.scheme.Authenticate(r)
	if err != nil {
		return authn.Identity{}, err // also authn.ErrNoCredentials
	}
	if b.blocked[id.Subject] {
		return authn.Identity{}, authn.PermissionDenied("This account is blocked.")
	}
	return id, nil
}

// #endregion wrap
