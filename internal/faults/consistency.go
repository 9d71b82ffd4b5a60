//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// rule is something that no row of the database may break, whatever was killed.
type rule struct {
	name  string
	count string // a query that counts the rows that break it
	plant string // a statement that breaks it, to prove that the query finds that
}

const (
	anyDigest = "decode(md5(random()::text), 'hex')"
	anyID     = "md5(random()::text)"
)

// orphans is the rule that each subject of a table has an account.
func orphans(table, plant string) rule {
	return rule{"accounts of " + table, "SELECT count(*) FROM " + table + " t WHERE t.subject <> '' AND NOT EXISTS (SELECT FROM vestibule_users u WHERE u.id = t.subject)", plant}
}

var rules = []rule{
	orphans("vestibule_static_tokens", "INSERT INTO vestibule_static_tokens VALUES ("+anyDigest+", "+anyID+", '', '', 0, 0)"),
	orphans("vestibule_device_tokens", "INSERT INTO vestibule_device_tokens (digest, id, subject, name, epoch, created_us, expires_us, last_used_us, ttl_us, max_us) VALUES ("+anyDigest+", "+anyID+", "+anyID+", '', 0, 0, 0, 0, 0, 0)"),
	orphans("vestibule_sessions", "INSERT INTO vestibule_sessions (digest, id, subject, epoch, version, created_us, auth_time_us, last_seen_us, expires_us, ends_us, user_agent, address) VALUES ("+anyDigest+", "+anyID+", "+anyID+", 0, 0, 0, 0, 0, 0, 0, '', '')"),
	orphans("vestibule_families", "INSERT INTO vestibule_families (id, purpose, subject, client, confirm, name, epoch, auth_time_us, created_us, expires_us) VALUES ("+anyID+", '', "+anyID+", '', '', '', 0, 0, 0, 0)"),
	orphans("vestibule_access_tokens", "INSERT INTO vestibule_access_tokens (digest, id, client, subject, epoch, confirm, auth_time_us, created_us, expires_us) VALUES ("+anyDigest+", "+anyID+", '', "+anyID+", 0, '', 0, 0, 0)"),
	{"families of refresh tokens",
		"SELECT count(*) FROM vestibule_refresh_tokens t WHERE NOT EXISTS (SELECT FROM vestibule_families f WHERE f.id = t.family)",
		"INSERT INTO vestibule_refresh_tokens (digest, family, created_us, expires_us) VALUES (" + anyDigest + ", " + anyID + ", 0, 0)"},
	{"families of access tokens",
		"SELECT count(*) FROM vestibule_access_tokens t WHERE family IS NOT NULL AND NOT EXISTS (SELECT FROM vestibule_families f WHERE f.id = t.family)",
		"INSERT INTO vestibule_access_tokens (digest, id, family, client, epoch, confirm, auth_time_us, created_us, expires_us) VALUES (" + anyDigest + ", " + anyID + ", " + anyID + ", '', 0, '', 0, 0, 0)"},
	{"each family has refresh tokens, and one of them is the newest",
		"SELECT count(*) FROM (SELECT f.id FROM vestibule_families f LEFT JOIN vestibule_refresh_tokens t ON t.family = f.id AND t.next IS NULL GROUP BY f.id HAVING count(t.digest) <> 1) x",
		"UPDATE vestibule_refresh_tokens SET next = NULL WHERE digest = (SELECT digest FROM vestibule_refresh_tokens WHERE next IS NOT NULL LIMIT 1)"},
	{"each refresh token has one successor",
		"SELECT count(*) FROM (SELECT prev FROM vestibule_refresh_tokens WHERE prev IS NOT NULL GROUP BY prev HAVING count(*) > 1) x",
		"INSERT INTO vestibule_refresh_tokens (digest, family, prev, created_us, expires_us) SELECT " + anyDigest + ", family, prev, 0, 0 FROM vestibule_refresh_tokens WHERE prev IS NOT NULL LIMIT 1"},
	{"the successor of a refresh token exists, and names it",
		"SELECT count(*) FROM vestibule_refresh_tokens t WHERE next IS NOT NULL AND NOT EXISTS (SELECT FROM vestibule_refresh_tokens n WHERE n.digest = t.next AND n.prev = t.digest AND n.family = t.family)",
		"DELETE FROM vestibule_refresh_tokens WHERE digest = (SELECT next FROM vestibule_refresh_tokens WHERE next IS NOT NULL LIMIT 1)"},
	{"a refresh token with a successor was used, and no other was",
		"SELECT count(*) FROM vestibule_refresh_tokens WHERE (next IS NOT NULL) <> (claimed_us <> 0)",
		"UPDATE vestibule_refresh_tokens SET claimed_us = 0 WHERE digest = (SELECT digest FROM vestibule_refresh_tokens WHERE next IS NOT NULL LIMIT 1)"},
	{"messages of ended transactions",
		"SELECT count(*) FROM vestibule_bus_pending",
		"ALTER TABLE vestibule_bus_pending DISABLE TRIGGER vestibule_bus_number; INSERT INTO vestibule_bus_pending (change) VALUES ('all')"},
	{"the outbox has each number up to the last one",
		"SELECT count(*) FROM vestibule_bus_shards s JOIN (SELECT shard, min(seq) AS low, max(seq) AS high, count(*) AS n FROM vestibule_outbox GROUP BY shard) o USING (shard) WHERE o.high <> s.seq OR o.high - o.low + 1 <> o.n",
		"INSERT INTO vestibule_bus_shards VALUES (99, 5, gen_random_uuid(), gen_random_uuid()); INSERT INTO vestibule_outbox VALUES (99, 3, gen_random_uuid(), gen_random_uuid(), 'all', 0), (99, 5, gen_random_uuid(), gen_random_uuid(), 'all', 0)"},
}

// consistency returns what in the database breaks a rule. It also breaks each rule in a transaction
// that is not committed, and returns an error if a query does not find that.
func (d *database) consistency(ctx context.Context) (broken []string, err error) {
	c, err := pgx.Connect(ctx, d.url(d.addr()))
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	for _, r := range rules {
		before, after, err := r.try(ctx, c)
		switch {
		case err != nil:
			return nil, fmt.Errorf("rule %q: %w", r.name, err)
		case before > 0:
			broken = append(broken, fmt.Sprintf("%s: %d rows", r.name, before))
		case after == 0:
			return nil, fmt.Errorf("rule %q: the planted row was not found: the query proves nothing", r.name)
		}
	}
	return broken, nil
}

// try counts before and after the rule is broken, and undoes that.
func (r rule) try(ctx context.Context, c *pgx.Conn) (before, after int, err error) {
	tx, err := c.Begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, tx.Rollback(ctx)) }()
	if err = tx.QueryRow(ctx, r.count).Scan(&before); err == nil {
		_, err = tx.Exec(ctx, r.plant)
	}
	if err == nil {
		err = tx.QueryRow(ctx, r.count).Scan(&after)
	}
	return before, after, err
}
