package session

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// forget ends the series of the request's cookies and deletes its sessions, except old, which the
// caller deletes and reports. Call it in a change of the session. It ends the series of old even if
// another scheme over the store began it and this scheme has no Remember. sent means that the request
// has a remember cookie: call unremember after the change. forget returns errors of the store only.
func (s *Scheme) forget(r *http.Request, old *row) (sent bool, err error) {
	ctx, keep, series := r.Context(), "", ""
	if old != nil {
		keep, series = old.ID, familyOf(old.ID)
		if series != "" {
			if err := s.endFamily(ctx, series); err != nil {
				return false, err
			}
			if err := s.endSeries(ctx, storage.Family{ID: series, Subject: old.Subject}, keep); err != nil {
				return false, err
			}
		}
	}
	if s.memory == nil {
		return false, nil
	}
	text, err := s.memory.text(r)
	if errors.Is(err, errNoCookie) {
		return false, nil
	}
	if err != nil || !s.site.Secure(r) {
		return true, nil
	}
	st, err := s.memory.rotator.Revoke(ctx, s.memory.use(text))
	switch {
	case errors.Is(err, rotation.ErrUnknown), errors.Is(err, rotation.ErrMismatch):
		return true, nil
	case err != nil:
		return false, err
	}
	f := st.Family
	if f.ID != series && !f.Ended && s.now().Before(f.Expires) { // otherwise the caller reports it, or nothing ended
		s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.Logout, Reason: reasonRemembered, Scheme: s.Name(), Subject: f.Subject, Family: f.ID, Epoch: f.Epoch})
	}
	return true, s.endSeries(ctx, f, keep)
}

// unremember deletes the remember cookie, if the request sent one.
func (s *Scheme) unremember(w http.ResponseWriter, sent bool) {
	if sent {
		s.send(w, s.memory.cookie, "", -1)
	}
}

// lateTimeout limits the check of a series after a session of it was inserted, see begin.
const lateTimeout = 5 * time.Second

// isRefusal reports whether err rejects the request, rather than being a fault.
func isRefusal(err error) bool {
	var e *authn.Error
	return errors.As(err, &e)
}

// endSeries deletes the sessions of a series that has ended, except the one whose ID is keep.
func (s *Scheme) endSeries(ctx context.Context, f storage.Family, keep string) error {
	_, err := s.rows.DeleteSeries(ctx, f.Subject, f.ID, keep)
	return err
}

// maxCleared is the number of series that a process remembers in cleared.
const maxCleared = 10_000

// cleared contains ended series whose sessions were deleted. A browser may send an invalid cookie
// many times, and each deletion of its sessions would cost a query.
type cleared struct {
	mu     sync.Mutex
	series *bounded.Map[string, struct{}]
}

func (c *cleared) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.series.Get(id)
	return ok
}

func (c *cleared) note(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.series.Put(id, struct{}{}, 1)
}

func (c *cleared) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.series.Drop(id)
}

// clear is endSeries for an invalid cookie of an ended series, once per process. If a session is
// inserted later, begin deletes it.
func (s *Scheme) clear(ctx context.Context, f storage.Family) error {
	if s.memory.cleared.has(f.ID) {
		return nil
	}
	if err := s.endSeries(ctx, f, ""); err != nil {
		return err
	}
	s.memory.cleared.note(f.ID)
	return nil
}

// endOne deletes a session of the subject and ends its series.
func (s *Scheme) endOne(ctx context.Context, subject, id string) error {
	series := familyOf(id)
	if s.families == nil || series == "" {
		return s.rows.DeleteSessionOf(ctx, subject, id)
	}
	if _, err := s.rows.SessionByID(ctx, subject, id); err != nil { // only series of the subject may be ended
		return err
	}
	if err := s.endFamily(ctx, series); err != nil {
		return err
	}
	return s.endSeries(ctx, storage.Family{ID: series, Subject: subject}, "")
}

// endFamily ends a series. Another scheme with the same store may have created it.
func (s *Scheme) endFamily(ctx context.Context, id string) error {
	if s.families == nil {
		return nil
	}
	err := s.families.EndFamily(ctx, id, s.now().Add(time.Second)) // no token contains the family's ID
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// piece is the number of series that one query of forgetAll lists.
const piece = 500

// forgetAll ends all series of the subject except keep, and returns how many. The caller deletes their
// sessions afterwards.
func (s *Scheme) forgetAll(ctx context.Context, subject, keep string) (n int, err error) {
	if s.families == nil {
		return 0, nil
	}
	for {
		list, err := s.families.ListFamiliesOf(ctx, purpose, subject, "", 0, piece)
		if err != nil {
			return n, err
		}
		for _, f := range list {
			if f.ID == keep {
				continue
			}
			if err := s.endFamily(ctx, f.ID); err != nil {
				return n, err
			}
			n++
		}
		if len(list) < piece { // ended series are not listed again
			return n, nil
		}
	}
}
