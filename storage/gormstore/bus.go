package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/storage/bus"
)

// ErrCourier means that the database uses another courier than this process, or that a trigger that
// writes messages is missing. A cache that followed this courier would miss changes. The error text
// says what to do.
var ErrCourier = errors.New("gormstore: courier")

// The couriers of a database. Its triggers write messages for one of them.
const (
	CourierNone   = "none"
	CourierNotify = "notify" // postgres.NewNotify
	CourierOutbox = "outbox" // NewOutbox
)

// Courier returns the courier of the database: CourierNone, CourierNotify or CourierOutbox. With
// SQLite it is always CourierNone.
func (s *Store) Courier(ctx context.Context) (name string, err error) {
	if s.dialect == sqlite {
		return CourierNone, nil
	}
	err = s.row(ctx, "SELECT courier FROM vestibule_bus", nil, []any{&name})
	if errors.Is(err, sql.ErrNoRows) {
		return CourierNone, nil
	}
	return name, err
}

// SetCourier sets the courier of the database for all processes. With CourierNone, no messages are
// written. From then on, processes with another courier query the store for each request, until
// they are restarted with the new courier. SetCourier waits for running transactions that revoke
// something, up to the store's timeout.
//
// The constructors of couriers call SetCourier if the database has no courier yet. Call it yourself
// to change to another courier.
func (s *Store) SetCourier(ctx context.Context, name string) error {
	if s.dialect == sqlite {
		return fmt.Errorf("%w: SetCourier: requires PostgreSQL", ErrCourier)
	}
	if !slices.Contains([]string{CourierNone, CourierNotify, CourierOutbox}, name) {
		return fmt.Errorf("%w: SetCourier: unknown courier %q (%s, %s or %s)", ErrCourier, name, CourierNone, CourierNotify, CourierOutbox)
	}
	return s.setCourier(ctx, name, false)
}

// setCourier sets the courier. If onlyFirst is true, it returns ErrCourier if there is another one.
func (s *Store) setCourier(ctx context.Context, name string, onlyFirst bool) error {
	err := s.atomically(ctx, func(ctx context.Context) error {
		// A transaction that has read the courier holds a lock of the table until it ends, so that no
		// change is committed without a message afterwards.
		if _, err := s.exec(ctx, "LOCK TABLE vestibule_bus IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		switch have, err := s.Courier(ctx); {
		case err != nil:
			return err
		case have == name:
			return nil
		case onlyFirst && have != CourierNone:
			return otherCourier(have, name)
		}
		_, err := s.exec(ctx, "INSERT INTO vestibule_bus (id, courier) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET courier = EXCLUDED.courier", name)
		return err
	})
	if err != nil && !errors.Is(err, ErrCourier) {
		return s.missingRight("set the courier", "INSERT and UPDATE on vestibule_bus", err)
	}
	return err
}

func otherCourier(have, name string) error {
	return fmt.Errorf("%w: the database's triggers write the messages of %q, this process has %q (stop all processes with the other one, then \"vestibule courier %s\")", ErrCourier, have, name, name)
}

// UseCourier checks that the database is set to a courier and that all triggers that write its
// messages exist. If the database has no courier yet, it sets this one. Constructors of couriers call
// it. It returns ErrCourier if the database has another courier, or if a trigger is missing.
func (s *Store) UseCourier(ctx context.Context, name string) error {
	if s.dialect == sqlite {
		return fmt.Errorf("%w: %s requires PostgreSQL (processes that share a SQLite file follow each other after the cache's TTL)", ErrCourier, name)
	}
	have, err := s.Courier(ctx)
	if noTable(err) {
		return fmt.Errorf("%w: database has no bus (call Migrate): %w", ErrCourier, err)
	}
	switch {
	case err != nil:
		return err
	case have == CourierNone:
		if err := s.setCourier(ctx, name, true); err != nil {
			return err
		}
	case have != name:
		return otherCourier(have, name)
	}
	return s.checkTriggers(ctx)
}

// CourierCheck returns a function for couriers. It makes the checks of UseCourier, but sets no
// courier. It also calls f.AccountsTold with the result of [Store.AccountsTold]. The function does
// this at its first call and then once a minute, so couriers can call it often.
func (s *Store) CourierCheck(name string, f bus.Follower) func(context.Context) error {
	var last time.Time
	return func(ctx context.Context) error {
		if !last.IsZero() && time.Since(last) < time.Minute {
			return nil
		}
		have, err := s.Courier(ctx)
		if err == nil && have != name { // also none: somebody may have switched it off
			err = otherCourier(have, name)
		}
		if err == nil {
			err = s.checkTriggers(ctx)
		}
		if err != nil {
			return err
		}
		told, err := s.AccountsTold(ctx)
		if err != nil {
			return err
		}
		f.AccountsTold(told)
		last = time.Now()
		return nil
	}
}

// busTriggers are the triggers that write messages, by table.
var busTriggers = map[string][]string{
	"vestibule_users":             {"update", "delete", "truncate"},
	"vestibule_subjects":          {"insert", "update", "delete", "truncate"},
	"vestibule_static_tokens":     {"update", "delete", "truncate"},
	"vestibule_device_tokens":     {"update", "delete", "truncate"},
	"vestibule_sessions":          {"update", "delete", "truncate"},
	"vestibule_access_tokens":     {"update", "delete", "truncate"},
	"vestibule_families":          {"update", "delete", "truncate"},
	"vestibule_blocklist":         {"insert", "update"},
	"vestibule_clients":           {"update", "content", "delete", "truncate"},
	"vestibule_permissions":       {"change", "truncate"},
	"vestibule_group_members":     {"change", "truncate"},
	"vestibule_group_permissions": {"change", "truncate"},
	"vestibule_spaces":            {"change", "truncate"},
	"vestibule_bus_pending":       {"number"},
}

// checkTriggers returns ErrCourier if a trigger is missing or disabled.
func (s *Store) checkTriggers(ctx context.Context) error {
	have := map[string]bool{}
	err := s.rows(ctx, "SELECT c.relname, t.tgname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid"+
		" WHERE t.tgname LIKE 'vestibule\\_bus\\_%' AND t.tgenabled IN ('O', 'A') AND c.oid = to_regclass(quote_ident(c.relname))", nil, func(rows *sql.Rows) error {
		var table, trigger string
		err := rows.Scan(&table, &trigger)
		have[table+" "+trigger] = true
		return err
	})
	if err != nil {
		return err
	}
	var missing []string
	for table, names := range busTriggers {
		for _, name := range names {
			if !have[table+" vestibule_bus_"+name] {
				missing = append(missing, "vestibule_bus_"+name+" on "+table)
			}
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("%w: triggers are missing or disabled: %s (create them as in the migrations 0017_bus.up.sql to 0019_clients.up.sql)", ErrCourier, strings.Join(missing, ", "))
	}
	return nil
}

// Bus returns s. Couriers call it to find out whether a store, or a type that embeds a *Store,
// writes to the database of s.
func (s *Store) Bus() *Store { return s }

// IsBehind reports whether store is s, or a type that embeds s. It is for couriers.
func (s *Store) IsBehind(store any) bool {
	b, ok := store.(interface{ Bus() *Store })
	return ok && b.Bus() == s
}

// ServerChanges returns a number that changes if the store's connections lead to a different server
// than before; see Options.ServerChanges. It is for couriers.
func (s *Store) ServerChanges() uint64 {
	if s.servers == nil {
		return uint64(time.Since(s.opened) / (5 * time.Second))
	}
	return s.servers()
}
