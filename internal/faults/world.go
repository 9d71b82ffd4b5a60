//go:build linux

package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vestibule-auth/vestibule/storage"
)

// account is a user of the run. Its password is random, so that it can be searched for in all output.
type account struct{ name, password string }

// world is everything that runs.
type world struct {
	dir, program, key, courier string
	users                      []account
	db                         *database
	store                      store // of the harness itself
	redis                      *cache
	replicas                   []*replica // A, B and C
	all                        []*replica // with the planted one
}

const accounts = 12

// store is what the harness itself does with the database, past all proxies and without a cache.
type store interface {
	storage.Users
	storage.Accounts
	storage.SigningKeys
}

// build builds the server. The tag adds defects, which the environment of one replica turns on, and
// a clock that can be set.
func build(program string) error {
	cmd := exec.Command("go", "build", "-tags", "faults", "-ldflags=-checklinkname=0", "-o", program, "./examples/compare")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

// newWorld starts everything.
func newWorld(dir, courier, program string) (*world, error) {
	w := &world{dir: dir, courier: courier, program: program, key: filepath.Join(dir, "master.key")}
	for i := range accounts {
		w.users = append(w.users, account{fmt.Sprintf("user%02d", i), "pw-" + rand.Text()})
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	if err := os.WriteFile(w.key, []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		return nil, err
	}
	var err error
	if w.db, err = newDatabase(filepath.Join(dir, "postgres")); err != nil {
		return w, err
	}
	if w.redis, err = newCache(filepath.Join(dir, "redis")); err != nil {
		return w, err
	}
	for _, name := range []string{"A", "B", "C"} {
		r, err := w.newReplica(name)
		if err == nil {
			err = r.start()
		}
		if err != nil {
			return w, err
		}
		w.replicas = append(w.replicas, r)
	}
	return w, nil
}

// plant starts a further replica with every defect that a run must find.
func (w *world) plant() (*replica, error) {
	r, err := w.newReplica("P", "VESTIBULE_PLANT=deaf,alone,queue,leak,log")
	if err == nil {
		err = r.start()
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// close ends all processes.
func (w *world) close() error {
	for _, r := range w.all {
		if r.p != nil {
			r.cont()
			r.p.kill()
		}
		for _, p := range r.proxies() {
			p.Close()
		}
	}
	if w.redis != nil && w.redis.p != nil {
		w.redis.p.kill()
	}
	if w.db != nil && w.db.p != nil {
		return w.db.close()
	}
	return nil
}
