package password_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// Strangers who register do not keep an owner from changing the password: whoever knows the old
// one waits with the known callers.
func TestChangeBesideRegistrations(t *testing.T) {
	t.Run("edge_A11/change", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, err := password.NewHasher(&password.HasherOptions{Slots: 1, MaxWait: time.Minute, MaxWaiting: 8})
			must(t, err)
			registering := false
			c, err := password.New(memory.New(nil), h, &password.Options{Validate: func(ctx context.Context, _ storage.User, _ string) error {
				if !registering {
					return nil
				}
				// The old password was right. Now others register, as many as may wait.
				release, err := h.Hold(ctx, "")
				must(t, err)
				for range 2 {
					go func() {
						release, err := h.Hold(ctx, "")
						must(t, err)
						release()
					}()
					synctest.Wait()
				}
				time.AfterFunc(time.Second, release)
				return nil
			}})
			must(t, err)
			_, err = c.Register(t.Context(), password.NewUser{Name: "alice", Password: secret})
			must(t, err)
			registering = true
			if _, err := c.ChangeOwn(httptest.NewRequest("POST", "/", nil), "alice", secret, "looking-glass-1"); err != nil {
				t.Error(err)
			}
		})
	})
}
