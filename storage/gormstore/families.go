package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

const (
	familyColumns = "f.id, f.purpose, f.subject, f.client, f.scopes, f.resource, f.confirm, f.name, f.epoch, f.auth_time_us, f.created_us, f.expires_us, f.data, f.ended, f.acr, f.amr"
	// An index has the live families of a subject, purpose and client, in the order of lists.
	liveFamilies   = " FROM vestibule_families f WHERE f.subject = ? AND f.purpose = ? AND NOT f.ended AND f.epoch = {epoch}"
	listFamilies   = "SELECT " + familyColumns + liveFamilies + " AND f.created_us <= ? AND (f.created_us < ? OR f.id > ?) ORDER BY f.created_us DESC, f.id LIMIT ?"
	listFamiliesOf = "SELECT " + familyColumns + liveFamilies + " AND f.client = ? ORDER BY f.created_us DESC, f.id LIMIT ? OFFSET ?"
	familyByID     = "SELECT " + familyColumns + liveFamilies + " AND f.id = ?"
	// Window functions see the groups before the limit.
	countFamilies = "SELECT f.client, COUNT(*), CAST(SUM(COUNT(*)) OVER () AS {integer})" + liveFamilies +
		" GROUP BY f.client ORDER BY COUNT(*) DESC, MIN(f.created_us), f.client LIMIT 1"
	insertFamily = "INSERT INTO vestibule_families (id, purpose, subject, client, scopes, resource, confirm, name, epoch, auth_time_us, created_us, expires_us, data, ended, acr, amr)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, ?, ?) ON CONFLICT DO NOTHING"
	insertRefresh = "INSERT INTO vestibule_refresh_tokens (digest, family, prev, nth, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	familyOf      = "SELECT f.id, f.subject, f.epoch, f.ended, f.created_us FROM vestibule_families f WHERE f.id = (SELECT family FROM vestibule_refresh_tokens WHERE digest = ?)"
	eraseBefore   = "UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0 WHERE digest = (SELECT prev FROM vestibule_refresh_tokens WHERE digest = ?) AND sealed_until_us <> 0"
	narrow        = "UPDATE vestibule_refresh_tokens SET narrowed = TRUE WHERE family = ? AND sealed_until_us <> 0 AND NOT narrowed AND claimed_us <= ?"
	eraseIn       = "UPDATE vestibule_refresh_tokens SET sealed = NULL, sealed_until_us = 0 WHERE family = ? AND sealed_until_us <> 0"
)

// familyRow is a row of familyColumns.
type familyRow struct {
	f                           storage.Family
	scopes, resource, amr       *string
	authTime, created, notAfter int64
}

func (r *familyRow) dest() []any {
	f := &r.f
	return []any{&f.ID, &f.Purpose, &f.Subject, &f.Client, &r.scopes, &r.resource, &f.Confirm, &f.Name, &f.Epoch, &r.authTime, &r.created, &r.notAfter, &f.Data, &f.Ended, &f.ACR, &r.amr}
}

func (r *familyRow) family() storage.Family {
	r.f.Scopes, r.f.Resource, r.f.AMR = words(r.scopes), words(r.resource), words(r.amr)
	r.f.AuthTime, r.f.Created, r.f.Expires = timeOf(r.authTime), timeOf(r.created), timeOf(r.notAfter)
	return r.f
}

// CreateFamily implements storage.Families.
func (s *Store) CreateFamily(ctx context.Context, f storage.Family, first storage.Refresh) error {
	if err := f.Check(); err != nil {
		return err
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, f.Subject, f.Epoch); err != nil {
			return err
		}
		if f.Client != "" {
			if err := s.live(ctx, sameClient, micros(f.ClientRevoked), f.Client); err != nil {
				return err
			}
		}
		if err := s.addRefresh(ctx, f.ID, storage.Digest{}, 0, first); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(insertFamily), f.ID, f.Purpose, f.Subject, f.Client, text(f.Scopes), text(f.Resource), f.Confirm, f.Name,
			f.Epoch, micros(f.AuthTime), micros(f.Created), micros(f.Expires), f.Data, f.ACR, text(f.AMR))
		if err != nil || n > 0 {
			return err
		}
		// The caller's own transaction may continue, so nothing is left in it.
		if _, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_refresh_tokens WHERE digest = ?"), first.Digest[:]); err != nil {
			return err
		}
		return storage.ErrConflict
	})
}

// addRefresh inserts a token that replaces prev, after nth exchanges. It returns ErrConflict if its
// digest exists.
func (s *Store) addRefresh(ctx context.Context, family string, prev storage.Digest, nth int64, r storage.Refresh) error {
	var before []byte
	if !prev.IsZero() {
		before = prev[:]
	}
	n, err := s.exec(ctx, s.dialect.bind(insertRefresh), r.Digest[:], family, before, nth, micros(r.Created), micros(r.Expires))
	if err == nil && n == 0 {
		err = storage.ErrConflict
	}
	return err
}

// RefreshByDigest implements storage.Families with one query.
func (s *Store) RefreshByDigest(ctx context.Context, d storage.Digest) (storage.RefreshState, error) {
	if err := s.bound(ctx); err != nil {
		return storage.RefreshState{}, err
	}
	var f familyRow
	var u userRow
	r := storage.Refresh{Digest: d}
	var created, expires, claimed, sealedUntil, nextClaimed, now int64
	dest := []any{&r.Family, &created, &expires, &claimed, &r.Sealed, &sealedUntil, &r.GraceClosed, &nextClaimed, &now}
	dest = append(append(dest, f.dest()...), u.dest()...)
	if err := s.row(ctx, s.q.refreshByDigest, []any{d[:]}, dest); err != nil {
		return storage.RefreshState{}, notFound(err)
	}
	if u.u.ID != f.f.Subject { // see UserByID
		return storage.RefreshState{}, storage.ErrNotFound
	}
	if s.now != nil {
		now = s.now().UnixMicro()
	}
	r.Created, r.Expires, r.Claimed, r.SealedUntil = timeOf(created), timeOf(expires), timeOf(claimed), timeOf(sealedUntil)
	return storage.RefreshState{Refresh: r, Family: f.family(), User: s.account(&u), SuccessorClaimed: nextClaimed != 0, Now: timeOf(now)}, nil
}

// ClaimRefresh implements storage.Families. It locks the family's row, so that claims of its tokens
// and its revocation run one after the other.
func (s *Store) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	return s.atomically(ctx, func(ctx context.Context) error {
		var f storage.Family
		var created, nth int64
		err := s.row(ctx, s.dialect.bind(familyOf)+s.dialect.forUpdate(), []any{c.Digest[:]}, []any{&f.ID, &f.Subject, &f.Epoch, &f.Ended, &created})
		if err != nil {
			return notFound(err)
		}
		if f.Ended {
			return storage.ErrStale
		}
		if err := s.mayHold(ctx, f.Subject, f.Epoch); err != nil {
			return err
		}
		var open bool
		err = s.row(ctx, s.dialect.bind("SELECT claimed_us = 0, nth FROM vestibule_refresh_tokens WHERE digest = ?"), []any{c.Digest[:]}, []any{&open, &nth})
		if err != nil {
			return notFound(err)
		}
		if !open {
			return storage.ErrConflict
		}
		if nth >= storage.MaxExchanges(c.Next.Created.Sub(timeOf(created))) {
			return storage.ErrLimit
		}
		if err := s.addRefresh(ctx, f.ID, c.Digest, nth+1, c.Next); err != nil {
			return err
		}
		if err := s.claim(ctx, c); err != nil {
			return err
		}
		_, err = s.exec(ctx, s.dialect.bind(eraseBefore), c.Digest[:])
		return err
	})
}

// claim marks the token as claimed now.
func (s *Store) claim(ctx context.Context, c storage.RefreshClaim) error {
	window, sealed := c.Window.Microseconds(), c.Sealed
	if window <= 0 || len(sealed) == 0 {
		window, sealed = 0, nil
	}
	query, args := s.q.claim, []any{c.Next.Digest[:], sealed, window, window, c.Digest[:]}
	if s.now != nil {
		query, args = s.q.claimAt, []any{c.Next.Digest[:], sealed, window, window, max(s.now().UnixMicro(), 1), c.Digest[:]}
	}
	n, err := s.exec(ctx, query, args...)
	if err == nil && n == 0 {
		err = errors.New("gormstore: a refresh token changed while its family was locked")
	}
	return err
}

// CloseGraceWindow implements storage.Families.
func (s *Store) CloseGraceWindow(ctx context.Context, family string, before time.Time) error {
	if storage.CheckID("family id", family) != nil {
		return nil
	}
	_, err := s.exec(ctx, s.dialect.bind(narrow), family, before.UnixMicro())
	return err
}

// EndFamily implements storage.Families.
func (s *Store) EndFamily(ctx context.Context, id string, blockUntil time.Time) error {
	if storage.CheckID("family id", id) != nil {
		return storage.ErrNotFound
	}
	return s.atomically(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, s.dialect.bind("UPDATE vestibule_families SET ended = TRUE WHERE id = ?"), id) // locks the row, too
		if err != nil {
			return err
		}
		if n == 0 {
			return storage.ErrNotFound
		}
		if _, err := s.exec(ctx, s.dialect.bind(eraseIn), id); err != nil {
			return err
		}
		return s.Block(ctx, blockUntil, storage.BlockKeyOf(storage.BlockSID, "", id))
	})
}

// ListFamilies implements storage.Families.
func (s *Store) ListFamilies(ctx context.Context, purpose, subject string, after storage.FamilyPlace, limit int) ([]storage.Family, error) {
	created := int64(math.MaxInt64)
	if !after.IsZero() {
		created = micros(after.Created)
	}
	if after.ID != "" && storage.CheckID("family id", after.ID) != nil {
		return nil, nil
	}
	return s.families(ctx, s.q.listFamilies, purpose, subject, created, created, after.ID, max(limit, 0))
}

// ListFamiliesOf implements storage.Families.
func (s *Store) ListFamiliesOf(ctx context.Context, purpose, subject, client string, skip, limit int) ([]storage.Family, error) {
	if client != "" && storage.CheckID("client", client) != nil {
		return nil, nil
	}
	return s.families(ctx, s.q.listFamiliesOf, purpose, subject, client, max(limit, 0), max(skip, 0))
}

// FamilyByID implements storage.Families.
func (s *Store) FamilyByID(ctx context.Context, purpose, subject, id string) (storage.Family, error) {
	if storage.CheckID("family id", id) != nil {
		return storage.Family{}, storage.ErrNotFound
	}
	list, err := s.families(ctx, s.q.familyByID, purpose, subject, id)
	switch {
	case err != nil:
		return storage.Family{}, err
	case len(list) == 0:
		return storage.Family{}, storage.ErrNotFound
	}
	return list[0], nil
}

// families reads live families. more are the arguments of query after the subject's.
func (s *Store) families(ctx context.Context, query, purpose, subject string, more ...any) (list []storage.Family, err error) {
	if storage.CheckID("purpose", purpose) != nil || s.users.mine(subject) != nil {
		return nil, nil
	}
	err = s.rows(ctx, query, append([]any{subject, purpose, subject}, more...), func(rows *sql.Rows) error {
		var r familyRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		list = append(list, r.family())
		return nil
	})
	return list, err
}

// CountFamilies implements storage.Families.
func (s *Store) CountFamilies(ctx context.Context, purpose, subject string) (n storage.FamilyCount, err error) {
	if storage.CheckID("purpose", purpose) != nil || s.users.mine(subject) != nil {
		return n, nil
	}
	err = s.row(ctx, s.q.countFamilies, []any{subject, purpose, subject}, []any{&n.Client, &n.Most, &n.Total})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}
