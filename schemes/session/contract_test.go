package session_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/session"
)

// contract returns the World of a scheme whose login sets a cookie.
func contract(t *testing.T, a *storetest.Accounts, scheme authn.Authenticator, login http.Handler) authntest.World {
	loggedIn := func(name string) func(*http.Request) {
		r := httptest.NewRequest("POST", site+"/login", bytes.NewBufferString(`{"username":"`+name+`","password":"right"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		authn.New(scheme, nil).Public(login).ServeHTTP(w, r)
		if cookie(w) == "" {
			t.Fatalf("no cookie: %d %s", w.Code, w.Body)
		}
		return visits(cookie(w))
	}
	return authntest.World{
		Scheme: scheme, Good: loggedIn("alice"), Other: loggedIn("bob"),
		Bad:    map[string]func(*http.Request){"junk": visits("__Host-session=junk"), "empty": visits("__Host-session=")},
		Expire: func() { a.Pass(10 * time.Minute) }, Disable: a.Disable, LogoutEverywhere: a.LogoutEverywhere, Fail: a.Base.Fail, Written: a.Written,
	}
}

func visits(cookie string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Cookie", cookie)
		r.Host, r.TLS = "app.example", new(tls.ConnectionState)
	}
}

func options(a *storetest.Accounts) session.Options {
	return session.Options{
		Idle: 10 * time.Minute, Absolute: 10 * time.Minute, Interval: 10 * time.Second, Clock: a.Clock, Logger: slog.New(slog.NewTextHandler(a, nil)),
		Audit: audit.To(func(_ context.Context, e audit.Event) { a.Print(e) }),
	}
}

func TestContract(t *testing.T) {
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := storetest.NewAccounts(t, born)
		o := options(a)
		x, err := session.New(a.Store, where, &o)
		schemetest.Must(t, err)
		w := contract(t, a, x, x.Login(password{a.Store}))
		w.Unknown = visits("__Host-session=" + fmt.Sprintf("%043d", 0))
		w.Revoke = func() {
			_, err := x.EndAll(context.Background(), "id-alice", "")
			schemetest.Must(t, err)
		}
		return w
	})
}

func TestContractSealed(t *testing.T) {
	where, err := csrf.New(site, nil)
	schemetest.Must(t, err)
	ring, err := keys.NewRing(bytes.Repeat([]byte("0123456789abcdef"), 2))
	schemetest.Must(t, err)
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := storetest.NewAccounts(t, born)
		o := session.SealedOptions{Options: options(a), Users: a.Store}
		x, err := session.NewSealed(ring, where, &o)
		schemetest.Must(t, err)
		return contract(t, a, x, x.Login(password{a.Store}))
	})
}
