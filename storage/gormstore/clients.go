package gormstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	clientColumns = "id, name, method, secret, password, native, trusted, disabled, lists, keys, registration, serves, created_us, revoked_us"
	insertClient  = "INSERT INTO vestibule_clients (" + clientColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
	updateClient  = "UPDATE vestibule_clients SET name = ?, method = ?, secret = ?, password = ?, native = ?, trusted = ?, disabled = ?, lists = ?, keys = ?, registration = ?, serves = ?, revoked_us = ? WHERE id = ?"
	clientByID    = "SELECT " + clientColumns + " FROM vestibule_clients WHERE id = ?"
	listClients   = "SELECT " + clientColumns + " FROM vestibule_clients WHERE id > ? ORDER BY id LIMIT ?"
)

// clientRow is a row of clientColumns.
type clientRow struct {
	c              storage.Client
	secret         []byte
	registration   []byte
	serves         *string
	password, list string
	created        int64
	revoked        int64
}

func (r *clientRow) dest() []any {
	c := &r.c
	return []any{&c.ID, &c.Name, &c.Method, &r.secret, &r.password, &c.Native, &c.Trusted, &c.Disabled, &r.list, &c.Keys, &r.registration, &r.serves, &r.created, &r.revoked}
}

func (r *clientRow) client() (storage.Client, error) {
	var l clientLists
	if err := json.Unmarshal([]byte(r.list), &l); err != nil {
		return storage.Client{}, fmt.Errorf("gormstore: read lists of client %q: %w", r.c.ID, err)
	}
	c := r.c
	l.into(&c)
	c.Serves = words(r.serves)
	copy(c.Secret[:], r.secret)
	copy(c.Registration[:], r.registration)
	c.Password, c.Created = storage.PasswordHash(r.password), timeOf(r.created)
	c.Revoked = timeOf(r.revoked)
	return c, nil
}

// clientValues returns the columns between id and created_us.
func clientValues(c storage.Client) ([]any, error) {
	list, err := json.Marshal(listsOf(c))
	if err != nil {
		return nil, err
	}
	var secret, registration []byte
	if !c.Secret.IsZero() {
		secret = c.Secret[:]
	}
	if !c.Registration.IsZero() {
		registration = c.Registration[:]
	}
	return []any{c.Name, c.Method, secret, string(c.Password), c.Native, c.Trusted, c.Disabled, string(list), c.Keys, registration, text(c.Serves)}, nil
}

// ClientByID implements storage.Clients.
func (s *Store) ClientByID(ctx context.Context, id string) (storage.Client, error) {
	if storage.CheckID("client id", id) != nil {
		return storage.Client{}, storage.ErrNotFound
	}
	if s.tx(ctx) != nil {
		return s.lockClient(ctx, id)
	}
	var r clientRow
	if err := s.hotRow(ctx, &s.clientByID, []any{id}, r.dest()); err != nil {
		return storage.Client{}, notFound(err)
	}
	return r.client()
}

// ListClients implements storage.Clients.
func (s *Store) ListClients(ctx context.Context, after string, limit int) (list []storage.Client, err error) {
	err = s.rows(ctx, s.dialect.bind(listClients), []any{after, max(limit, 0)}, func(rows *sql.Rows) error {
		var r clientRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		c, err := r.client()
		list = append(list, c)
		return err
	})
	return list, err
}

// CreateClient implements storage.Clients.
func (s *Store) CreateClient(ctx context.Context, c storage.Client) error {
	if err := c.Check(); err != nil {
		return err
	}
	if !c.Registration.IsZero() { // the client registers itself
		if err := s.checkReserve(); err != nil {
			return err
		}
	}
	values, err := clientValues(c)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, s.dialect.bind(insertClient), append(append([]any{c.ID}, values...), micros(c.Created))...)
	if err == nil && n == 0 {
		err = storage.ErrConflict
	}
	return err
}

// UpdateClient implements storage.Clients.
func (s *Store) UpdateClient(ctx context.Context, c storage.Client) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.changeClient(ctx, c.ID, func(storage.Client) storage.Client { return c })
}

// SetClientDisabled implements storage.Clients.
func (s *Store) SetClientDisabled(ctx context.Context, id string, disabled bool) error {
	if storage.CheckID("client id", id) != nil {
		return storage.ErrNotFound
	}
	return s.changeClient(ctx, id, func(c storage.Client) storage.Client {
		c.Disabled = disabled
		return c
	})
}

// changeClient replaces a client. It removes the records of a disabled client in pieces, and
// removes all of them before the client is enabled.
func (s *Store) changeClient(ctx context.Context, id string, change func(was storage.Client) storage.Client) error {
	pieces := 1
	if s.tx(ctx) != nil { // the caller's transaction must remove everything
		pieces = allPieces
	}
	for {
		err := s.revoking(ctx, allPieces, func(ctx context.Context) (bool, error) {
			was, err := s.lockClient(ctx, id)
			if err != nil {
				return false, err
			}
			c := change(was)
			values, err := clientValues(c)
			if err != nil {
				return false, err
			}
			revoked := micros(was.Revoked)
			if was.Disabled || c.Disabled {
				now, err := s.clock(ctx)
				if err != nil {
					return false, err
				}
				revoked = max(was.Epoch()+1, now.UnixMicro())
			}
			if _, err := s.exec(ctx, s.dialect.bind(updateClient), append(values, revoked, id)...); err != nil {
				return false, err
			}
			if err := s.changedClient(ctx, id, was.Disabled || c.Disabled); err != nil {
				return false, err
			}
			switch {
			case c.Disabled:
				return more(s.clearClient(ctx, id, 1))
			case was.Disabled:
				return false, s.clearClient(ctx, id, pieces)
			}
			return false, nil
		}, func(ctx context.Context) (bool, error) { return s.clearDisabled(ctx, id) })
		if !errors.Is(err, errMore) {
			return err
		}
		if err := s.atomically(ctx, func(ctx context.Context) error {
			_, err := s.clearDisabled(ctx, id)
			return err
		}); err != nil {
			return err
		}
	}
}

// changedClient records that a client was disabled, enabled or deleted. With PostgreSQL a trigger
// does.
func (s *Store) changedClient(ctx context.Context, id string, changed bool) error {
	if !changed || s.dialect == postgres {
		return nil
	}
	return s.recordChange(ctx, changedClient, id)
}

// lockClient returns the client and locks its row until the transaction ends.
func (s *Store) lockClient(ctx context.Context, id string) (storage.Client, error) {
	var r clientRow
	if err := s.row(ctx, s.dialect.bind(clientByID)+s.dialect.forUpdate(), []any{id}, r.dest()); err != nil {
		return storage.Client{}, notFound(err)
	}
	return r.client()
}

// clearDisabled removes a piece of a client's records if it is disabled, because records from after
// it was enabled again must stay. It reports whether there may be other records.
func (s *Store) clearDisabled(ctx context.Context, id string) (bool, error) {
	c, err := s.lockClient(ctx, id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !c.Disabled {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return more(s.clearClient(ctx, id, 1))
}

// more turns errMore into true.
func more(err error) (bool, error) {
	if errors.Is(err, errMore) {
		return true, nil
	}
	return false, err
}

// DeleteClient implements storage.Clients. If the client has few records, they are deleted with it
// in one transaction. Otherwise the client is disabled first, and deleted after its last record.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	if storage.CheckID("client id", id) != nil {
		return storage.ErrNotFound
	}
	for {
		err := s.atomically(ctx, func(ctx context.Context) error {
			n, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_clients WHERE id = ?"), id)
			switch {
			case err != nil:
				return err
			case n == 0:
				return storage.ErrNotFound
			}
			if err := s.changedClient(ctx, id, true); err != nil {
				return err
			}
			return s.clearClient(ctx, id, 1)
		})
		if !errors.Is(err, errMore) {
			return err
		}
		if s.tx(ctx) != nil { // the caller's transaction must remove everything
			return s.clearClient(ctx, id, allPieces)
		}
		disable := func(ctx context.Context) error {
			if _, err := s.exec(ctx, s.dialect.bind("UPDATE vestibule_clients SET disabled = TRUE WHERE id = ?"), id); err != nil {
				return err
			}
			return s.changedClient(ctx, id, true)
		}
		if err := s.atomically(ctx, disable); err != nil {
			return err
		}
		for errors.Is(err, errMore) {
			err = nil
			if again := s.atomically(ctx, func(ctx context.Context) error {
				err = s.clearClient(ctx, id, 1)
				return nil // commit this piece
			}); again != nil {
				return again
			}
		}
		if err != nil {
			return err
		}
	}
}

// errMore means that there may be records left.
var errMore = errors.New("gormstore: more records to remove")

// clearClient removes a client's records, up to that many pieces of each kind. It returns errMore
// if there may be others.
func (s *Store) clearClient(ctx context.Context, id string, pieces int) error {
	for range pieces {
		families, err := s.familyPieceOf(ctx, "client", id)
		if err != nil {
			return err
		}
		more, err := s.pieces(ctx, grantRows("client", id))
		if err != nil || !more && !families {
			return err
		}
	}
	return errMore
}
