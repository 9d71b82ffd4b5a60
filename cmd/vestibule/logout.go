package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// logoutAll revokes the credentials of all accounts. If it is interrupted, the error says how to
// continue.
func logoutAll(ctx context.Context, c *cli.Command, db *gormstore.Store) error {
	if err := noArguments(c); err != nil {
		return err
	}
	var before time.Time
	start := time.Now()
	if text := c.String("before"); text != "" {
		var err error
		if before, err = time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("-before: invalid time %q (RFC 3339, such as 2026-12-24T18:00:00Z)", text)
		}
		if before.After(start) {
			return errors.New("-before: time is in the future")
		}
		start = before
	}
	record, err := newRecorder(db)
	if err != nil {
		return err
	}
	n, err := storage.LogoutAll(ctx, recordedLogouts{db, record}, before)
	if err != nil {
		return fmt.Errorf("stopped after %d accounts: %w (continue with -all -before %s)", n, err, start.UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(c.Root().Writer, "logged out %d accounts everywhere; their tokens and sessions are revoked (%s)\n", n, follow(ctx, db))
	return nil
}
