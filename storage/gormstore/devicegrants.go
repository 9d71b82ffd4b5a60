package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	deviceGrantColumns = "digest, user_code, client, scopes, resource, interval_us, polled_us, slow, state, subject, epoch, auth_time_us, created_us, expires_us, acr, amr"
	insertDeviceGrant  = "INSERT INTO vestibule_device_grants (" + deviceGrantColumns + ") VALUES (?, ?, ?, ?, ?, ?, 0, FALSE, 'pending', '', 0, 0, ?, ?, '', NULL) ON CONFLICT DO NOTHING"
	deviceGrantBy      = "SELECT " + deviceGrantColumns + " FROM vestibule_device_grants WHERE "
	// The decision with all its conditions. {mayHold} is the condition on the subject.
	decideDeviceGrant = "UPDATE vestibule_device_grants SET state = ?, subject = ?, epoch = ?, auth_time_us = ?, acr = ?, amr = ? WHERE digest = ? AND state = 'pending' AND expires_us > ? AND EXISTS ({mayHold})"
	// On the right of "=" are the old values.
	pollDeviceGrant = "UPDATE vestibule_device_grants SET slow = polled_us <> 0 AND polled_us + interval_us > ?," +
		" interval_us = interval_us + CASE WHEN polled_us <> 0 AND polled_us + interval_us > ? THEN ? ELSE 0 END, polled_us = ?" +
		" WHERE digest = ? AND client = ? AND state = 'pending' AND expires_us > ? RETURNING " + deviceGrantColumns
	claimDeviceGrant = "UPDATE vestibule_device_grants SET state = 'claimed' WHERE digest = ? AND state = 'approved' AND expires_us > ?"

	countTry = "INSERT INTO vestibule_tries (name, tries, until_us) VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE SET" +
		" tries = CASE WHEN vestibule_tries.until_us > ? AND vestibule_tries.until_us <= ? THEN vestibule_tries.tries + 1 ELSE 1 END," +
		" until_us = CASE WHEN vestibule_tries.until_us > ? AND vestibule_tries.until_us <= ? THEN vestibule_tries.until_us ELSE EXCLUDED.until_us END RETURNING tries, until_us"
	forgiveTry = "UPDATE vestibule_tries SET tries = tries - 1 WHERE name = ? AND tries > 0"
)

// deviceGrantRow is a row of deviceGrantColumns.
type deviceGrantRow struct {
	g                                            storage.DeviceGrant
	digest, code                                 []byte
	scopes, resource, amr                        *string
	interval, polled, authTime, created, expires int64
}

func (r *deviceGrantRow) dest() []any {
	g := &r.g
	return []any{&r.digest, &r.code, &g.Client, &r.scopes, &r.resource, &r.interval, &r.polled, &g.Slow, &g.State, &g.Subject, &g.Epoch, &r.authTime, &r.created, &r.expires, &g.ACR, &r.amr}
}

func (r *deviceGrantRow) grant() storage.DeviceGrant {
	g := r.g
	copy(g.Digest[:], r.digest)
	copy(g.UserCode[:], r.code)
	g.Scopes, g.Resource, g.AMR, g.Interval = words(r.scopes), words(r.resource), words(r.amr), time.Duration(r.interval)*time.Microsecond
	g.Polled, g.AuthTime, g.Created, g.Expires = timeOf(r.polled), timeOf(r.authTime), timeOf(r.created), timeOf(r.expires)
	return g
}

// CreateDeviceGrant implements storage.DeviceGrants. It locks the client until the grant is
// inserted, so that deleting the client deletes the grant, too.
func (s *Store) CreateDeviceGrant(ctx context.Context, g storage.DeviceGrant) error {
	if err := g.Check(); err != nil {
		return err
	}
	if err := s.checkReserve(); err != nil {
		return err
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if err := s.live(ctx, "SELECT NOT disabled FROM vestibule_clients WHERE id = ?", g.Client); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(insertDeviceGrant), g.Digest[:], g.UserCode[:], g.Client, text(g.Scopes), text(g.Resource), g.Interval.Microseconds(),
			micros(g.Created), micros(g.Expires))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
	return s.swept(ctx, &s.short.devices, g.Created, err)
}

// DeviceGrantByUserCode implements storage.DeviceGrants.
func (s *Store) DeviceGrantByUserCode(ctx context.Context, code storage.MAC) (storage.DeviceGrant, error) {
	return s.deviceGrant(ctx, "user_code = ?", code[:])
}

func (s *Store) deviceGrant(ctx context.Context, where string, key []byte) (storage.DeviceGrant, error) {
	var r deviceGrantRow
	if err := s.row(ctx, s.dialect.bind(deviceGrantBy+where), []any{key}, r.dest()); err != nil {
		return storage.DeviceGrant{}, notFound(err)
	}
	return r.grant(), nil
}

// DecideDeviceGrant implements storage.DeviceGrants. It locks the account's row, so that deleting
// the account comes before or after the decision.
func (s *Store) DecideDeviceGrant(ctx context.Context, d storage.DeviceDecision) error {
	if err := d.Check(); err != nil {
		return err
	}
	state := storage.DeviceDenied
	if d.Approve {
		state = storage.DeviceApproved
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, d.Subject, d.Epoch); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.q.decideDevice, string(state), d.Subject, d.Epoch, micros(d.AuthTime), d.ACR, text(d.AMR), d.Digest[:], micros(d.Now), d.Subject, d.Epoch)
		if err != nil || n > 0 {
			return err
		}
		if _, err = s.deviceGrant(ctx, "digest = ?", d.Digest[:]); err != nil {
			return err
		}
		if err = s.mayHold(ctx, d.Subject, d.Epoch); err != nil { // the epoch changed concurrently
			return err
		}
		return storage.ErrConflict
	})
}

// PollDeviceGrant implements storage.DeviceGrants. It reads first, because anyone can poll for an
// unknown or decided code. An update that finds no row would still take SQLite's only write lock.
func (s *Store) PollDeviceGrant(ctx context.Context, d storage.Digest, client string, now time.Time) (storage.DeviceGrant, error) {
	g, err := s.deviceGrant(ctx, "digest = ?", d[:])
	if err == nil && g.Client != client {
		err = storage.ErrNotFound
	}
	if err != nil || g.State != storage.DevicePending || g.Expired(now) {
		return g, err
	}
	var r deviceGrantRow
	at := micros(now)
	err = s.changed(ctx, s.dialect.bind(pollDeviceGrant), []any{at, at, storage.SlowDownIncrement.Microseconds(), at, d[:], client, at}, r.dest())
	switch {
	case err == nil:
		return r.grant(), nil
	case !errors.Is(err, sql.ErrNoRows):
		return storage.DeviceGrant{}, err
	}
	return s.deviceGrant(ctx, "digest = ?", d[:]) // decided concurrently
}

// ConsumeDeviceGrant implements storage.DeviceGrants.
func (s *Store) ConsumeDeviceGrant(ctx context.Context, d storage.Digest, now time.Time) error {
	n, err := s.exec(ctx, s.dialect.bind(claimDeviceGrant), d[:], micros(now))
	if err != nil || n > 0 {
		return err
	}
	if _, err := s.deviceGrant(ctx, "digest = ?", d[:]); err != nil {
		return err
	}
	return storage.ErrConflict
}

// CountAttempt implements storage.Attempts.
func (s *Store) CountAttempt(ctx context.Context, name storage.MAC, now, until time.Time) (n int, ends time.Time, err error) {
	var at int64
	most := micros(until.Add(storage.ClockSkew))
	err = s.changed(ctx, s.dialect.bind(countTry), []any{name[:], micros(until), micros(now), most, micros(now), most}, []any{&n, &at})
	return n, timeOf(at), s.swept(ctx, &s.short.tries, now, err)
}

// ForgiveAttempt implements storage.Attempts.
func (s *Store) ForgiveAttempt(ctx context.Context, name storage.MAC) error {
	_, err := s.exec(ctx, s.dialect.bind(forgiveTry), name[:])
	return err
}

// changed runs one statement that changes a row and returns it.
func (s *Store) changed(ctx context.Context, query string, args, dest []any) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return s.retry(ctx, func() error { return s.scanned(ctx, query, args, dest) })
}

// DeleteDeviceGrants implements storage.DeviceGrants.
func (s *Store) DeleteDeviceGrants(ctx context.Context, subject, client string) error {
	if errors.Join(s.users.mine(subject), storage.CheckID("client", client)) != nil {
		return nil
	}
	_, err := s.all(ctx, subject, client, rowSet{"vestibule_device_grants", "digest", "subject = ? AND subject <> '' AND client = ? AND state = 'approved'", []any{subject, client}})
	return err
}
