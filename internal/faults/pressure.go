//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// pressure returns the faults of servers that answer, but have run out of something: disk,
// connections, memory, locks; and of clocks that are wrong.
func (w *world) pressure(rng *rand.Rand) []fault {
	skewed := w.replicas[rng.IntN(len(w.replicas))]
	var held []*pgx.Conn
	release := func() error {
		for _, c := range held {
			c.Close(context.Background())
		}
		return nil
	}
	list := []fault{
		{name: "no connections left", begin: func() (err error) { held, err = w.exhaust(); return err }, lasts: 3 * time.Second, end: release},
		{name: "connections ended", begin: w.db.endConnections, lasts: time.Second, end: w.db.endConnections},
		{name: "tables locked", begin: func() error {
			c, err := w.db.lockTables()
			if c != nil {
				held = append(held, c)
			}
			return err
		}, lasts: 3 * time.Second, end: release},
		{name: "Redis full", begin: func() error { return w.redis.do("CONFIG SET maxmemory 1") }, lasts: 3 * time.Second,
			end: func() error { return w.redis.do("CONFIG SET maxmemory 0") }},
		{name: "Redis read-only", begin: func() error { return w.redis.do("REPLICAOF 127.0.0.1 1") }, lasts: 3 * time.Second,
			end: func() error { return w.redis.do("REPLICAOF NO ONE") }},
		{name: "clock +120 s", begin: func() error { return skewed.setClock(2 * time.Minute) }, lasts: 3 * time.Second,
			end: func() error { return skewed.setClock(0) }},
		{name: "clock -120 s", begin: func() error { return skewed.setClock(-2 * time.Minute) }, lasts: 3 * time.Second,
			end: func() error { return skewed.setClock(0) }},
	}
	if w.db.volume != nil {
		list = append(list, fault{name: "disk full", begin: w.db.volume.fill, lasts: 4 * time.Second, end: func() error {
			return errors.Join(w.db.volume.free(), w.db.again())
		}})
	}
	return list
}

// exhaust takes all connections that the server has left, or as many as it gives in ten seconds.
func (w *world) exhaust() (held []*pgx.Conn, err error) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && len(held) < 200; {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		c, err := pgx.Connect(ctx, w.db.url(w.db.addr()))
		cancel()
		if err != nil {
			return held, nil // none is left
		}
		held = append(held, c)
	}
	if len(held) >= 200 {
		return held, errors.New("the server gave 200 connections")
	}
	return held, nil // a slow machine
}

// endConnections ends all sessions of the server, as an administrator does.
func (d *database) endConnections() error {
	return d.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
}

// exec runs one statement as the administrator.
func (d *database) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, d.url(d.addr()))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

// lockTables returns a connection that holds locks as ALTER TABLE does. Queries wait for it until
// their deadline, and with them the whole pool.
func (d *database) lockTables() (c *pgx.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if c, err = pgx.Connect(ctx, d.url(d.addr())); err != nil {
		return nil, err
	}
	for range 5 { // a deadlock can end it
		_, err = c.Exec(ctx, "BEGIN; LOCK TABLE vestibule_subjects, vestibule_device_tokens, vestibule_sessions, vestibule_users IN ACCESS EXCLUSIVE MODE")
		if err == nil {
			return c, nil
		}
		_, _ = c.Exec(ctx, "ROLLBACK")
	}
	return c, err
}
