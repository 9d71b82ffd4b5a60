package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// DeviceRequest is a device that waits for its user's decision.
type DeviceRequest struct {
	// UserCode is the code as it is displayed.
	UserCode string
	Grant    storage.DeviceGrant
	Client   storage.Client
}

// FindDevice returns the device that waits with the code that a user typed. The code may be in
// lower case, with or without the dash, with characters that look alike. subject is the user.
//
// It returns storage.ErrNotFound for a code that is wrong, expired or used, and an *oauth2.Error
// with status 429 after 10 wrong codes of the user, or of the address of r, in 15 minutes. It
// panics without Options.Keys.
func (s *Server) FindDevice(r *http.Request, subject, typed string) (DeviceRequest, error) {
	ctx := r.Context()
	_, key := s.opts.Keys.Newest(keys.ThrottleNames)
	names := []storage.MAC{
		mac(key, "device user", s.issuer, subject),
		mac(key, "device source", s.issuer, s.source(r)),
	}
	if err := s.countTries(ctx, names); err != nil {
		return DeviceRequest{}, err
	}
	d, err := s.findDevice(ctx, typed)
	if errors.Is(err, storage.ErrNotFound) || ctx.Err() != nil { // a caller that left gets no try back
		return d, err
	}
	return d, errors.Join(err, s.forgiveTries(ctx, names)) // it was not a wrong code
}

// ReadUserCode returns a code that somebody typed as it is displayed, or "" if it cannot be one.
// It looks nothing up.
func (s *Server) ReadUserCode(typed string) string {
	if code, ok := readCode(typed); ok {
		return shownCode(code)
	}
	return ""
}

// countTries counts a try before anything is looked up, so that concurrent tries cannot exceed
// the limit.
func (s *Server) countTries(ctx context.Context, names []storage.MAC) error {
	now := s.now()
	for _, name := range names {
		if ends, ok := s.tries.refused(name); ok && now.Before(ends) {
			return tooManyTries(ends.Sub(now))
		}
	}
	for i, name := range names {
		for range s.tries.takeOwed(name) {
			if err := s.forgiveTries(ctx, names[i:i+1]); err != nil {
				return errors.Join(err, s.forgiveTries(ctx, names[:i]))
			}
		}
		n, ends, err := s.store.CountAttempt(ctx, name, now, now.Add(tryWindow))
		if err == nil && n > maxTries {
			s.tries.refuse(name, ends)
			err = tooManyTries(ends.Sub(now))
		}
		if err != nil { // nothing was tried: the others have it back
			return errors.Join(err, s.forgiveTries(ctx, names[:i]))
		}
	}
	return nil
}

func tooManyTries(wait time.Duration) error {
	return &oauth2.Error{Status: http.StatusTooManyRequests, Code: "temporarily_unavailable", Description: "Too many codes were tried. Wait a while.", RetryAfter: wait, NoRedirect: true}
}

// forgiveTries takes back what countTries counted. What the store does not take back now is taken
// back before the next try.
func (s *Server) forgiveTries(ctx context.Context, names []storage.MAC) error {
	var failed error
	for _, name := range names {
		if err := s.store.ForgiveAttempt(ctx, name); err != nil {
			s.tries.owe(name)
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// findDevice returns the device that waits with that code. ErrNotFound for every other code.
func (s *Server) findDevice(ctx context.Context, typed string) (d DeviceRequest, err error) {
	code, ok := readCode(typed)
	if !ok {
		return d, storage.ErrNotFound
	}
	d.UserCode = shownCode(code)
	for _, id := range s.opts.Keys.IDs() {
		key, _ := s.opts.Keys.ByID(keys.ShortCodes, id)
		if d.Grant, err = s.store.DeviceGrantByUserCode(ctx, s.userMAC(key, code)); !errors.Is(err, storage.ErrNotFound) {
			break
		}
	}
	if err != nil {
		return d, err
	}
	if d.Grant.State != storage.DevicePending || d.Grant.Expired(s.now()) {
		return d, storage.ErrNotFound
	}
	if d.Client, err = s.store.ClientByID(ctx, d.Grant.Client); err == nil && d.Client.Disabled {
		err = storage.ErrNotFound
	}
	return d, err
}
