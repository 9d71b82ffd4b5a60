package gormstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// BenchmarkCredential looks random device tokens up, as BenchmarkStaticToken does
// static ones. The floor reads the same columns by the same join.
func BenchmarkCredential(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, size := range []int{10_000, 1_000_000} {
			if size > 10_000 && testing.Short() {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				s := openBench(b, kind)
				fill(b, s, kind, size)
				ctx := context.Background()
				pool, err := s.DB(ctx).DB()
				if err != nil {
					b.Fatal(err)
				}
				for _, statement := range []string{
					"INSERT INTO vestibule_device_tokens (digest, id, subject, name, scopes, epoch, created_us, expires_us, last_used_us, ttl_us, max_us) " +
						"SELECT digest, 'a random id', subject, 'phone', 'read write', 0, 1, 2, 3, 4, 5 FROM vestibule_static_tokens",
					"ANALYZE",
				} {
					if _, err := pool.ExecContext(ctx, statement); err != nil {
						b.Fatal(err)
					}
				}
				query := `SELECT t.digest, t.id, t.subject, t.name, t.scopes, t.epoch, t.created_us, t.expires_us, t.last_used_us, t.ttl_us, t.max_us,
					u.id, u.name, u.email, u.password, u.active, u.roles, u.created_us, COALESCE(s.epoch, 0)
					FROM vestibule_device_tokens t JOIN vestibule_users u ON u.id = t.subject LEFT JOIN vestibule_subjects s ON s.subject = t.subject WHERE t.digest = `
				if kind == "postgres" {
					query += "$1"
				} else {
					query += "?"
				}
				stmt, err := pool.PrepareContext(ctx, query)
				if err != nil {
					b.Fatal(err)
				}
				defer stmt.Close()
				digests := make([]storage.Digest, 4096)
				for i := range digests {
					digests[i] = digest(rand.IntN(size))
				}
				inTurns(b, digests, func(d storage.Digest) error { return deviceFloor(ctx, stmt, d) }, func(d storage.Digest) error {
					_, _, err := s.CredentialByDigest(ctx, "knox", d)
					return err
				})
			})
		}
	}
}

// inTurns gives the times of two look-ups that take turns, and their ratio: see
// benchLookups.
func inTurns(b *testing.B, digests []storage.Digest, floor, store func(storage.Digest) error) {
	b.Run("in_turns", func(b *testing.B) {
		var took [2]time.Duration
		n := 0
		for ; b.Loop(); n++ {
			for i, ask := range []func(storage.Digest) error{floor, store} {
				d := digests[(n+i*len(digests)/2)%len(digests)]
				begin := time.Now()
				if err := ask(d); err != nil {
					b.Fatal(err)
				}
				took[i] += time.Since(begin)
			}
		}
		b.ReportMetric(float64(took[0].Nanoseconds())/float64(n), "floor-ns")
		b.ReportMetric(float64(took[1].Nanoseconds())/float64(n), "store-ns")
		b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
		b.ReportMetric(0, "ns/op")
	})
}

func deviceFloor(ctx context.Context, stmt *sql.Stmt, d storage.Digest) error {
	var t storage.Credential
	var u storage.User
	var digest []byte
	var hash, roles, scopes string
	var created, expires, lastUsed, ttl, notAfter, userCreated int64
	err := stmt.QueryRowContext(ctx, d[:]).Scan(&digest, &t.ID, &t.Subject, &t.Name, &scopes, &t.Epoch, &created, &expires, &lastUsed, &ttl, &notAfter,
		&u.ID, &u.Name, &u.Email, &hash, &u.Active, &roles, &userCreated, &u.Epoch)
	t.Scopes = strings.Split(scopes, " ")
	return err
}

// BenchmarkStanding asks for an access token's standing among 100 thousand entries
// of the blocklist.
func BenchmarkStanding(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s, ctx := openBench(b, kind), context.Background()
			err := s.InTx(ctx, func(ctx context.Context) error {
				for from := 0; from < 100_000; from += 500 {
					values := make([]string, 500)
					for i := range values {
						key := storage.BlockKeyOf(storage.BlockJTI, "issuer", fmt.Sprint(from+i))
						values[i] = fmt.Sprintf("(x'%x', 1)", key[:])
						if kind == "postgres" {
							values[i] = fmt.Sprintf("('\\x%x', 1)", key[:])
						}
					}
					if err := s.DB(ctx).Exec("INSERT INTO vestibule_blocklist (block_key, until_us) VALUES " + strings.Join(values, ", ")).Error; err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			keys := storage.BlockKeys{JTI: storage.BlockKeyOf(storage.BlockJTI, "issuer", "x"), SID: storage.BlockKeyOf(storage.BlockSID, "", "x"), Subject: storage.BlockKeyOf(storage.BlockSubject, "issuer", "x")}
			b.ReportAllocs()
			for b.Loop() {
				if st, err := s.TokenStatusOf(ctx, "1", keys); err != nil || st.Blocked {
					b.Fatal(st, err)
				}
			}
		})
	}
}
