package remoteuser_test

import (
	"context"
	"errors"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// With required events, an account is created only with its event.
func TestRequiredEvents_attack_480(t *testing.T) {
	users := &schemetest.FullLog{Store: memory.New(nil)}
	events, err := audit.New(func(context.Context, audit.Event) {}, &audit.Options{Required: true})
	schemetest.Must(t, err)
	nets, err := authn.NewTrustedProxies("10.0.0.0/8")
	schemetest.Must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: nets})
	schemetest.Must(t, err)
	x, err := remoteuser.New(header, nets, users, site, &remoteuser.Options{Create: remoteuser.NewUser, Audit: events})
	schemetest.Must(t, err)
	users.Full = true
	var refused *authn.Error
	if id, err := x.Authenticate(request("GET", "dave")); err == nil || errors.As(err, &refused) {
		t.Errorf("an account without its event: %+v, %v", id, err)
	}
	if _, err := users.UserByName(t.Context(), "dave"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the account exists: %v", err)
	}
	users.Full = false
	_, err = x.Authenticate(request("GET", "dave"))
	schemetest.Must(t, err)
	list, err := users.AuditAfter(t.Context(), "", 10)
	if err != nil || len(list) != 1 || list[0].Kind != string(audit.AccountCreated) {
		t.Errorf("%+v, %v", list, err)
	}
	only := struct{ storage.Users }{users}
	if _, err := remoteuser.New(header, nets, only, site, &remoteuser.Options{Create: remoteuser.NewUser, Audit: events}); err == nil {
		t.Error("users without a log were accepted")
	}
	if _, err := remoteuser.New(header, nets, only, site, &remoteuser.Options{Audit: events}); err != nil {
		t.Errorf("a scheme that creates no accounts needs no log: %v", err)
	}
}
