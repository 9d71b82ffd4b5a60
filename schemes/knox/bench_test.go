package knox_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// BenchmarkMemory measures the scheme alone: header, checksum, digest, identity.
func BenchmarkMemory(b *testing.B) {
	s := memory.New(nil)
	schemetest.Add(b, s, "alice")
	x := scheme(b, s, nil)
	text, _ := issue(b, x, "id-alice", knox.Token{})
	r := schemetest.With("Knox " + text)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSQLite checks tokens of a thousand users without a cache. The floor is the same query
// written by hand as a prepared join with database/sql, on the same file. Both alternate in one
// run, so their ratio is meaningful. No use has to be recorded, because that happens once per
// interval (see TestWritesPerInterval).
func BenchmarkSQLite(b *testing.B) {
	const size = 1000
	s, err := sqlite.Open(b.TempDir()+"/db", nil)
	schemetest.Must(b, err)
	b.Cleanup(func() { s.Close() })
	schemetest.Must(b, s.Migrate(b.Context()))
	x := scheme(b, s, nil)
	requests, digests := make([]*http.Request, size), make([]storage.Digest, size)
	for i := range size {
		name := fmt.Sprint("user", i)
		schemetest.Add(b, s, name)
		text, rec := issue(b, x, "id-"+name, knox.Token{Name: "phone"})
		requests[i], digests[i] = schemetest.With("Knox "+text), rec.Digest
		_, err := x.Authenticate(requests[i])
		schemetest.Must(b, err)
	}
	pool, err := s.DB(b.Context()).DB()
	schemetest.Must(b, err)
	stmt, err := pool.PrepareContext(b.Context(), floorQuery)
	schemetest.Must(b, err)
	defer stmt.Close()
	var floor, check time.Duration
	n := 0
	for ; b.Loop(); n++ {
		begin := time.Now()
		floorLookup(b, stmt, digests[n%size])
		middle := time.Now()
		if _, err := x.Authenticate(requests[(n+size/2)%size]); err != nil {
			b.Fatal(err)
		}
		floor, check = floor+middle.Sub(begin), check+time.Since(middle)
	}
	b.ReportMetric(float64(floor.Nanoseconds())/float64(n), "floor-ns")
	b.ReportMetric(float64(check.Nanoseconds())/float64(n), "check-ns")
	b.ReportMetric(float64(check)/float64(floor), "ratio")
	b.ReportMetric(0, "ns/op")
}

const floorQuery = `SELECT t.digest, t.id, t.subject, t.name, t.scopes, t.epoch, t.created_us, t.expires_us, t.last_used_us, t.ttl_us, t.max_us,
	u.id, u.name, u.email, u.password, u.active, u.roles, u.created_us, COALESCE(s.epoch, 0)
	FROM vestibule_device_tokens t JOIN vestibule_users u ON u.id = t.subject LEFT JOIN vestibule_subjects s ON s.subject = t.subject WHERE t.digest = ?`

// floorLookup is the query written by hand.
func floorLookup(b *testing.B, stmt *sql.Stmt, d storage.Digest) {
	var t storage.Credential
	var u storage.User
	var digest []byte
	var scopes *string
	var hash, roles string
	var created, expires, used, ttl, limit, userCreated int64
	err := stmt.QueryRowContext(context.Background(), d[:]).Scan(&digest, &t.ID, &t.Subject, &t.Name, &scopes, &t.Epoch, &created, &expires, &used, &ttl, &limit,
		&u.ID, &u.Name, &u.Email, &hash, &u.Active, &roles, &userCreated, &u.Epoch)
	if err != nil {
		b.Fatal(err)
	}
	t.Created, t.Expires, t.LastUsed = time.UnixMicro(created), time.UnixMicro(expires), time.UnixMicro(used)
}
