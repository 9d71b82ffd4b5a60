package gormstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// BenchmarkAccessToken looks random opaque access tokens up, as BenchmarkSession does
// sessions. The floor reads the same columns by the same join.
func BenchmarkAccessToken(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(fmt.Sprintf("%s/10000", kind), func(b *testing.B) {
			const size = 10_000
			s := openBench(b, kind)
			fill(b, s, kind, size)
			ctx := context.Background()
			pool, err := s.DB(ctx).DB()
			if err != nil {
				b.Fatal(err)
			}
			if err := s.CreateClient(ctx, storage.Client{ID: "c", Method: "none"}); err != nil {
				b.Fatal(err)
			}
			// A row is found by its digest alone; token and family have the subject's name.
			for _, statement := range []string{
				"INSERT INTO vestibule_families (id, purpose, subject, client, scopes, resource, confirm, name, epoch, auth_time_us, created_us, expires_us, data, ended) " +
					"SELECT subject, 'bench', subject, 'c', 'read', NULL, '', '', 0, 1, 1, 9000000000000000, NULL, FALSE FROM vestibule_static_tokens",
				"INSERT INTO vestibule_access_tokens (digest, id, family, client, subject, epoch, scopes, resource, confirm, auth_time_us, created_us, expires_us) " +
					"SELECT digest, subject, subject, 'c', subject, 0, 'read', NULL, '', 1, 1, 9000000000000000 FROM vestibule_static_tokens",
				"ANALYZE",
			} {
				if _, err := pool.ExecContext(ctx, statement); err != nil {
					b.Fatal(err)
				}
			}
			mark := "?"
			if kind == "postgres" {
				mark = "$1"
			}
			stmt, err := pool.PrepareContext(ctx, `SELECT t.id, t.family, t.client, t.subject, t.epoch, t.scopes, t.resource, t.confirm, t.auth_time_us, t.created_us, t.expires_us,
				c.disabled OR f.ended, u.id, u.name, u.email, u.password, u.active, u.roles, u.created_us, COALESCE(s.epoch, 0)
				FROM vestibule_access_tokens t JOIN vestibule_clients c ON c.id = t.client LEFT JOIN vestibule_families f ON f.id = t.family
				LEFT JOIN vestibule_users u ON u.id = t.subject LEFT JOIN vestibule_subjects s ON s.subject = t.subject WHERE t.digest = `+mark)
			if err != nil {
				b.Fatal(err)
			}
			defer stmt.Close()
			digests := make([]storage.Digest, 4096)
			for i := range digests {
				digests[i] = digest(rand.IntN(size))
			}
			inTurns(b, digests, func(d storage.Digest) error { return accessFloor(ctx, stmt, d) }, func(d storage.Digest) error {
				_, err := s.AccessByDigest(ctx, d)
				return err
			})
		})
	}
}

func accessFloor(ctx context.Context, stmt *sql.Stmt, d storage.Digest) error {
	var a storage.AccessToken
	var u storage.User
	var scopes, resource *string
	var hash, roles string
	var ended bool
	var authTime, created, expires, userCreated int64
	return stmt.QueryRowContext(ctx, d[:]).Scan(&a.ID, &a.Family, &a.Client, &a.Subject, &a.Epoch, &scopes, &resource, &a.Confirm, &authTime, &created, &expires,
		&ended, &u.ID, &u.Name, &u.Email, &hash, &u.Active, &roles, &userCreated, &u.Epoch)
}
