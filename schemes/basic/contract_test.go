package basic_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/storage"
)

func TestContract(t *testing.T) {
	authntest.Run(t, func(t *testing.T) authntest.World {
		a := storetest.NewAccounts(t, time.Unix(1_800_000_000, 0))
		c := &plain{accounts: a}
		c.passwords.Store("alice", "wonderland-42")
		c.passwords.Store("bob", "bob-the-builder-42")
		x, err := basic.New(c, nil)
		a.Must(err)
		as := func(text string) func(*http.Request) { return schemetest.Sends(pair(text)) }
		return authntest.World{
			Scheme: x, Good: as("alice:wonderland-42"), Other: as("bob:bob-the-builder-42"), Unknown: as("eve:eavesdropper-42"),
			Bad: map[string]func(*http.Request){"wrong": as("alice:looking-glass-42"), "no colon": as("wonderland-42"), "empty": as("")},
			Revoke: func() { // a new password
				c.passwords.Store("alice", "looking-glass-43")
				a.Must(a.SetPassword(context.Background(), "id-alice", "new"))
			},
			Disable: a.Disable, Fail: a.Base.Fail, Written: a.Written,
		}
	})
}

// plain compares passwords without hashing, to keep the test fast.
type plain struct {
	accounts  *storetest.Accounts
	passwords sync.Map
}

func (c *plain) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	u, err := c.accounts.UserByName(r.Context(), name)
	right, _ := c.passwords.Load(name)
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && (right != password || !u.Active):
		return authn.Login{}, authn.InvalidLogin()
	case err != nil:
		return authn.Login{}, err
	}
	l := authn.Login{Subject: u.ID, Name: u.Name, Roles: u.Roles, User: u.WithPermissions(c.accounts.Store), Epoch: u.Epoch}
	return l.Kept(c, authn.Keep{Lease: u.LeaseOf(c.accounts.Store)}), nil
}
