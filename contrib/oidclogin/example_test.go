package oidclogin_test

import (
	"context"
	"html/template"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/link"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/oidclogin"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// #region accounts

const company = "https://login.company.example"

// newAccounts decides about users who log in for the first time.
func newAccounts(db *gormstore.Store) (*link.Directory, error) {
	return link.New(db, &link.Options{
		First: func(ctx context.Context, p link.Person) (link.Decision, error) {
			if p.Issuer != company {
				return link.Refuse(), nil // users of other providers link an account that they have
			}
			return link.Create(storage.User{Name: p.Text("preferred_username"), Email: p.Text("email")}), nil
		},
	})
}

// #endregion accounts

// #region routes

// addProviders lets users log in at two providers.
func addProviders(mux *authz.Mux, db *gormstore.Store, site *csrf.Site, browsers *session.Scheme, accounts *link.Directory, ring *keys.Ring, secrets map[string]string) error {
	providers := []oidclogin.Provider{
		{Name: "company", Issuer: company, ClientID: "notes", ClientSecret: secrets["company"], LoginClaims: true},
		{Name: "google", Issuer: "https://accounts.google.com", ClientID: "1234.apps.googleusercontent.com", ClientSecret: secrets["google"]},
	}
	l, err := oidclogin.New(oidclogin.Config{
		Origin: "https://app.example", Site: site, Sessions: browsers, Accounts: accounts, Replays: db, Keys: ring, Providers: providers,
	}, nil)
	if err != nil {
		return err
	}
	l.Routes(mux)
	return nil
}

// #endregion routes

// #region page

var loginPage = template.Must(template.New("").Parse(`<!doctype html>
<title>Log in</title>
<form method="post" action="/login/with/company">
	<input type="hidden" name="next" value="{{.}}">
	<button>Sign in with your company account</button>
</form>`))

func showLogin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = loginPage.Execute(w, r.URL.Query().Get("next")) // checked when it is used
}

// #endregion page

// #region address

// newTrustingAccounts links users of the company's provider to accounts with their address.
func newTrustingAccounts(db *gormstore.Store) (*link.Directory, error) {
	return link.New(db, &link.Options{
		First: func(ctx context.Context, p link.Person) (link.Decision, error) {
			address, ok := p.VerifiedEmail(company) // false for every other issuer
			if !ok {
				return link.Refuse(), nil
			}
			u, err := db.UserByName(ctx, address) // this application's names are addresses
			if err != nil {
				return link.Refuse(), err
			}
			return link.To(u.ID), nil
		},
	})
}

// #endregion address
