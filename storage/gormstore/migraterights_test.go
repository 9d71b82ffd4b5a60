package gormstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	neturl "net/url"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
)

// An up-to-date schema is found by reading, so that the role of the application need not own it.
func TestMigrateWithoutRights(t *testing.T) {
	url := storetest.URL(t)
	admin := opened(t)(postgres.Open(url, &patient))
	role := "r" + strings.ToLower(rand.Text())
	db := admin.DB(t.Context())
	if err := db.Exec("CREATE ROLE " + role + " LOGIN").Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the context of the test has ended
		db := admin.DB(context.Background())
		if err := errors.Join(db.Exec("DROP OWNED BY "+role).Error, db.Exec("DROP ROLE "+role).Error); err != nil {
			t.Error(err)
		}
	})
	if err := db.Exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + role).Error; err != nil {
		t.Fatal(err)
	}
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = neturl.User(role)
	t.Run("edge_C07/tables are granted", func(t *testing.T) {
		s := opened(t)(postgres.Open(u.String(), &patient))
		if err := s.Migrate(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("edge_C07/read-only", func(t *testing.T) {
		s := opened(t)(postgres.Open(withMode(url, "exec")+"&default_transaction_read_only=on", nil))
		if err := s.Migrate(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
