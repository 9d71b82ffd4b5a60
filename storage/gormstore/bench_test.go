package gormstore_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// BenchmarkStaticToken looks random tokens up, each of another user, of 10 thousand
// and of one million. The floor is the same question, written by hand as a join
// over database/sql and prepared, on the same file or server. "request" is the
// whole scheme: header, checksum, digest, look-up, identity.
func BenchmarkStaticToken(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, size := range []int{10_000, 1_000_000} {
			if size > 10_000 && testing.Short() {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				s := openBench(b, kind)
				fill(b, s, kind, size)
				benchLookups(b, s, kind, size)
			})
		}
	}
}

func openBench(b *testing.B, kind string) *gormstore.Store {
	if kind == "postgres" {
		return migrated(b, opened(b)(postgres.Open(storetest.URL(b), nil)))
	}
	return migrated(b, opened(b)(sqlite.Open(b.TempDir()+"/db", nil)))
}

func digest(i int) storage.Digest { return storage.DigestOf(fmt.Sprint("token ", i)) }

// id is a random-looking id of 26 characters, as accounts have.
func id(i int) string {
	d := storage.DigestOf(fmt.Sprint("user ", i))
	return hex.EncodeToString(d[:13])
}

// fill writes users and tokens in bulk.
func fill(b *testing.B, s *gormstore.Store, kind string, size int) {
	b.Helper()
	ctx := context.Background()
	pool, err := s.DB(ctx).DB()
	if err != nil {
		b.Fatal(err)
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	const batch = 500
	for from := 0; from < size; from += batch {
		users, tokens := "INSERT INTO vestibule_users (id, name, email, password, active, roles, created_us) VALUES ", "INSERT INTO vestibule_static_tokens (digest, subject, salt, key_id, epoch, created_us) VALUES "
		args := make([]any, 0, 2*batch)
		for i := from; i < from+batch; i++ {
			if i > from {
				users, tokens = users+",", tokens+","
			}
			users += fmt.Sprintf("('%s','name%d','name%d@example.com','$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5',TRUE,'staff',1)", id(i), i, i)
			d := digest(i)
			args = append(args, d[:], binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)))
			if kind == "postgres" {
				tokens += fmt.Sprintf("($%d,'%s',$%d,'0123456789abcdef',0,1)", len(args)-1, id(i), len(args))
			} else {
				tokens += fmt.Sprintf("(?,'%s',?,'0123456789abcdef',0,1)", id(i))
			}
		}
		if _, err := tx.ExecContext(ctx, users); err != nil {
			b.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, tokens, args...); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	statistics := "ANALYZE"
	if kind == "postgres" {
		statistics = "VACUUM ANALYZE" // now, not beside the first benchmark
	}
	if _, err := pool.ExecContext(ctx, statistics); err != nil {
		b.Fatal(err)
	}
}

func benchLookups(b *testing.B, s *gormstore.Store, kind string, size int) {
	ctx := context.Background()
	pool, err := s.DB(ctx).DB()
	if err != nil {
		b.Fatal(err)
	}
	digests := make([]storage.Digest, 4096)
	for i := range digests {
		digests[i] = digest(rand.IntN(size))
	}
	query := `SELECT t.subject, t.digest, t.salt, t.key_id, t.epoch, t.created_us, u.id, u.name, u.email, u.password, u.active, u.roles, u.created_us, COALESCE(s.epoch, 0)
		FROM vestibule_static_tokens t JOIN vestibule_users u ON u.id = t.subject LEFT JOIN vestibule_subjects s ON s.subject = t.subject WHERE t.digest = `
	if kind == "postgres" {
		query += "$1"
	} else {
		query += "?"
	}
	b.Run("floor", func(b *testing.B) {
		stmt, err := pool.PrepareContext(ctx, query)
		if err != nil {
			b.Fatal(err)
		}
		defer stmt.Close()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			floorLookup(b, ctx, stmt, digests[i%len(digests)])
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, _, err := s.StaticTokenByDigest(ctx, digests[i%len(digests)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	// On a machine of two cores the time of a round trip to a server depends on
	// where its process happens to run, by a factor of two and for seconds. So the
	// ratio is taken of look-ups that take turns.
	b.Run("in_turns", func(b *testing.B) {
		stmt, err := pool.PrepareContext(ctx, query)
		if err != nil {
			b.Fatal(err)
		}
		defer stmt.Close()
		var floor, store time.Duration
		n := 0
		for ; b.Loop(); n++ {
			d := digests[n%len(digests)]
			begin := time.Now()
			floorLookup(b, ctx, stmt, d)
			middle := time.Now()
			if _, _, err := s.StaticTokenByDigest(ctx, digests[(n+len(digests)/2)%len(digests)]); err != nil {
				b.Fatal(err)
			}
			floor, store = floor+middle.Sub(begin), store+time.Since(middle)
		}
		b.ReportMetric(float64(floor.Nanoseconds())/float64(n), "floor-ns")
		b.ReportMetric(float64(store.Nanoseconds())/float64(n), "store-ns")
		b.ReportMetric(float64(store)/float64(floor), "ratio")
		b.ReportMetric(0, "ns/op")
	})
	if size > 10_000 {
		return
	}
	b.Run("request", func(b *testing.B) {
		ring, err := keys.NewRing(keys.Generate())
		if err != nil {
			b.Fatal(err)
		}
		tokens, err := token.New(s, ring, nil)
		if err != nil {
			b.Fatal(err)
		}
		text, err := tokens.Replace(ctx, id(7), 0)
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Token "+text)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.Authenticate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// floorLookup is what anybody would write by hand, with the deadline that a server
// needs.
func floorLookup(b *testing.B, ctx context.Context, stmt *sql.Stmt, d storage.Digest) {
	var t storage.StaticToken
	var u storage.User
	var digest []byte
	var hash, roles string
	var created, userCreated int64
	err := stmt.QueryRowContext(ctx, d[:]).Scan(&t.Subject, &digest, &t.Salt, &t.KeyID, &t.Epoch, &created, &u.ID, &u.Name, &u.Email, &hash, &u.Active, &roles, &userCreated, &u.Epoch)
	if err != nil {
		b.Fatal(err)
	}
	t.Created = time.UnixMicro(created)
}
