package gormstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	puresqlite "github.com/glebarez/sqlite"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// sqliteDrivers open a DSN as an application does.
var sqliteDrivers = map[string]func(dsn string) gorm.Dialector{"mattn": gormsqlite.Open, "pure": puresqlite.Open}

// A SQLite database that two processes would trip over is refused, with a DSN that is right.
func TestSQLiteIsChecked(t *testing.T) {
	type db struct {
		driver, dsn string // PATH is replaced
		conns       int    // 0: no bound
		fault       string // in the error; "": taken
	}
	for name, x := range map[string]db{
		"default":             {"mattn", "PATH", 0, "journal_mode"},
		"default, pure":       {"pure", "PATH", 0, "journal_mode"},
		"no wait":             {"mattn", "file:PATH?_journal_mode=WAL&_busy_timeout=0", 0, "busy_timeout"},
		"no wait, pure":       {"pure", "file:PATH?_pragma=journal_mode(WAL)&_pragma=busy_timeout(0)", 0, "busy_timeout"},
		"journal in memory":   {"mattn", "file:PATH?_journal_mode=MEMORY&_busy_timeout=10", 0, "journal_mode"},
		"no journal":          {"mattn", "file:PATH?_journal_mode=OFF&_busy_timeout=10", 1, "journal_mode"},
		"no sync":             {"mattn", "file:PATH?_journal_mode=WAL&_busy_timeout=10&_synchronous=OFF", 0, "synchronous"},
		"right":               {"mattn", "file:PATH?_journal_mode=WAL&_busy_timeout=10&_txlock=immediate", 0, ""},
		"right, pure":         {"pure", "file:PATH?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10)&_txlock=immediate", 0, ""},
		"memory":              {"mattn", ":memory:", 0, "SetMaxOpenConns(1)"},
		"memory, pure":        {"pure", ":memory:", 0, "SetMaxOpenConns(1)"},
		"shared memory":       {"mattn", "file:name?mode=memory&cache=shared", 0, "SetMaxOpenConns(1)"},
		"two of memory":       {"mattn", ":memory:", 2, "SetMaxOpenConns(1)"},
		"memory, alone":       {"mattn", ":memory:", 1, ""},
		"memory, alone, pure": {"pure", ":memory:", 1, ""},
	} {
		t.Run("edge_C08/"+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			db, err := gorm.Open(sqliteDrivers[x.driver](strings.ReplaceAll(x.dsn, "PATH", path)), gormstore.Config())
			if err != nil {
				t.Fatal(err)
			}
			pool, err := db.DB()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = pool.Close() })
			pool.SetMaxOpenConns(x.conns)
			_, err = gormstore.New(db, nil)
			if x.fault == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), x.fault) || !strings.Contains(err.Error(), "_txlock=immediate") {
				t.Errorf("%v, want an error with %q and a DSN", err, x.fault)
			}
			if open := pool.Stats().InUse; open != 0 {
				t.Errorf("%d connections are kept", open)
			}
		})
	}
	// Set by a statement, WAL stays in the file, but a timeout holds for one connection.
	t.Run("edge_C08/timeout by a statement", func(t *testing.T) {
		db, err := gorm.Open(gormsqlite.Open("file:"+filepath.Join(t.TempDir(), "db")+"?_journal_mode=WAL&_busy_timeout=0"), gormstore.Config())
		if err == nil {
			err = db.Exec("PRAGMA busy_timeout = 1000").Error
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gormstore.New(db, nil); err == nil || !strings.Contains(err.Error(), "busy_timeout") {
			t.Errorf("%v, want an error about busy_timeout", err)
		}
	})
}

// A file that cannot be written to serves reads; a write is an error at once, and no hanging.
func TestSQLiteReadOnly(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "db")
	const settings = "?_journal_mode=WAL&_busy_timeout=1000"
	for driver, open := range sqliteDrivers {
		t.Run("edge_C08/"+driver, func(t *testing.T) {
			settings := settings
			if driver == "pure" {
				settings = "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1000)"
			}
			opened := func(more string) *gormstore.Store {
				db, err := gorm.Open(open("file:"+path+settings+more), gormstore.Config())
				if err != nil {
					t.Fatal(err)
				}
				s, err := gormstore.Own(db, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			writer := migrated(t, opened(""))
			if err := writer.CreateUser(ctx, storage.User{ID: driver, Name: driver, Active: true}); err != nil {
				t.Fatal(err)
			}
			reader := opened("&mode=ro")
			if err := reader.Migrate(ctx); err != nil {
				t.Error(err)
			}
			if u, err := reader.UserByName(ctx, driver); err != nil || u.ID != driver {
				t.Error(u, err)
			}
			if _, err := reader.BumpEpoch(ctx, driver); err == nil || !strings.Contains(err.Error(), "readonly") {
				t.Errorf("%v, want an error that says read-only", err)
			}
			if err := reader.InTx(ctx, func(context.Context) error { t.Error("a transaction began"); return nil }); err == nil {
				t.Error("a transaction ended well")
			}
		})
	}
}

// childEnv names the driver and DSN that a child process of TestTwoSQLiteProcesses works on.
const childEnv = "VESTIBULE_TEST_SQLITE_CHILD"

// Two processes log users in at the same time, in a database that the application opened, with a
// DSN that begins transactions as readers and with one that does not.
func TestTwoSQLiteProcesses(t *testing.T) {
	if job := os.Getenv(childEnv); job != "" {
		logins(t, job)
		return
	}
	for name, job := range map[string]string{
		"mattn, deferred": "mattn file:PATH?_journal_mode=WAL&_busy_timeout=18000",
		"mattn":           "mattn file:PATH?_journal_mode=WAL&_busy_timeout=18000&_txlock=immediate",
		"pure, deferred":  "pure file:PATH?_pragma=journal_mode(WAL)&_pragma=busy_timeout(18000)",
		"pure":            "pure file:PATH?_pragma=journal_mode(WAL)&_pragma=busy_timeout(18000)&_txlock=immediate",
	} {
		t.Run("edge_C08/"+name, func(t *testing.T) {
			job = strings.ReplaceAll(job, "PATH", filepath.Join(t.TempDir(), "db"))
			s := openJob(t, job)
			if err := s.CreateUser(t.Context(), storage.User{ID: "1", Name: "alice", Active: true}); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					cmd := exec.Command(os.Args[0], "-test.run=^TestTwoSQLiteProcesses$", fmt.Sprintf("-test.short=%t", testing.Short()))
					cmd.Env = append(os.Environ(), childEnv+"="+job)
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
			wg.Wait()
			if list, err := s.ListCredentials(t.Context(), "knox", "1", 1000); err != nil || len(list) != 2*8*loginsEach() {
				t.Errorf("%d logins, %v", len(list), err)
			}
		})
	}
}

func openJob(t *testing.T, job string) *gormstore.Store {
	t.Helper()
	driver, dsn, _ := strings.Cut(job, " ")
	db, err := gorm.Open(sqliteDrivers[driver](dsn), gormstore.Config())
	if err != nil {
		t.Fatal(err)
	}
	return migrated(t, opened(t)(gormstore.Own(db, &gormstore.Options{Timeout: 20 * time.Second})))
}

// loginsEach is how many logins each of eight goroutines makes: fewer with -short, since the race
// detector makes the pure-Go driver very slow.
func loginsEach() int {
	if testing.Short() {
		return 4
	}
	return 25
}

// logins are those of one process, eight at a time. Each reads the account and writes a token in one
// transaction, as a login with a limit does.
func logins(t *testing.T, job string) {
	ctx := t.Context()
	s := openJob(t, job)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range loginsEach() {
				id := fmt.Sprint(os.Getpid(), " ", g, " ", i)
				err := s.InTx(ctx, func(ctx context.Context) error {
					u, err := s.UserByName(ctx, "alice")
					if err == nil {
						_, err = s.CreateCredential(ctx, storage.Credential{Purpose: "knox", Digest: storage.DigestOf(id), ID: id, Subject: u.ID, Epoch: u.Epoch}, storage.CredentialLimit{Max: 1000})
					}
					return err
				})
				if err != nil {
					t.Errorf("login %s: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}
