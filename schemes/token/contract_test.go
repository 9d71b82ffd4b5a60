package token_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/token"
)

func TestContract(t *testing.T) {
	for name, format := range map[string]token.Format{"prefixed": token.Prefixed, "hex": token.Hex40} {
		t.Run(name, func(t *testing.T) {
			authntest.Run(t, func(t *testing.T) authntest.World { return world(t, format) })
		})
	}
}

func world(t *testing.T, format token.Format) authntest.World {
	a := storetest.NewAccounts(t, time.Unix(1_800_000_000, 0))
	x := scheme(t, a.Store, schemetest.Ring(t), &token.Options{Format: format, Clock: a.Clock, Audit: audit.To(func(_ context.Context, e audit.Event) { a.Print(e) })})
	of := func(subject string) func(*http.Request) {
		text, err := x.GetOrCreate(t.Context(), subject, 0)
		schemetest.Must(t, err)
		return schemetest.Sends("Token " + text)
	}
	unknown := credential.MustFormat("vst").Encode([credential.Size]byte{1})
	if format == token.Hex40 {
		unknown = "0123456789abcdef0123456789abcdef01234567"
	}
	return authntest.World{
		Scheme: x, Good: of("id-alice"), Other: of("id-bob"), Unknown: schemetest.Sends("Token " + unknown),
		Bad: map[string]func(*http.Request){
			"malformed": schemetest.Sends("Token vst_x"), "empty": schemetest.Sends("Token"),
		},
		Revoke: func() { schemetest.Must(t, x.Revoke(context.Background(), "id-alice")) }, Disable: a.Disable, LogoutEverywhere: a.LogoutEverywhere,
		Fail: a.Base.Fail, Written: a.Written,
	}
}
