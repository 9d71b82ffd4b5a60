package password

import (
	"context"

	"github.com/vestibule-auth/vestibule/authn/audit"
)

func (c *Checker) notify(ctx context.Context, kind audit.Kind, subject string) {
	c.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Scheme: "password", Subject: subject})
}

// changed runs a change of an account in a transaction, and reports its event.
func (c *Checker) changed(ctx context.Context, kind audit.Kind, subject string, change func(context.Context) error) error {
	return c.opts.Audit.Change(ctx, c.store, func(ctx context.Context) error {
		err := c.store.InTx(ctx, change)
		if err == nil {
			c.notify(ctx, kind, subject)
		}
		return err
	})
}
