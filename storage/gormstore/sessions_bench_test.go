package gormstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

// BenchmarkSession looks random sessions up, as BenchmarkCredential does device
// tokens. The floor reads the same columns by the same join.
func BenchmarkSession(b *testing.B) {
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
			// A row is found by its digest alone; the ID is that of the subject.
			for _, statement := range []string{
				"INSERT INTO vestibule_sessions (digest, id, subject, epoch, data, version, created_us, auth_time_us, last_seen_us, expires_us, ends_us, user_agent, address) " +
					"SELECT digest, subject, subject, 0, salt, 1, 2, 3, 4, 5, 6, 'Mozilla/5.0', '192.0.2.1' FROM vestibule_static_tokens",
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
			stmt, err := pool.PrepareContext(ctx, `SELECT t.id, t.subject, t.epoch, t.version, t.created_us, t.auth_time_us, t.last_seen_us, t.expires_us, t.ends_us, t.user_agent, t.address, t.data,
				u.id, u.name, u.email, u.password, u.active, u.roles, u.created_us, COALESCE(s.epoch, 0)
				FROM vestibule_sessions t LEFT JOIN vestibule_users u ON u.id = t.subject LEFT JOIN vestibule_subjects s ON s.subject = t.subject WHERE t.digest = `+mark)
			if err != nil {
				b.Fatal(err)
			}
			defer stmt.Close()
			digests := make([]storage.Digest, 4096)
			for i := range digests {
				digests[i] = digest(rand.IntN(size))
			}
			inTurns(b, digests, func(d storage.Digest) error { return sessionFloor(ctx, stmt, d) }, func(d storage.Digest) error {
				_, _, err := s.SessionByDigest(ctx, d)
				return err
			})
		})
	}
}

func sessionFloor(ctx context.Context, stmt *sql.Stmt, d storage.Digest) error {
	var v storage.Session
	var u storage.User
	var hash, roles string
	var created, authTime, lastSeen, expires, ends, userCreated int64
	return stmt.QueryRowContext(ctx, d[:]).Scan(&v.ID, &v.Subject, &v.Epoch, &v.Version, &created, &authTime, &lastSeen, &expires, &ends, &v.UserAgent, &v.Address, &v.Data,
		&u.ID, &u.Name, &u.Email, &hash, &u.Active, &roles, &userCreated, &u.Epoch)
}
