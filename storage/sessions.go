package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxSessionDataBytes is the maximum length of a session's encoded data, in bytes.
const MaxSessionDataBytes = 64 << 10

// Session is the server's record of one browser session. The browser holds only the secret whose
// digest is Digest.
type Session struct {
	Digest Digest
	// ID identifies the session in lists and for revocation. It is random and not a secret, and
	// stays the same when the session gets a new secret.
	ID string
	// Subject is the logged-in user; "" means an anonymous session, which only holds data.
	Subject string
	// Epoch is the subject's epoch, read before the login was verified; 0 for an anonymous session.
	Epoch int64
	// Data is the encoded values.
	Data []byte
	// Version counts the changes of Data, from 1.
	Version int64
	// Created is when the session began. The absolute timeout counts from it.
	Created time.Time
	// AuthTime is when the subject logged in; zero for an anonymous session.
	AuthTime time.Time
	// ACR is the authentication context class of that login, and AMR lists its methods (RFC 8176); see
	// authn.Identity. "" and nil mean unknown.
	ACR string
	AMR []string
	// LastSeen is the time of the last recorded use. Schemes record at most one use per interval.
	LastSeen time.Time
	// Expires is when the session expires if it is not used.
	Expires time.Time
	// Ends is the absolute expiry: the latest value of Expires.
	Ends time.Time
	// UserAgent and Address help the user recognize the browser. They are displayed, never
	// compared.
	UserAgent, Address string
}

// Expired reports whether the session has expired at the given time.
func (s *Session) Expired(now time.Time) bool {
	return !now.Before(s.Expires) || !now.Before(s.Ends)
}

// Check returns ErrInvalid, with the reason, if s cannot be stored.
func (s *Session) Check() error {
	limits := CheckSessionData(s.Data)
	switch {
	case s.Expires.IsZero() || s.Ends.IsZero():
		limits = fmt.Errorf("%w: session without an expiry", ErrInvalid)
	case s.Expires.After(s.Ends):
		limits = fmt.Errorf("%w: session with Expires after Ends", ErrInvalid)
	case s.Digest.IsZero():
		limits = fmt.Errorf("%w: session without a digest", ErrInvalid)
	}
	return errors.Join(limits, CheckID("session id", s.ID), checkText("subject", s.Subject),
		checkText("user agent", s.UserAgent), checkText("address", s.Address), checkMethods(s.ACR, s.AMR))
}

// CheckSessionData returns ErrInvalid if data is longer than MaxSessionDataBytes.
func CheckSessionData(data []byte) error {
	if len(data) > MaxSessionDataBytes {
		return fmt.Errorf("%w: session data of %d bytes (at most %d)", ErrInvalid, len(data), MaxSessionDataBytes)
	}
	return nil
}

// Sessions stores sessions. See [SessionList] for lists of a subject's sessions.
type Sessions interface {
	// SessionByDigest returns the session, expired or not, and the account of its subject with the
	// subject's current epoch in User.Epoch, in one round trip to the database. For an anonymous
	// session the User is zero. It returns ErrNotFound if the session, or the account of its
	// subject, is absent.
	SessionByDigest(ctx context.Context, d Digest) (Session, User, error)
	// CreateSession inserts s as version 1 and deletes the session that it replaces, in one change;
	// a zero digest replaces none. If s takes over the data of the session that it replaces, set
	// s.Version to the version that was read with the data, so that no later save is lost. 0 replaces
	// any version. Errors change nothing:
	//
	//   - ErrNotFound: the session to replace does not exist, for example because it was revoked.
	//   - ErrConflict: the session to replace has another version, or another session has the digest
	//     or the ID. To find out which, read the session to replace again.
	//   - ErrStale: the subject is absent or disabled, or its epoch is not s.Epoch.
	//   - ErrInvalid: s.Check rejects s.
	CreateSession(ctx context.Context, s Session, replaces Digest) error
	// SaveSession sets the data of an existing session that has that version, and increments the
	// version. It never recreates a deleted session. It returns ErrNotFound if the session does not
	// exist, ErrConflict if it has another version, and ErrInvalid if the data is too long. Errors
	// change nothing.
	SaveSession(ctx context.Context, d Digest, version int64, data []byte) error
	// TouchSession records a use of the session at the given time. If LastSeen <= before, and the
	// session has not expired at the time of the use, it sets LastSeen to seen and Expires to
	// expires, and returns true. Expires never moves back or beyond Ends. Of several concurrent
	// calls, one writes.
	//
	// A call with before > seen corrects a time that was recorded while a clock was ahead. It
	// changes the session only if seen < LastSeen <= before. In this case Expires can move back.
	TouchSession(ctx context.Context, d Digest, seen, expires, before time.Time) (bool, error)
	// DeleteSession deletes the session. It returns ErrNotFound if there is none or it was already
	// deleted.
	DeleteSession(ctx context.Context, d Digest) error
}

// SessionList lists and revokes the sessions of a subject.
type SessionList interface {
	// ListSessions returns up to limit sessions of the subject that have its current epoch, without
	// their Data and including expired ones: the last seen first, then by ID.
	ListSessions(ctx context.Context, subject string, limit int) ([]Session, error)
	// SessionByID returns the session with that ID, or ErrNotFound if ListSessions would not list
	// it.
	SessionByID(ctx context.Context, subject, id string) (Session, error)
	// DeleteSessionOf deletes the subject's session with that ID. It returns ErrNotFound if there
	// is none or it was already deleted.
	DeleteSessionOf(ctx context.Context, subject, id string) error
	// DeleteSessionsOf deletes all sessions of the subject, except the session with the ID in keep.
	// If keep is "", it deletes all of them. It returns the number deleted.
	DeleteSessionsOf(ctx context.Context, subject, keep string) (int, error)
	// DeleteSeries deletes the subject's sessions of a series, whose IDs begin with the series and
	// a dot. It does not delete the session with the ID in keep; if keep is "", it deletes all of
	// them. It returns the number deleted. A series that is malformed or contains a dot has no
	// sessions.
	DeleteSeries(ctx context.Context, subject, series, keep string) (int, error)
}

// SessionCount is an optional interface of a store with a [SessionList]. With it, a login counts the
// subject's sessions and lists them only if there are too many.
type SessionCount interface {
	// CountSessions counts the sessions that ListSessions returns without a limit.
	CountSessions(ctx context.Context, subject string) (int, error)
}

// CheckSeries returns ErrInvalid unless series is a valid identifier without a dot. Stores call it
// in DeleteSeries.
func CheckSeries(series string) error {
	if strings.Contains(series, ".") {
		return fmt.Errorf("%w: series contains a dot", ErrInvalid)
	}
	return CheckID("series", series)
}
