package gormstore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// record is where the statements of this version go. Before you add a migration, write those of the
// version before it:
//
//	scripts/with-services go test ./storage/gormstore -run TestEarlierPrograms -skip races -record testdata/statements/0019.sql
var record = flag.String("record", "", "write the statements of all rules of storagetest to a file, one a line")

// Servers of an earlier version run beside a newer one while it is rolled out. Every statement that a
// version sends is valid on the schema of this one, and none of its inserts lacks a column. That the
// meaning of a column does not change, TestMigrationsAreAdditive makes the author of a migration say.
func TestEarlierPrograms(t *testing.T) {
	if *record != "" {
		recordStatements(t, *record)
		return
	}
	names, err := filepath.Glob("testdata/statements/*.sql")
	must(t, err)
	if want := files(t, "postgres") - 1; len(names) == 0 || !strings.HasSuffix(names[len(names)-1], fmt.Sprintf("%04d.sql", want)) {
		t.Fatalf("the statements of version %d are missing; see -record: %v", want, names)
	}
	s := migrated(t, opened(t)(postgres.Open(storetest.URL(t)+"&default_query_exec_mode=simple_protocol", &patient)))
	required := requiredColumns(t, s)
	for _, name := range names {
		t.Run("attack_226/"+filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			must(t, err)
			all := strings.Split(strings.TrimSpace(string(text)), "\n")
			if len(all) < 150 {
				t.Errorf("only %d statements", len(all))
			}
			for _, bad := range unfit(t, s, required, all) {
				t.Error(bad)
			}
		})
	}
	broken := []string{
		"SELECT nothing FROM vestibule_users", "UPDATE vestibule_gone SET a = $1", "SELECT 1 FROM vestibule_sessions WHERE digest = 1",
		"INSERT INTO vestibule_locks (vestibule_locks) VALUES ($1)", "INSERT INTO vestibule_tries (name, tries) VALUES ($1, 1)",
	}
	if bad := unfit(t, s, required, broken); len(bad) != len(broken) {
		t.Errorf("of %q only these are found: %q", broken, bad)
	}
}

var insertion = regexp.MustCompile(`INSERT INTO (vestibule_\w+)(?: AS \w+)? \(([^)]*)\)`)

// unfit returns the statements that do not fit the schema.
func unfit(t *testing.T, s *gormstore.Store, required map[string][]string, all []string) (bad []string) {
	for _, q := range all {
		prepare := "PREPARE earlier AS " + q
		if strings.HasPrefix(q, "LOCK ") {
			prepare = "BEGIN; " + q + "; ROLLBACK"
		}
		if err := s.DB(t.Context()).Connection(func(tx *gorm.DB) error {
			if err := tx.Exec(prepare).Error; err != nil || strings.HasPrefix(q, "LOCK ") {
				return err
			}
			return tx.Exec("DEALLOCATE earlier").Error
		}); err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", q, err))
			continue
		}
		for _, m := range insertion.FindAllStringSubmatch(q, -1) {
			given := strings.Split(m[2], ", ")
			for _, column := range required[m[1]] {
				if !slices.Contains(given, column) {
					bad = append(bad, fmt.Sprintf("%s: lacks %s", q, column))
				}
			}
		}
	}
	return bad
}

// requiredColumns are those of each table that are NOT NULL and have no default.
func requiredColumns(t *testing.T, s *gormstore.Store) map[string][]string {
	t.Helper()
	var rows []struct{ Name, Columns string }
	must(t, s.DB(t.Context()).Raw(`SELECT table_name AS name, string_agg(column_name, ' ') AS columns FROM information_schema.columns
		WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' GROUP BY 1`).Scan(&rows).Error)
	all := map[string][]string{}
	for _, r := range rows {
		all[r.Name] = strings.Fields(r.Columns)
	}
	if len(all["vestibule_sessions"]) < 5 {
		t.Fatal("columns:", all)
	}
	return all
}

// recordStatements runs the rules of storagetest and writes the statements that reach the server.
func recordStatements(t *testing.T, file string) {
	seen := &statementSet{t: t, file: file, texts: map[string]string{}}
	storagetest.Run(t, func(t *testing.T) storagetest.Store {
		return migrated(t, opened(t)(postgres.Open(seen.before(t, storetest.URL(t)), &patient)))
	})
}

// save writes the statements to a file. It is called for each new one, so that a run that is stopped
// leaves those that it has seen.
func (s *statementSet) save() error {
	text := strings.Join(slices.Sorted(maps.Values(s.texts)), "\n") + "\n"
	return errors.Join(os.MkdirAll(filepath.Dir(s.file), 0o755), os.WriteFile(s.file, []byte(text), 0o644))
}

// statementSet are the statements that were seen, by their text without the number of placeholders.
type statementSet struct {
	t     *testing.T
	file  string
	mu    sync.Mutex
	texts map[string]string
}

var (
	ofVestibule = regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH|LOCK) .*vestibule_`)
	placeholder = regexp.MustCompile(`(\$\d+(, )?)+`)
)

func (s *statementSet) add(query string) {
	query = strings.Join(strings.Fields(query), " ")
	if !ofVestibule.MatchString(query) || strings.Contains(query, "vestibule_migrations") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	form := placeholder.ReplaceAllString(query, "$")
	if s.texts[form] != "" {
		return
	}
	s.texts[form] = query
	if err := s.save(); err != nil {
		s.t.Error(err)
	}
}

// before returns the URL of a proxy that reads the statements sent to a server.
func (s *statementSet) before(t *testing.T, server string) string {
	u, err := url.Parse(server)
	must(t, err)
	host := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(client, host)
		}
	}()
	u.Host = l.Addr().String()
	return u.String()
}

func (s *statementSet) serve(client net.Conn, host string) {
	defer client.Close()
	server, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server); client.Close() }()
	for kind := make([]byte, 0, 1); ; kind = make([]byte, 1) { // the first message has no kind
		head := make([]byte, 4)
		if _, err := io.ReadFull(client, kind); err != nil {
			return
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head)-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		switch parts := bytes.SplitN(body, []byte{0}, 3); string(kind) {
		case "P": // Parse: the name of the statement, then its text
			s.add(string(parts[1]))
		case "Q":
			s.add(string(parts[0]))
		}
		if _, err := server.Write(slices.Concat(kind, head, body)); err != nil {
			return
		}
	}
}
