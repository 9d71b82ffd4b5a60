package link_test

import (
	"net/http"
	"net/http/httptest"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/link"
)

// explained is a scheme that finds the account of a user.
type explained struct{ d *link.Directory }

func (e explained) Authenticate(r *http.Request) (authn.Identity, error) {
	u, err := e.d.AccountOf(r.Context(), idp, "7", nil)
	return authn.Identity{Subject: u.ID}, err
}

func newRequest() *http.Request { return httptest.NewRequest("GET", "/", nil) }
