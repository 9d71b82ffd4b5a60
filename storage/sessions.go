package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxSessionDataBytes is how long a session's encoded data may be, in bytes.
const MaxSessionDataBytes = 64 << 10

// Session is what a server keeps for one browser. The browser holds the text that
// Digest is the digest of, and nothing else.
type Session struct {
	Digest Digest
	// ID names the session in lists and for ending it. It is random and no secret, and
	// stays when the session gets a new text.
	ID string
	// Subject is who is logged in; "" is nobody: a session that only holds data.
	Subject string
	// Epoch is the subject's epoch as read before the login was verified; 0 where
	// nobody is logged in.
	Epoch int64
	// Data is the encoded values.
	Data []byte
	// Version counts the changes of Data: 1 when created.
	Version int64
	// Created is when the session began; the absolute limit counts from there.
	Created time.Time
	// AuthTime is when the subject logged in; zero where nobody did.
	AuthTime time.Time
	// LastSeen is when it was last used, within the scheme's interval.
	LastSeen time.Time
	// Expires is when it ends unless it is used before.
	Expires time.Time
	// Ends is the latest time that Expires moves to.
	Ends time.Time
	// UserAgent and Address tell the user which browser it is; shown, never compared.
	UserAgent, Address string
}

// Expired reports whether the session has ended at now.
func (s *Session) Expired(now time.Time) bool {
	return !now.Before(s.Expires) || !now.Before(s.Ends)
}

// Check returns ErrInvalid, with a word on why, unless s can be kept.
func (s *Session) Check() error {
	limits := CheckSessionData(s.Data)
	switch {
	case s.Expires.IsZero() || s.Ends.IsZero():
		limits = fmt.Errorf("%w: a session without an end", ErrInvalid)
	case s.Expires.After(s.Ends):
		limits = fmt.Errorf("%w: a session that expires after its end", ErrInvalid)
	case s.Digest.IsZero():
		limits = fmt.Errorf("%w: a session without a digest", ErrInvalid)
	}
	return errors.Join(limits, CheckID("session id", s.ID), checkText("subject", s.Subject),
		checkText("user agent", s.UserAgent), checkText("address", s.Address))
}

// CheckSessionData returns ErrInvalid for data that are too long.
func CheckSessionData(data []byte) error {
	if len(data) > MaxSessionDataBytes {
		return fmt.Errorf("%w: session data of %d bytes", ErrInvalid, len(data))
	}
	return nil
}

// Sessions keeps what SessionList lists.
type Sessions interface {
	// SessionByDigest returns the session, expired or not, and the account of its
	// subject, with the epoch that the subject has now in User.Epoch, in one round trip
	// to the database. Where the session has no subject the User is the zero one.
	// ErrNotFound where the session, or the account of a subject, is absent.
	SessionByDigest(ctx context.Context, d Digest) (Session, User, error)
	// CreateSession inserts s, as version 1, and deletes the session that it replaces,
	// as one change; a zero digest replaces none. ErrNotFound where the session to be
	// replaced is absent (it was ended meanwhile), ErrConflict where the digest or the
	// ID is taken by another one than that, ErrStale where the subject, if there is one,
	// is absent, disabled, or its epoch is not s.Epoch, ErrInvalid where s cannot be
	// kept. Nothing is changed then.
	CreateSession(ctx context.Context, s Session, replaces Digest) error
	// SaveSession sets the data of a session that is there with that version, and
	// counts the version up by one. It never brings an ended session back: ErrNotFound
	// where it is absent, ErrConflict where the version is another, ErrInvalid where the
	// data are too long. Nothing is changed then.
	SaveSession(ctx context.Context, d Digest, version int64, data []byte) error
	// TouchSession notes a use: where the session is there, not expired at seen, and
	// was last seen at before or earlier, it sets LastSeen to seen and Expires to
	// expires, which moves it neither back nor beyond Ends, and reports true. Of many
	// at once one writes.
	//
	// A before that is after seen corrects a time: the session was last used by a clock
	// that was ahead. It is touched only where it was last seen after seen, and at before
	// or earlier, and Expires becomes expires then, also where that moves it back.
	TouchSession(ctx context.Context, d Digest, seen, expires, before time.Time) (bool, error)
	// DeleteSession deletes the session; ErrNotFound where it is absent (already).
	DeleteSession(ctx context.Context, d Digest) error
}

// SessionList is how a user sees and ends the sessions of one account.
type SessionList interface {
	// ListSessions returns up to limit sessions of the subject that have its present
	// epoch, without their Data, the last seen first (then by ID), expired ones included.
	ListSessions(ctx context.Context, subject string, limit int) ([]Session, error)
	// SessionByID returns the one of ListSessions that has the ID; ErrNotFound if there is none.
	SessionByID(ctx context.Context, subject, id string) (Session, error)
	// DeleteSessionOf deletes the subject's session with that ID; ErrNotFound where it has
	// none (any more).
	DeleteSessionOf(ctx context.Context, subject, id string) error
	// DeleteSessionsOf deletes all sessions of the subject but the one whose ID is keep
	// ("" keeps none), and returns how many there were.
	DeleteSessionsOf(ctx context.Context, subject, keep string) (int, error)
	// DeleteSeries deletes the sessions of a series of the subject but the one whose ID is keep (""
	// keeps none), and returns how many there were. The ID of such a session begins with the series
	// and a dot. A series that is malformed or has a dot has no sessions.
	DeleteSeries(ctx context.Context, subject, series, keep string) (int, error)
}

// CheckSeries returns ErrInvalid unless sessions can belong to the series: it is an identifier
// without a dot. Stores call it in DeleteSeries.
func CheckSeries(series string) error {
	if strings.Contains(series, ".") {
		return fmt.Errorf("%w: series with a dot", ErrInvalid)
	}
	return CheckID("series", series)
}
