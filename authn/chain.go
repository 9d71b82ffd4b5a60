package authn

import "net/http"

// Chain asks its members in order.
type Chain []Authenticator

// Authenticate asks the members in order.
func (c Chain) Authenticate(r *http.Request) (Identity, error) { return Identity{}, ErrNoCredentials }
