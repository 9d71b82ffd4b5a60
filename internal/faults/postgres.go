//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is a PostgreSQL server with fsync on: a commit that it acknowledged survives kill -9.
type database struct {
	bin, dir string
	port     int
	as       *syscall.Credential
	p        *process
	volume   *volume // nil: it could not be made
}

func newDatabase(dir string) (*database, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if own := os.Getenv("VESTIBULE_PG_BIN"); own != "" {
		bins = append(bins, own)
	}
	if len(bins) == 0 {
		return nil, errors.New("no PostgreSQL in /usr/lib/postgresql/*/bin (set VESTIBULE_PG_BIN)")
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	d := &database{bin: bins[len(bins)-1], dir: dir, port: port, as: as}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if d.volume, err = newVolume(dir, as); err != nil {
		fmt.Println("not run: the fault \"disk full\":", err)
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(d.bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return d, d.start()
}

// start starts the server, and waits until it answers. It ends immediately while processes of its
// predecessor have the memory; then it is started again.
func (d *database) start() error {
	d.p = nil
	return wait(5*time.Minute, func() (err error) { // a busy machine is no reason to give up
		if d.p == nil || d.p.gone() {
			if d.p, err = d.launch(); err != nil {
				return err
			}
		}
		return d.pingWithin(20 * time.Second)
	})
}

func (d *database) launch() (*process, error) {
	cmd := exec.Command(filepath.Join(d.bin, "postgres"), "-D", filepath.Join(d.dir, "data"), "-p", fmt.Sprint(d.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+d.dir, "-c", "fsync=on",
		"-c", "synchronous_commit=on", "-c", "max_connections=100", "-c", "shared_buffers=64MB", "-c", "jit=off",
		"-c", "dynamic_shared_memory_type=mmap")
	cmd.Dir = d.dir
	return start(cmd, filepath.Join(d.dir, "..", "postgres.log"), d.as)
}

// again waits until the server answers, and starts it if it ended.
func (d *database) again() error {
	if !d.p.gone() && wait(5*time.Second, d.ping) == nil {
		return nil
	}
	if !d.p.gone() {
		d.crash()
	}
	return d.start()
}

func (d *database) ping() error { return d.pingWithin(2 * time.Second) }

func (d *database) pingWithin(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := pgx.Connect(ctx, d.url(d.addr()))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

func (d *database) addr() string { return fmt.Sprintf("127.0.0.1:%d", d.port) }

// url returns the URL of the database at an address, the server's or a proxy's.
func (d *database) url(addr string) string {
	return "postgres://postgres@" + addr + "/postgres?sslmode=disable"
}

// close stops the server, which frees what it has from the system, or kills it.
func (d *database) close() error {
	d.p.signal(syscall.SIGQUIT)
	if wait(5*time.Second, func() error {
		if !d.p.gone() {
			return errors.New("it still runs")
		}
		return nil
	}) != nil {
		d.crash()
	}
	if d.volume == nil {
		return nil
	}
	return wait(10*time.Second, d.volume.close) // processes of the server may still end
}

// crash kills every process of the server.
func (d *database) crash() {
	send(syscall.SIGKILL, d.p.tree()...)
	<-d.p.ended
}
