package password

import (
	"context"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// canonical returns the normal form of a name, or why the name is invalid. All invalid names count
// as one account, which does not exist. err is a panic of the hook.
func (c *Checker) canonical(name string) (form string, refused, err error) {
	if refused = storage.CheckID("user name", name); refused == nil {
		form, refused, err = c.form(name)
	}
	if refused == nil && err == nil && form != name {
		refused = storage.CheckID("user name", form)
	}
	if refused != nil {
		form = "\x00no name"
	}
	return form, refused, err
}

// form calls Options.Canonical. Cached logins call it too, so it allocates only if the hook panics.
func (c *Checker) form(name string) (form string, refused, err error) {
	defer func() {
		if v := recover(); v != nil {
			form, err = audit.Call("password.Options.Canonical", func() (string, error) { panic(v) })
		}
	}()
	form, refused = c.opts.Canonical(name)
	return form, refused, nil
}

func (c *Checker) sleep(ctx context.Context, d time.Duration) error {
	_, err := audit.Call("password.Options.Sleep", func() (any, error) { c.opts.Sleep(ctx, d); return nil, nil })
	return err
}
