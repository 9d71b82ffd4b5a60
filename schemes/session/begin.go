package session

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
)

// notRemembered returns the response to a remember cookie that is not valid.
func (s *Scheme) notRemembered(ctx context.Context, f storage.Family, err error) error {
	switch {
	case errors.Is(err, rotation.ErrRevoked) && f.Ended:
		// The request that ended the series may have failed to delete its sessions.
		if err := s.clear(ctx, f); err != nil {
			return err
		}
	case errors.Is(err, rotation.ErrUnknown), errors.Is(err, rotation.ErrExpired), errors.Is(err, rotation.ErrRevoked), errors.Is(err, rotation.ErrMismatch):
	case errors.Is(err, rotation.ErrTooMany):
		return authn.Throttled(rotation.RetryAfter)
	default:
		return err
	}
	return s.refused(err, s.memory.invalid)
}

// begin inserts the session of an exchange, unless a repetition of the exchange already did.
func (s *Scheme) begin(r *http.Request, res rotation.Result, b begun, was *row) (*row, storage.User, error) {
	ctx, f, m := r.Context(), res.State.Family, s.memory
	v := storage.Session{ID: b.ID, Subject: f.Subject, Epoch: f.Epoch, AuthTime: f.AuthTime, ACR: f.ACR, AMR: f.AMR, Created: b.At}
	err := s.changed(r, func(r *http.Request) error {
		err := s.replace(r, s.cookie, b.Session, &v, was, was != nil)
		if errors.Is(err, storage.ErrNotFound) { // it was deleted, or replaced by a repetition
			v.Data = nil
			err = s.replace(r, s.cookie, b.Session, &v, nil, false)
		}
		if err == nil {
			s.notify(r.Context(), audit.SessionCreated, &v, reasonRemembered)
		}
		return err
	})
	inserted := err == nil
	switch {
	case inserted:
	case errors.Is(err, storage.ErrConflict): // it already exists
	case errors.Is(err, storage.ErrStale):
		return nil, storage.User{}, s.refused(err, m.invalid)
	default:
		return nil, storage.User{}, err
	}
	// A request that ends a series deletes its sessions afterwards. It may not have found this
	// session, which was inserted later, so check the series again, even if the client has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateTimeout)
	defer cancel()
	now, err := m.rotator.Inspect(ctx, m.use(b.Next))
	if err != nil && !errors.Is(err, rotation.ErrReused) { // already exchanged by this browser
		m.cleared.forget(f.ID)                                                        // cleared before this session was inserted
		if err = s.notRemembered(ctx, now.Family, err); inserted && !isRefusal(err) { // a repeated request inserts it again
			return nil, storage.User{}, errors.Join(err, s.rows.DeleteSession(context.WithoutCancel(ctx), v.Digest))
		}
		return nil, storage.User{}, err
	}
	if inserted {
		s.surplus(ctx, v.Subject, v.ID)
	}
	stored, u, err := s.rows.SessionByDigest(ctx, digestOf(s.cookie, b.Session))
	if errors.Is(err, storage.ErrNotFound) { // deleted at the same time
		return nil, storage.User{}, s.refused(err, s.invalid)
	}
	if err != nil {
		return nil, storage.User{}, err
	}
	return &row{Session: stored, text: b.Session, next: &b}, u, nil
}
