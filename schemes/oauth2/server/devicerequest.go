package server

import (
	"context"
	"database/sql/driver"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// DeviceRequest is a device that waits for its user's decision.
type DeviceRequest struct {
	// UserCode is the code in the form in which it is displayed.
	UserCode string
	Grant    storage.DeviceGrant
	Client   storage.Client
}

// FindDevice returns the waiting device whose code a user entered. The code may be in lower case,
// with or without the dash, and with look-alike characters. subject is the user.
//
// It returns storage.ErrNotFound for a code that is wrong, expired or used. After 10 wrong codes of
// the user, or 100 of the client address, in 15 minutes it returns an *oauth2.Error with status
// 429. It panics without Options.Keys.
func (s *Server) FindDevice(r *http.Request, subject, typed string) (DeviceRequest, error) {
	ctx := r.Context()
	_, key := s.opts.Keys.Newest(keys.ThrottleNames)
	names := []triedBy{
		{mac(key, "device user", s.issuer, subject), maxTries},
		{mac(key, "device source", s.issuer, s.source(r)), maxSourceTries},
	}
	if err := s.countTries(ctx, names); err != nil {
		return DeviceRequest{}, err
	}
	d, err := s.findDevice(ctx, typed)
	if errors.Is(err, storage.ErrNotFound) || ctx.Err() != nil { // a cancelled attempt stays counted
		return d, err
	}
	return d, errors.Join(err, s.forgiveTries(ctx, names)) // not a wrong code
}

// ReadUserCode converts a text that a user entered to the displayed form of a code. It returns ""
// if the text cannot be a code. It does not check whether the code exists.
func (s *Server) ReadUserCode(typed string) string {
	if code, ok := readCode(typed); ok {
		return shownCode(code)
	}
	return ""
}

// triedBy is a counter of wrong codes and its limit.
type triedBy struct {
	name storage.MAC
	most int
}

// countTries counts an attempt before the code is looked up, so that concurrent attempts cannot
// exceed the limit.
func (s *Server) countTries(ctx context.Context, names []triedBy) error {
	now := s.now()
	for _, by := range names {
		if ends, ok := s.tries.refused(by.name); ok && now.Before(ends) && !ends.After(now.Add(tryWindow+storage.ClockSkew)) { // a later end was set by a clock that was ahead
			return tooManyTries(ends.Sub(now))
		}
	}
	for i, by := range names {
		for range s.tries.takeOwed(by.name) {
			if err := s.forgiveTries(ctx, names[i:i+1]); err != nil {
				return errors.Join(err, s.forgiveTries(ctx, names[:i]))
			}
		}
		n, ends, err := s.store.CountAttempt(ctx, by.name, now, now.Add(tryWindow))
		if err == nil && n > by.most {
			s.tries.refuse(by.name, ends)
			err = tooManyTries(ends.Sub(now))
		}
		if err != nil { // no code was checked, so the other counters get the attempt back
			return errors.Join(err, s.forgiveTries(ctx, names[:i]))
		}
	}
	return nil
}

func tooManyTries(wait time.Duration) error {
	return &oauth2.Error{Status: http.StatusTooManyRequests, Code: "temporarily_unavailable", Description: "Too many wrong codes. Try again later.", RetryAfter: wait, NoRedirect: true}
}

// forgiveTries takes back what countTries counted. If the store rejects that, it is repeated before
// the next attempt. If it is unknown whether the store did it, the attempt stays counted, because
// an attempt that is taken back twice would allow another wrong code.
func (s *Server) forgiveTries(ctx context.Context, names []triedBy) error {
	var failed error
	for _, by := range names {
		if err := s.store.ForgiveAttempt(ctx, by.name); err != nil {
			if refusedByStore(err) {
				s.tries.owe(by.name)
			}
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// refusedByStore reports whether the database itself says that it did not execute a statement.
// After any other error, such as a timeout or a broken connection, it may have executed it.
func refusedByStore(err error) bool {
	var state interface{ SQLState() string }
	return errors.Is(err, driver.ErrBadConn) || errors.As(err, &state) && state.SQLState() != "40003" // statement_completion_unknown
}

// findDevice returns the device that waits with a code. For any other code it returns ErrNotFound.
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
	if d.Grant.State != storage.DevicePending || d.Grant.Expired(s.now()) || storage.Ahead(s.now(), d.Grant.Created) {
		return d, storage.ErrNotFound
	}
	if d.Client, err = s.store.ClientByID(ctx, d.Grant.Client); err == nil && d.Client.Disabled {
		err = storage.ErrNotFound
	}
	return d, err
}
