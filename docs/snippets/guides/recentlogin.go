package guides

import (
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// #region recent

// mountTransfers requires a login of the last five minutes, for the page and for the API.
func mountTransfers(mux *authz.Mux, browsers *session.Scheme, passwords authn.PasswordChecker, page, send http.HandlerFunc) {
	recent := authz.Fresh(5 * time.Minute)
	mux.Public("/login", browsers.LoginForm(passwords, nil))
	mux.Handle("GET /transfers/new", authn.Page("/login", page), authz.FirstParty, recent)
	mux.HandleFunc("POST /transfers", send, authz.HasScope("transfers"), recent)
}

// #endregion recent

// #region confirm

// mountConfirm mounts the page on which logged-in users confirm their password.
func mountConfirm(mux *authz.Mux, browsers *session.Scheme, passwords authn.PasswordChecker) {
	mux.Public("/confirm", browsers.ConfirmForm(passwords, &session.ConfirmOptions{Login: "/login"}))
}

// #endregion confirm
