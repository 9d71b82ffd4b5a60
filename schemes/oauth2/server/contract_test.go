package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestContract(t *testing.T) {
	bearer := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
	}
	authntest.Run(t, func(t *testing.T) authntest.World {
		base := &storetest.Failing{Store: memory.New(nil)}
		w := oauthtest.NewWorld(t, base, nil)
		oauthtest.Must(t, base.CreateUser(t.Context(), storage.User{ID: "id-bob", Name: "bob", Active: true}))
		good := w.Exchange("app", w.Code("app", nil))
		bob := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Subject = "id-bob" }))
		bound := w.Exchange("app", w.Code("app", func(c *storage.Code) { c.Confirm = "thumbprint" }))
		return authntest.World{
			Scheme: w.Scheme(), Good: bearer(good.Access), Other: bearer(bob.Access), Scoped: bearer(good.Access), Unknown: bearer(unknown),
			Bad: map[string]func(*http.Request){
				"malformed": bearer("vat_x"), "changed": bearer(oauthtest.Changed(good.Access)), "attack_185_bound": bearer(bound.Access),
				"a refresh token": bearer(good.Refresh),
			},
			Expire: func() { w.Pass(time.Duration(good.Expires) * time.Second) },
			Revoke: func() { w.Post(w.Revoke(), "app", "token", good.Access) },
			Disable: func() {
				oauthtest.Must(t, base.SetActive(context.Background(), "id-alice", false))
			},
			LogoutEverywhere: func() {
				_, err := base.BumpEpoch(context.Background(), "id-alice")
				oauthtest.Must(t, err)
			},
			Fail:    base.Fail,
			Written: func() string { return w.Log.String() },
		}
	})
}

// unknown is a token that was never issued.
var unknown = "vat_" + strings.Repeat("A", 43) + "000000"
