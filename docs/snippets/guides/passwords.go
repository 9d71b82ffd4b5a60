package guides

import (
	"context"
	"errors"
	"log"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/authn/throttle"
	"github.com/vestibule-auth/vestibule/authn/username"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// #region passwords

// newPasswords returns a checker for Unicode names. Create one hasher per process, because it
// limits the number of concurrent hash computations.
func newPasswords(db password.Store, limits authn.LoginLimiter) (*password.Checker, error) {
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &password.Options{
		Canonical: username.Canonical, // the default accepts ASCII names only
		Limiter:   limits,             // nil: a limiter in memory, without device cookies
	})
}

// #endregion passwords

func mountRegister(mux *authz.Mux, register http.Handler, proxies authn.TrustedProxies) error {
	// #region limit
	hourly := throttle.Rate{Limit: 20, Window: time.Hour}
	limited, err := throttle.Anon(throttle.NewMemory(nil), hourly, &throttle.Options{Proxies: proxies})
	if err != nil {
		return err
	}
	mux.Public("POST /register", limited(register))
	// #endregion limit
	return nil
}

// #region change

// changePassword changes the caller's own password and keeps this browser logged in.
func changePassword(passwords *password.Checker, browsers *session.Scheme) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := authn.UserFrom[*storage.Account](r.Context())
		if !ok {
			authn.Respond(w, r, authn.PermissionDenied(""))
			return
		}
		err := browsers.Keep(w, r, func() (authn.Login, error) {
			return passwords.ChangeOwn(r, user.Name, r.PostFormValue("old"), r.PostFormValue("new"))
		})
		if err != nil {
			authn.Respond(w, r, err) // 400 for the field old_password or password; 401, 429, 503
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// #endregion change

func mountChange(mux *authz.Mux, passwords *password.Checker, browsers *session.Scheme) {
	// #region mountchange
	mux.Handle("POST /password", changePassword(passwords, browsers), authz.FirstParty)
	// #endregion mountchange
}

// #region shared

// shareTable returns a checker for a table that an old program reads and writes too.
func shareTable(db password.Store) (*password.Checker, error) {
	hasher, err := password.NewHasher(&password.HasherOptions{NewFormat: password.Bcrypt("2y", 12)})
	if err != nil {
		return nil, err
	}
	return password.New(db, hasher, &password.Options{Rehash: password.RehashNever})
}

// #endregion shared

// people is what the application's table and its mail system offer.
type people interface {
	UserByVerifiedEmail(ctx context.Context, address string) (storage.User, error)
	SendResetLink(ctx context.Context, to, link string) error
}

// #region recovery

// mountRecovery adds password reset to a server with sessions. It runs until ctx is done.
func mountRecovery(ctx context.Context, mux *authz.Mux, db recovery.Store, passwords *password.Checker,
	browsers *session.Scheme, app people) error {
	deliver := func(ctx context.Context, m recovery.Message) error {
		return app.SendResetLink(ctx, m.User.Email, m.Link)
	}
	resets, err := recovery.New(db, passwords, "https://app.example/reset", app.UserByVerifiedEmail, deliver, nil)
	if err != nil {
		return err
	}
	go func() { // finds the accounts and sends the messages
		if err := resets.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Print(err)
		}
	}()
	// The pages for people.
	forms := &recovery.FormOptions{Login: "/login", Request: "/forgot"}
	mux.Public("/forgot", resets.RequestForm(forms))
	mux.Public("/reset", resets.ResetForm(forms)) // the path of the page in the links
	mux.Public("/login", browsers.LoginForm(resets.Checker(passwords), &session.FormOptions{Forgot: "/forgot"}))
	// The endpoints for scripts and apps.
	mux.Public("POST /api/forgot", resets.Request())
	mux.Public("POST /api/reset", resets.Reset())
	mux.Public("POST /api/login", browsers.Login(resets.Checker(passwords)))
	return nil
}

// #endregion recovery
