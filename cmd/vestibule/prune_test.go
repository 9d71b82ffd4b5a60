package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// prune -every goes on, prints what it deleted, and ends without an error when it is stopped.
func TestPruneEvery(t *testing.T) {
	path := t.TempDir() + "/db"
	db, err := sqlite.Open(path, nil)
	if err == nil {
		err = db.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(t.Context())
	rounds := 0
	out := writer(func(p []byte) (int, error) {
		if !strings.Contains(string(p), "removed 1 records") {
			t.Errorf("printed %q", p)
		}
		if rounds++; rounds == 3 {
			stop()
		} else if err := block(t, db, rounds); err != nil {
			t.Error(err)
		}
		return len(p), nil
	})
	if err := block(t, db, 0); err != nil {
		t.Fatal(err)
	}
	if err := command(strings.NewReader(""), out, out).Run(ctx, []string{"vestibule", "-db", "sqlite:" + path, "prune", "-every", "1ms"}); err != nil {
		t.Error(err)
	}
	if rounds != 3 {
		t.Errorf("%d rounds", rounds)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// block adds an entry to the blocklist that has expired long ago.
func block(t *testing.T, db storage.Blocklist, n int) error {
	return db.Block(t.Context(), time.Unix(1, 0), storage.BlockKeyOf(storage.BlockJTI, "", string(rune('a'+n))))
}

// A negative age is an error before anything is removed.
func TestPruneNegativeAge(t *testing.T) {
	path := t.TempDir() + "/db"
	db, err := sqlite.Open(path, nil)
	if err == nil {
		err = db.Migrate(t.Context())
	}
	if err == nil {
		err = block(t, db, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run := func(arguments ...string) (string, error) {
		var out strings.Builder
		err := command(strings.NewReader(""), &out, &out).Run(t.Context(), append([]string{"vestibule", "-db", "sqlite:" + path, "prune"}, arguments...))
		return out.String(), err
	}
	for _, more := range [][]string{nil, {"-every", "1h"}} {
		if out, err := run(append([]string{"-audit", "-1h"}, more...)...); err == nil || !strings.Contains(err.Error(), "negative") {
			t.Errorf("%q: %s, %v", more, out, err)
		}
	}
	if out, err := run(); err != nil || out != "removed 1 records and 0 audit events\n" {
		t.Errorf("%q, %v", out, err)
	}
}
