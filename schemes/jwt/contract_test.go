package jwt_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
)

func TestContract(t *testing.T) {
	for name, stateless := range map[string]bool{"with accounts": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			authntest.Run(t, func(t *testing.T) authntest.World { return contract(t, stateless) })
		})
	}
}

func contract(t *testing.T, stateless bool) authntest.World {
	a := storetest.NewAccounts(t, time.Unix(1_800_000_000, 0))
	options := &jwt.Options{Stateless: stateless, Clock: a.Clock, Logger: slog.New(slog.NewTextHandler(a, nil)), Audit: audit.To(func(_ context.Context, e audit.Event) { a.Print(e) })}
	x, err := jwt.New(issuer, audience, ringOf(t, jose.ES256), a.Store, options)
	schemetest.Must(t, err)
	strange, err := jwt.New(issuer, audience, ringOf(t, jose.ES256), a.Store, options)
	schemetest.Must(t, err)
	login := func(x *jwt.Scheme, subject string, g *jwt.Grant) jwt.Pair {
		p, err := x.Issue(t.Context(), subject, 0, g)
		schemetest.Must(t, err)
		return p
	}
	good := login(x, "id-alice", nil)
	w := authntest.World{
		Scheme: x, Good: schemetest.Sends("Bearer " + good.Access), Other: schemetest.Sends("Bearer " + login(x, "id-bob", nil).Access), Unknown: schemetest.Sends("Bearer " + login(strange, "id-alice", nil).Access),
		Scoped:    schemetest.Sends("Bearer " + login(x, "id-alice", &jwt.Grant{Scopes: []string{"read"}}).Access),
		Scopeless: schemetest.Sends("Bearer " + login(x, "id-alice", &jwt.Grant{Scopes: []string{}}).Access),
		Bad: map[string]func(*http.Request){
			"signature": schemetest.Sends("Bearer " + good.Access[:len(good.Access)-4] + "AAAA"), "shape": schemetest.Sends("Bearer junk"), "refresh token": schemetest.Sends("Bearer " + good.Refresh), "unsigned": schemetest.Sends("Bearer eyJhbGciOiJub25lIn0.e30."),
		},
		Expire: func() { a.Pass(5 * time.Minute) }, Revoke: func() { schemetest.Must(t, x.Revoke(context.Background(), good.Refresh)) },
		Disable: a.Disable, LogoutEverywhere: a.LogoutEverywhere, Fail: a.Base.Fail, Written: a.Written,
	}
	return w
}
