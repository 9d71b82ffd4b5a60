package guides

import (
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/totp"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// #region secondlogin

// mountTwoSteps mounts a login page that asks for a code if the account has a second factor. The
// login of device tokens has no second step, so it rejects such accounts.
func mountTwoSteps(mux *authz.Mux, browsers *session.Scheme, devices *knox.Scheme, passwords authn.PasswordChecker, factors *totp.TOTP, site *csrf.Site) {
	code := factors.NewPage("/login/code", site, func(w http.ResponseWriter, r *http.Request, l authn.Login, remember bool) error {
		if remember {
			return browsers.StartRemembered(w, r, l)
		}
		return browsers.Start(w, r, l)
	}, &totp.PageOptions{SafeNext: session.SafeNext})
	mux.Public("/login", browsers.LoginForm(passwords, &session.FormOptions{SecondFactor: code.SecondFactor}))
	mux.Public("/login/code", code)
	mux.Public("POST /token", devices.Login(factors.Require(passwords)))
}

// #endregion secondlogin

// #region enroll

// mountFactors mounts what a settings page calls to turn the second factor on and off.
func mountFactors(mux *authz.Mux, browsers *session.Scheme, factors *totp.TOTP) {
	handle := func(f func(r *http.Request, id authn.Identity, epoch int64) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id := authn.FromContext(r.Context())
			_, epoch, ok := browsers.FromIdentity(id)
			if !ok {
				authn.Respond(w, r, authn.PermissionDenied("Log in on the website first."))
				return
			}
			answer, err := f(r, id, epoch)
			if errors.Is(err, totp.ErrEnrolled) {
				err = authn.BadRequest("The second factor is on already.")
			}
			if err != nil {
				authn.Respond(w, r, err)
				return
			}
			w.Header().Set("Cache-Control", "no-store") // the answer has secrets
			login.Answer(w, answer)
		}
	}
	mux.HandleFunc("POST /factor", handle(func(r *http.Request, id authn.Identity, epoch int64) (any, error) {
		e, err := factors.Enroll(r.Context(), id, epoch, "alice")
		if err != nil {
			return nil, err
		}
		return map[string]string{"key": e.Key(), "url": e.URL()}, nil
	}), authz.FirstParty)
	mux.HandleFunc("POST /factor/confirm", handle(func(r *http.Request, id authn.Identity, epoch int64) (any, error) {
		codes, err := factors.Confirm(r.Context(), id, epoch, r.PostFormValue("code"))
		return map[string][]string{"recovery_codes": codes}, err
	}), authz.FirstParty)
	mux.HandleFunc("DELETE /factor", handle(func(r *http.Request, id authn.Identity, _ int64) (any, error) {
		return map[string]string{}, factors.Disable(r.Context(), id)
	}), authz.FirstParty)
}

// #endregion enroll

// #region vault

// mountVault requires both factors for a route.
func mountVault(mux *authz.Mux, vault http.HandlerFunc) {
	mux.Handle("GET /vault", authn.Page("/login", vault), authz.FirstParty, authz.Factors("otp"))
}

// #endregion vault
