package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	codeColumns = "t.client, t.subject, t.epoch, t.redirect_uri, t.scopes, t.resource, t.challenge, t.nonce, t.confirm, t.session, t.auth_time_us, t.created_us, t.expires_us, t.kept_us, t.used, t.family, t.acr, t.amr"
	insertCode  = "INSERT INTO vestibule_codes (digest, client, subject, epoch, redirect_uri, scopes, resource, challenge, nonce, confirm, session, auth_time_us, created_us, expires_us, kept_us, used, family, acr, amr)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, '', ?, ?) ON CONFLICT DO NOTHING"
	useCode = "UPDATE vestibule_codes SET used = TRUE, family = ?, kept_us = CASE WHEN kept_us < ? THEN ? ELSE kept_us END WHERE digest = ? AND NOT used"

	liveClient = "SELECT NOT disabled FROM vestibule_clients WHERE id = ?"
	// Compared with storage.Client.Revoked: the client was not disabled and enabled since it was
	// authenticated.
	sameClient = "SELECT NOT disabled AND revoked_us = ? AS ok FROM vestibule_clients WHERE id = ?"

	accessColumns = "t.id, COALESCE(t.family, ''), t.client, COALESCE(t.subject, ''), t.epoch, t.scopes, t.resource, t.confirm, t.auth_time_us, t.created_us, t.expires_us, t.acr, t.amr"
	insertAccess  = "INSERT INTO vestibule_access_tokens (digest, id, family, client, subject, epoch, scopes, resource, confirm, auth_time_us, created_us, expires_us, acr, amr)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

// CreateCode implements storage.Codes.
func (s *Store) CreateCode(ctx context.Context, c storage.Code) error {
	if err := c.Check(); err != nil {
		return err
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if err := s.lockHolder(ctx, c.Subject, c.Epoch); err != nil {
			return err
		}
		if err := s.live(ctx, liveClient, c.Client); err != nil {
			return err
		}
		n, err := s.exec(ctx, s.dialect.bind(insertCode), c.Digest[:], c.Client, c.Subject, c.Epoch, c.RedirectURI, text(c.Scopes), text(c.Resource),
			c.Challenge, c.Nonce, c.Confirm, c.Session, micros(c.AuthTime), micros(c.Created), micros(c.Expires), micros(c.Kept), c.ACR, text(c.AMR))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
	return s.swept(ctx, &s.short.codes, c.Created, err)
}

// CodeByDigest implements storage.Codes.
func (s *Store) CodeByDigest(ctx context.Context, d storage.Digest) (storage.Code, storage.User, error) {
	if err := s.bound(ctx); err != nil {
		return storage.Code{}, storage.User{}, err
	}
	c := storage.Code{Digest: d}
	var u userRow
	var scopes, resource, amr *string
	var authTime, created, expires, kept int64
	dest := []any{&c.Client, &c.Subject, &c.Epoch, &c.RedirectURI, &scopes, &resource, &c.Challenge, &c.Nonce, &c.Confirm, &c.Session, &authTime, &created, &expires, &kept, &c.Used, &c.Family, &c.ACR, &amr}
	if err := s.row(ctx, s.q.codeByDigest, []any{d[:]}, append(dest, u.dest()...)); err != nil {
		return storage.Code{}, storage.User{}, notFound(err)
	}
	if u.u.ID != c.Subject { // see UserByID
		return storage.Code{}, storage.User{}, storage.ErrNotFound
	}
	c.Scopes, c.Resource, c.AMR = words(scopes), words(resource), words(amr)
	c.AuthTime, c.Created, c.Expires, c.Kept = timeOf(authTime), timeOf(created), timeOf(expires), timeOf(kept)
	return c, s.account(&u), nil
}

// ConsumeCode implements storage.Codes.
func (s *Store) ConsumeCode(ctx context.Context, d storage.Digest, family string, kept time.Time) error {
	end := micros(kept)
	n, err := s.exec(ctx, s.dialect.bind(useCode), family, end, end, d[:])
	if err != nil || n > 0 {
		return err
	}
	var one int
	if err := s.row(ctx, s.dialect.bind("SELECT 1 FROM vestibule_codes WHERE digest = ?"), []any{d[:]}, []any{&one}); err != nil {
		return notFound(err)
	}
	return storage.ErrConflict
}

// DeleteCodes implements storage.Codes.
func (s *Store) DeleteCodes(ctx context.Context, subject, client string) error {
	if errors.Join(s.users.mine(subject), storage.CheckID("client", client)) != nil {
		return nil
	}
	_, err := s.all(ctx, subject, client, openCodes(subject, client))
	return err
}

// AccessByDigest implements storage.AccessTokens with one prepared query.
func (s *Store) AccessByDigest(ctx context.Context, d storage.Digest) (storage.AccessState, error) {
	if err := s.bound(ctx); err != nil {
		return storage.AccessState{}, err
	}
	var r struct {
		a                          storage.AccessToken
		u                          userRow
		scopes, resource, amr      *string
		authTime, created, expires int64
		ended                      bool
	}
	a, u := &r.a, &r.u
	err := s.hotRow(ctx, &s.accessByDigest, []any{d[:]}, []any{
		&a.ID, &a.Family, &a.Client, &a.Subject, &a.Epoch, &r.scopes, &r.resource, &a.Confirm, &r.authTime, &r.created, &r.expires, &a.ACR, &r.amr, &r.ended,
		&u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	if err != nil {
		return storage.AccessState{}, notFound(err)
	}
	a.Digest = d
	a.Scopes, a.Resource, a.AMR = words(r.scopes), words(r.resource), words(r.amr)
	a.AuthTime, a.Created, a.Expires = timeOf(r.authTime), timeOf(r.created), timeOf(r.expires)
	if a.Confirm, a.Actors, err = actors.Unpack(a.Confirm); err != nil {
		return storage.AccessState{}, err
	}
	if !s.users.held(&a.Subject) {
		return storage.AccessState{}, storage.ErrNotFound
	}
	st := storage.AccessState{Access: *a, Ended: r.ended}
	switch {
	case a.Subject == "":
		return st, nil
	case u.u.ID != a.Subject: // the account is gone; and see UserByID
		return storage.AccessState{}, storage.ErrNotFound
	}
	st.User = s.account(u)
	return st, nil
}

// CreateAccess implements storage.AccessTokens. It locks the account, the client and the family of
// the token until the token is inserted, so that a revocation comes before or after the insert.
// Revocations lock these rows in the same order.
func (s *Store) CreateAccess(ctx context.Context, a storage.AccessToken) error {
	if err := a.Check(); err != nil {
		return err
	}
	if err := s.bound(ctx); err != nil {
		return err
	}
	if a.Family == "" && a.Subject == "" && s.dialect == postgres {
		return s.swept(ctx, &s.short.access, a.Created, s.createOwnAccess(ctx, a))
	}
	var family *string // NULL is none
	if a.Family != "" {
		family = &a.Family
	}
	err := s.atomically(ctx, func(ctx context.Context) error {
		if a.Subject != "" {
			if err := s.lockHolder(ctx, a.Subject, a.Epoch); err != nil {
				return err
			}
		}
		if family == nil {
			if err := s.live(ctx, sameClient, micros(a.ClientRevoked), a.Client); err != nil {
				return err
			}
		} else {
			if err := s.live(ctx, liveClient, a.Client); err != nil {
				return err
			}
			if err := s.live(ctx, "SELECT NOT ended FROM vestibule_families WHERE id = ?", a.Family); err != nil {
				return err
			}
		}
		n, err := s.exec(ctx, s.dialect.bind(insertAccess), a.Digest[:], a.ID, family, a.Client, s.users.holder(a.Subject), a.Epoch, text(a.Scopes), text(a.Resource),
			actors.Pack(a.Confirm, a.Actors), micros(a.AuthTime), micros(a.Created), micros(a.Expires), a.ACR, text(a.AMR))
		if err == nil && n == 0 {
			err = storage.ErrConflict
		}
		return err
	})
	return s.swept(ctx, &s.short.access, a.Created, err)
}

// insertOwnAccess locks the client, and inserts a token of it if the client is live.
const insertOwnAccess = "WITH live AS (" + sameClient + " FOR SHARE), made AS (" +
	"INSERT INTO vestibule_access_tokens (digest, id, client, subject, epoch, scopes, resource, confirm, auth_time_us, created_us, expires_us)" +
	" SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM live WHERE ok ON CONFLICT DO NOTHING RETURNING 1)" +
	" SELECT EXISTS (SELECT FROM live WHERE ok), EXISTS (SELECT FROM made)"

// createOwnAccess is CreateAccess for a token of a client itself, with PostgreSQL: one statement instead of
// a transaction of four, because clients request such tokens most often.
func (s *Store) createOwnAccess(ctx context.Context, a storage.AccessToken) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.retry(ctx, func() error {
		var live, made bool
		err := s.scanned(ctx, s.dialect.bind(insertOwnAccess), []any{
			micros(a.ClientRevoked), a.Client,
			a.Digest[:], a.ID, a.Client, s.users.holder(a.Subject), a.Epoch, text(a.Scopes), text(a.Resource), a.Confirm, micros(a.AuthTime), micros(a.Created), micros(a.Expires),
		}, []any{&live, &made})
		switch {
		case err != nil:
			return err
		case !live:
			return storage.ErrStale
		case !made:
			return storage.ErrConflict
		}
		return nil
	})
}

// live returns ErrStale unless the query's row exists and is true, and locks the row.
func (s *Store) live(ctx context.Context, query string, args ...any) error {
	var ok bool
	err := s.row(ctx, s.dialect.bind(query)+s.dialect.forShare(), args, []any{&ok})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !ok {
		return storage.ErrStale
	}
	return err
}

// SignedAccessStatus implements storage.AccessTokens with one prepared query.
func (s *Store) SignedAccessStatus(ctx context.Context, client, family, subject string, keys storage.BlockKeys) (storage.User, storage.TokenStatus, error) {
	if err := s.bound(ctx); err != nil {
		return storage.User{}, storage.TokenStatus{}, err
	}
	switch {
	case storage.CheckID("client", client) != nil || family != "" && storage.CheckID("family", family) != nil:
		return storage.User{}, storage.TokenStatus{Blocked: true}, nil
	case subject != "" && !s.users.has(subject):
		return storage.User{}, storage.TokenStatus{}, storage.ErrNotFound
	}
	var r struct {
		u       userRow
		blocked bool
	}
	var holder *string // NULL is none
	if subject != "" {
		holder = &subject
	}
	u := &r.u
	err := s.hotRow(ctx, &s.signedAccess, []any{keys.JTI[:], keys.SID[:], keys.Subject[:], client, family, family, client, holder}, []any{
		&r.blocked, &u.u.ID, &u.u.Name, &u.u.Email, &u.hash, &u.u.Active, &u.roles, &u.created, u.epoch(),
	})
	switch {
	case err == nil && u.u.ID != subject: // the account is gone; and see UserByID
		err = storage.ErrNotFound
	case err == nil && subject == "":
		return storage.User{}, storage.TokenStatus{Blocked: r.blocked, Epoch: u.u.Epoch}, nil
	}
	if err != nil {
		return storage.User{}, storage.TokenStatus{}, notFound(err)
	}
	return s.account(u), storage.TokenStatus{Blocked: r.blocked, Epoch: u.u.Epoch}, nil
}

// DeleteAccess implements storage.AccessTokens.
func (s *Store) DeleteAccess(ctx context.Context, d storage.Digest) error {
	n, err := s.exec(ctx, s.dialect.bind("DELETE FROM vestibule_access_tokens WHERE digest = ?"), d[:])
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return err
}
