package oidclogin_test

import (
	"fmt"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/contrib/oidclogin"
	"github.com/vestibule-auth/vestibule/keys"
)

// All logout messages come from the provider's address. However many other users log out, none is lost.
func TestManyLogoutMessages(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, client(p.server), p.named("one"))
	site, err := csrf.New(origin, nil)
	must(t, err)
	ring, err := keys.NewRing(keys.Generate())
	must(t, err)
	l, err := oidclogin.New(oidclogin.Config{Origin: origin, Site: site, Sessions: a.sessions, Accounts: a.accounts, Replays: a.db, Keys: ring, Providers: []oidclogin.Provider{p.named("one")}},
		&oidclogin.Options{Client: client(p.server), Logger: quiet, Clock: a.now, Next: "/home"}) // with the default Rate
	must(t, err)
	p.set(func() { p.change = claims{"sid": "alice's"} })
	b := a.browser()
	b.login(p, "one")
	a.mux = authz.NewMux(authn.New(authn.Chain{a.sessions}, &authn.Options{Logger: quiet}))
	l.Routes(a.mux)
	send := func(change claims) int {
		r := formOf("/login/with/one/backchannel", "logout_token", p.logoutToken(change))
		r.RemoteAddr = "203.0.113.9:4711"
		return a.browser().send(r).Code
	}
	for i := range 40 {
		send(claims{"sub": fmt.Sprint("other", i), "sid": "x"})
	}
	if got := send(claims{"sid": "alice's"}); got != 200 || b.user() != "" {
		t.Errorf("%d; the session is still of %q", got, b.user())
	}
}
