package oauth2_test

import (
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestCheckClient(t *testing.T) {
	good := storage.Client{
		ID: "app", Method: oauth2.SecretBasic, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, RedirectURIs: []string{oauthtest.Redirect},
		Scopes: []string{"read"}, Default: []string{"read"},
	}
	if err := oauth2.CheckClient(good); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*storage.Client){
		"method":                        func(c *storage.Client) { c.Method = "client_secret_jwt" },
		"fragment":                      func(c *storage.Client) { c.RedirectURIs = []string{oauthtest.Redirect + "#x"} },
		"http is allowed":               func(c *storage.Client) { c.LogoutURIs = []string{"http://app.example/"} },
		"unknown grant type":            func(c *storage.Client) { c.Grants = append(c.Grants, "x") },
		"cannot use client_credentials": func(c *storage.Client) { c.Method, c.Grants = oauth2.None, []string{oauth2.ClientCredentials} },
		"no grant":                      func(c *storage.Client) { c.Grants = nil },
		"no redirect URI":               func(c *storage.Client) { c.RedirectURIs = nil },
		"without a grant type":          func(c *storage.Client) { c.Grants = []string{oauth2.RefreshToken} },
		"invalid scope":                 func(c *storage.Client) { c.Scopes = []string{"read", `a"b`} },
		"among its scopes":              func(c *storage.Client) { c.Default = []string{"write"} },
		"client cannot have a secret":   func(c *storage.Client) { c.Method, c.Secret = oauth2.None, storage.DigestOf("x") },
		"empty client id":               func(c *storage.Client) { c.ID = "" },
		"authentication":                func(c *storage.Client) { c.Method = "" },
		"client with two se":            func(c *storage.Client) { c.Secret, c.Password = storage.DigestOf("x"), "y" },
	} {
		c := good
		change(&c)
		if err := oauth2.CheckClient(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	a, d, err := oauth2.NewSecret()
	if b, _, _ := oauth2.NewSecret(); err != nil || a == b || d != storage.DigestOf(a) || !strings.HasPrefix(a, "vcs_") {
		t.Errorf("%v", err)
	}
}
