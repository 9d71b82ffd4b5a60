//go:build linux

// Package machine starts the programs that a benchmark needs, and reads what they cost: processor
// time and memory from /proc, commits from PostgreSQL. It needs Linux.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL is a server with fsync on, in a folder of its own.
type PostgreSQL struct {
	*Process
	dir  string
	port int
}

// StartPostgreSQL starts a server with its data in a temporary folder, which must not be in memory:
// otherwise fsync costs nothing. Settings are such as "shared_buffers=1GB". Call Close at the end.
func StartPostgreSQL(ctx context.Context, settings ...string) (*PostgreSQL, error) {
	bin, err := newest("initdb")
	if err != nil {
		return nil, err
	}
	as, err := postgresUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "vestibule-postgres-")
	if err != nil {
		return nil, err
	}
	p := &PostgreSQL{dir: dir}
	if err := p.start(ctx, bin, as, settings); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *PostgreSQL) start(ctx context.Context, bin string, as *syscall.Credential, settings []string) error {
	if as != nil {
		if err := os.Chown(p.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
	initdb.Dir, initdb.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	var err error
	if p.port, err = FreePort(); err != nil {
		return err
	}
	args := []string{"-D", data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + p.dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), args...)
	server.Dir, server.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: as}
	if p.Process, err = Start(server, filepath.Join(p.dir, "log")); err != nil {
		return err
	}
	return p.Until(ctx, time.Minute, func(ctx context.Context) error { return p.Do(ctx, "postgres", "SELECT 1") })
}

// Close stops the server, and deletes its data.
func (p *PostgreSQL) Close() error {
	if p.Process != nil {
		p.Stop(syscall.SIGINT) // ends the sessions of clients
	}
	return os.RemoveAll(p.dir)
}

// URL returns the URL of a database.
func (p *PostgreSQL) URL(name string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", p.port, name)
}

// Create creates a database, and returns its URL.
func (p *PostgreSQL) Create(ctx context.Context, name string) (string, error) {
	return p.URL(name), p.Do(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// Do runs statements in a database, one after another.
func (p *PostgreSQL) Do(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%.60s: %w", s, err)
		}
	}
	return nil
}

// Number returns the result of a query with one number.
func (p *PostgreSQL) Number(ctx context.Context, database, query string) (n float64, err error) {
	conn, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return n, conn.QueryRow(ctx, query).Scan(&n)
}

// Version returns the version of the server.
func (p *PostgreSQL) Version(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var v string
	return v, conn.QueryRow(ctx, "SHOW server_version").Scan(&v)
}

// newest returns the folder of the newest installed PostgreSQL.
func newest(program string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	if own := os.Getenv("VESTIBULE_PG_BIN"); own != "" {
		found = append(found, own)
	}
	if path, err := exec.LookPath(program); err == nil && len(found) == 0 {
		found = append(found, filepath.Dir(path))
	}
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL found (install it, or set VESTIBULE_PG_BIN to the folder of its programs)")
	}
	return found[len(found)-1], nil
}

// postgresUser returns the account of a server that root starts, because PostgreSQL refuses root.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// Load returns the load averages of 1 and 5 minutes.
func Load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(2, len(fields))], ", ")
}
