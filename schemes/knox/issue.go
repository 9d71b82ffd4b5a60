package knox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// attempts bounds how often a digest or an ID that is taken is drawn anew.
	attempts = 4
	// idSize is the number of random bytes in a token's ID.
	idSize = 16
	// listMax is how many tokens List returns.
	listMax = 1000
)

// Renewal says whether one token is renewed.
type Renewal uint8

const (
	// AsScheme renews the token where Options.Renew says so and it has an expiry.
	AsScheme Renewal = iota
	// Renewed renews it whatever the scheme does.
	Renewed
	// Fixed leaves its expiry where it is.
	Fixed
)

// Token is what a new token is to be. The zero value is what a login makes.
type Token struct {
	// Name is what the user calls the device or program, at most storage.MaxIDLen
	// bytes; it may be "".
	Name string
	// TTL is how long it lives; 0 is the scheme's, NoExpiry for ever.
	TTL time.Duration
	// Scopes limit it; nil does not, an empty list allows nothing. A limited token
	// has no roles and no permissions, and manages no credentials (RULES C4, C7).
	Scopes []string
	// Renewal of its expiry.
	Renewal Renewal
}

// Issue makes a token and returns its text, which is told here and never again,
// and its record. epoch is the subject's epoch as read before whatever entitles
// the caller was verified (authn.Login.Epoch); for an administrator, see Current.
//
// storage.ErrStale: the subject is absent, disabled, or its epoch moved on.
// storage.ErrLimit: it has as many tokens as it may have. storage.ErrInvalid: t
// asks for what can not be. Any other error means that the store, or the source
// of random bytes, failed. No token was made then.
func (s *Scheme) Issue(ctx context.Context, subject string, epoch int64, t Token) (string, storage.Credential, error) {
	return s.issue(ctx, subject, epoch, t, Issued)
}

// Current returns the subject's epoch, for a caller that is entitled by itself,
// such as an administrator's command.
func (s *Scheme) Current(ctx context.Context, subject string) (int64, error) {
	return s.store.SubjectEpoch(ctx, subject)
}

// Revoke ends the subject's token that has the ID. storage.ErrNotFound: it has
// none (any more).
func (s *Scheme) Revoke(ctx context.Context, subject, id string) error {
	return s.end(ctx, subject, id, Revoked)
}

// RevokeAll ends all tokens of the subject and returns how many there were.
func (s *Scheme) RevokeAll(ctx context.Context, subject string) (int, error) {
	return s.endAll(ctx, subject, "", Revoked)
}

// List returns the subject's tokens that are not expired, the last created first:
// of its last 1000.
func (s *Scheme) List(ctx context.Context, subject string) ([]storage.Credential, error) {
	now := s.opts.Clock()
	all, err := s.store.ListCredentials(ctx, Purpose, subject, listMax)
	if err != nil {
		return nil, err
	}
	live := all[:0]
	for _, t := range all {
		if !t.Expired(now) {
			live = append(live, t)
		}
	}
	return live, nil
}

func (s *Scheme) issue(ctx context.Context, subject string, epoch int64, t Token, kind EventKind) (string, storage.Credential, error) {
	rec, err := s.lifetime(t, stamp(s.opts.Clock()))
	if err != nil {
		return "", storage.Credential{}, err
	}
	rec.Purpose, rec.Subject, rec.Epoch, rec.Name, rec.Scopes = Purpose, subject, epoch, t.Name, t.Scopes
	limit := storage.CredentialLimit{Max: max(s.opts.Limit, 0), Evict: s.opts.EvictOldest, Now: rec.Created}
	for range attempts {
		var random [tokentext.Size + idSize]byte
		if _, err := io.ReadFull(s.opts.Rand, random[:]); err != nil {
			return "", storage.Credential{}, fmt.Errorf("knox: no random bytes: %w", err)
		}
		text := tokentext.Encode(s.opts.Prefix, [tokentext.Size]byte(random[:]))
		rec.Digest, rec.ID = storage.DigestOf(text), hex.EncodeToString(random[tokentext.Size:])
		evicted, err := s.store.CreateCredential(ctx, rec, limit)
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		if err != nil {
			return "", storage.Credential{}, err
		}
		for _, old := range evicted {
			s.tell(ctx, Event{Kind: Evicted, Subject: subject, TokenID: old.ID, Count: 1})
		}
		s.tell(ctx, Event{Kind: kind, Subject: subject, TokenID: rec.ID, Count: 1})
		if kind == LoggedIn && s.opts.Limit == 0 {
			s.surplus(ctx, rec)
		}
		return text, rec, nil
	}
	return "", storage.Credential{}, fmt.Errorf("knox: no token after %d attempts: %w", attempts, storage.ErrConflict)
}

// lifetime returns a record with the times of a token that is made now.
func (s *Scheme) lifetime(t Token, now time.Time) (rec storage.Credential, err error) {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("knox: %w: "+format, append([]any{storage.ErrInvalid}, args...)...)
	}
	ttl := t.TTL
	if ttl == 0 {
		ttl = s.opts.TTL
	}
	if ttl > 0 {
		ttl = ttl.Truncate(time.Microsecond) // as every store keeps it
	}
	rec.Created = now
	switch {
	case t.Renewal > Fixed:
		return rec, invalid("renewal %d", t.Renewal)
	case ttl == NoExpiry && t.Renewal == Renewed:
		return rec, invalid("a token that does not expire has nothing to renew")
	case ttl == NoExpiry:
		return rec, nil
	case ttl < time.Second:
		return rec, invalid("a TTL of %s is below a second", ttl)
	}
	rec.Expires = now.Add(ttl)
	if t.Renewal == Fixed || t.Renewal == AsScheme && !s.opts.Renew {
		return rec, nil
	}
	if ttl <= s.opts.MinInterval {
		return rec, invalid("a renewed token's TTL of %s is not above MinInterval, %s", ttl, s.opts.MinInterval)
	}
	rec.TTL = ttl
	if s.opts.MaxTTL != NoExpiry {
		if ttl > s.opts.MaxTTL {
			return rec, invalid("a renewed token's TTL of %s is above MaxTTL, %s", ttl, s.opts.MaxTTL)
		}
		rec.Max = stamp(now.Add(s.opts.MaxTTL))
	}
	return rec, nil
}

// end deletes one token, and endAll all but keep.
func (s *Scheme) end(ctx context.Context, subject, id string, kind EventKind) error {
	err := s.store.DeleteCredential(ctx, Purpose, subject, id)
	if err == nil {
		s.tell(ctx, Event{Kind: kind, Subject: subject, TokenID: id, Count: 1})
	}
	return err
}

func (s *Scheme) endAll(ctx context.Context, subject, keep string, kind EventKind) (int, error) {
	n, err := s.store.DeleteCredentialsOf(ctx, Purpose, subject, keep)
	if err == nil && n > 0 {
		s.tell(ctx, Event{Kind: kind, Subject: subject, Count: n})
	}
	return n, err
}
