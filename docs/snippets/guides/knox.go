package guides

import (
	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
)

// #region routes

// newDevices returns a router with the endpoints of device tokens. Routes that you add to it accept
// the tokens.
func newDevices(db knox.Store, passwords authn.PasswordChecker) (*authz.Mux, error) {
	tokens, err := knox.New(db, nil)
	if err != nil {
		return nil, err
	}
	mux := authz.NewMux(authn.New(authn.Chain{tokens}, nil))
	mux.Public("POST /knox/login", tokens.Login(passwords))
	mux.Public("POST /knox/logout", tokens.Logout())
	mux.Public("POST /knox/logoutall", tokens.LogoutAll())
	mux.Public("POST /knox/logoutothers", tokens.LogoutOthers())
	mux.Handle("GET /knox/tokens", tokens.Tokens(), authz.FirstParty)
	mux.Handle("DELETE /knox/tokens/{id}", tokens.RevokeOne(), authz.FirstParty)
	return mux, nil
}

// #endregion routes
