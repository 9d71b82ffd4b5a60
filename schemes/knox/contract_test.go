package knox_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestContract(t *testing.T) {
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := storetest.NewAccounts(t, born)
		x := scheme(t, a.Store, &knox.Options{Clock: a.Clock, TTL: 2 * time.Minute, Logger: slog.New(slog.NewTextHandler(a, nil)), Audit: audit.To(func(_ context.Context, e audit.Event) { a.Print(e) })})
		token := func(subject string, scopes []string) (func(*http.Request), storage.Credential, string) {
			text, rec := issue(t, x, subject, knox.Token{Scopes: scopes})
			return schemetest.Sends("Knox " + text), rec, text
		}
		good, rec, text := token("id-alice", nil)
		other, _, _ := token("id-bob", nil)
		scoped, _, _ := token("id-alice", []string{"read"})
		scopeless, _, _ := token("id-alice", []string{})
		return authntest.World{
			Scheme: x, Good: good, Other: other, Scoped: scoped, Scopeless: scopeless, Unknown: schemetest.Sends("Knox " + unknown),
			Bad: map[string]func(*http.Request){
				"changed": schemetest.Sends("Knox " + schemetest.Tampered(text)), "another shape": schemetest.Sends("Knox junk"), "empty": schemetest.Sends("Knox"),
				"under Bearer": schemetest.Sends("Bearer " + unknown),
			},
			Expire: func() { a.Pass(2 * time.Minute) }, Revoke: func() { a.Must(x.Revoke(context.Background(), "id-alice", rec.ID)) },
			Disable: a.Disable, LogoutEverywhere: a.LogoutEverywhere, Fail: a.Base.Fail, Written: a.Written,
		}
	})
}

// unknown is a token that was never issued.
var unknown = credential.MustFormat("vkn").Encode([credential.Size]byte{1})
