package knox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// attempts is how often a digest and an ID are generated, in case one is taken.
	attempts = 4
	// listMax is the maximum number of tokens that List reads.
	listMax = 1000
)

// Renewal determines whether use extends a token's expiry.
type Renewal uint8

const (
	// AsScheme renews the token if Options.Renew is set and the token has an expiry. It is the
	// default.
	AsScheme Renewal = iota
	// Renewed renews the token regardless of Options.Renew.
	Renewed
	// Fixed never changes the expiry.
	Fixed
)

// Token describes a new token. The zero value describes a token as the login endpoint creates it.
type Token struct {
	// Name is the user's name for the device or program, at most storage.MaxIDBytes bytes. It can
	// be "".
	Name string
	// TTL is the token's lifetime, at least one second. 0 means Options.TTL, and NoExpiry means
	// that the token never expires.
	TTL time.Duration
	// Scopes limit the token. Nil means no limit, and an empty list allows nothing. A limited token
	// has no roles and no permissions, and cannot manage credentials.
	Scopes []string
	// Renewal determines whether use extends the expiry.
	Renewal Renewal
}

// Issue creates a device token for subject and returns its text and record. The text cannot be
// retrieved again.
//
// Use Issue to create tokens in code; the login endpoint calls it for you. Read epoch before you
// verify the password (see authn.Login.Epoch). Code that needs no password uses
// [Scheme.CurrentEpoch].
//
// It returns
//   - [storage.ErrStale] if the subject is unknown or disabled, or its account changed after epoch
//     was read
//   - [storage.ErrLimit] if the user has too many tokens
//   - [storage.ErrInvalid] if t is invalid
//
// Any other error is a failure of the store or of the random source. If Issue returns an error, it
// created no token.
func (s *Scheme) Issue(ctx context.Context, subject string, epoch int64, t Token) (string, storage.Credential, error) {
	rec, err := s.lifetime(t, credential.Stamp(s.opts.Clock()))
	if err != nil {
		return "", storage.Credential{}, fmt.Errorf("knox: Issue: %w: %w", storage.ErrInvalid, err)
	}
	rec.Purpose, rec.Subject, rec.Epoch, rec.Name, rec.Scopes = Purpose, subject, epoch, t.Name, t.Scopes
	limit := storage.CredentialLimit{Max: max(s.opts.Limit, 0), Evict: s.opts.EvictOldest, Now: rec.Created}
	for range attempts {
		text, err := s.format.New(s.opts.Rand)
		if err == nil {
			rec.ID, err = credential.NewID(s.opts.Rand)
		}
		if err != nil {
			return "", storage.Credential{}, fmt.Errorf("knox: Issue: %w", err)
		}
		rec.Digest = storage.DigestOf(text)
		err = s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
			evicted, err := s.store.CreateCredential(ctx, rec, limit)
			if err != nil {
				return err
			}
			for _, old := range evicted {
				s.notify(ctx, audit.TokenEvicted, &old)
			}
			s.notify(ctx, audit.TokenCreated, &rec)
			return nil
		})
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		if err != nil {
			return "", storage.Credential{}, err
		}
		return text, rec, nil
	}
	return "", storage.Credential{}, fmt.Errorf("knox: Issue: no free ID after %d attempts: %w", attempts, storage.ErrConflict)
}

// notify reports an event of a token.
func (s *Scheme) notify(ctx context.Context, kind audit.Kind, t *storage.Credential) {
	s.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Scheme: s.Name(), Subject: t.Subject, Credential: t.ID, Epoch: t.Epoch})
}

// CurrentEpoch returns the subject's epoch, for code that needs no password, such as an
// administrator's command.
func (s *Scheme) CurrentEpoch(ctx context.Context, subject string) (int64, error) {
	return s.store.SubjectEpoch(ctx, subject)
}

// Revoke deletes the subject's token with that ID. It returns [storage.ErrNotFound] if the subject
// has no such token.
func (s *Scheme) Revoke(ctx context.Context, subject, id string) error {
	return s.revoke(ctx, subject, id, audit.TokenRevoked)
}

// RevokeAll deletes all tokens of the subject and returns their number.
func (s *Scheme) RevokeAll(ctx context.Context, subject string) (int, error) {
	return s.revokeAll(ctx, subject, "", audit.TokenRevoked)
}

// List returns the subject's unexpired tokens, the newest first. It reads at most the newest 1000
// tokens, including expired ones.
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

// lifetime returns a record with the times of a token that is created at now.
func (s *Scheme) lifetime(t Token, now time.Time) (rec storage.Credential, err error) {
	ttl := t.TTL
	if ttl == 0 {
		ttl = s.opts.TTL
	}
	if ttl > 0 {
		ttl = ttl.Truncate(time.Microsecond) // the precision of every store
	}
	rec.Created = now
	switch {
	case t.Renewal > Fixed:
		return rec, fmt.Errorf("unknown Renewal %d", t.Renewal)
	case ttl == NoExpiry && t.Renewal == Renewed:
		return rec, errors.New("a token that is Renewed requires a TTL other than NoExpiry")
	case ttl == NoExpiry:
		return rec, nil
	case ttl < time.Second:
		return rec, fmt.Errorf("TTL %s out of range (at least 1s, or NoExpiry)", ttl)
	}
	rec.Expires = now.Add(ttl)
	if t.Renewal == Fixed || t.Renewal == AsScheme && !s.opts.Renew {
		return rec, nil
	}
	if ttl <= s.opts.MinInterval {
		return rec, fmt.Errorf("TTL %s of a renewed token out of range (above MinInterval, %s)", ttl, s.opts.MinInterval)
	}
	rec.TTL = ttl
	if s.opts.MaxTTL != NoExpiry {
		if ttl > s.opts.MaxTTL {
			return rec, fmt.Errorf("TTL %s of a renewed token out of range (at most MaxTTL, %s)", ttl, s.opts.MaxTTL)
		}
		rec.Max = credential.Stamp(now.Add(s.opts.MaxTTL))
	}
	return rec, nil
}

// revoke deletes one token, and revokeAll all tokens except keep.
func (s *Scheme) revoke(ctx context.Context, subject, id string, kind audit.Kind) error {
	return s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		err := s.store.DeleteCredential(ctx, Purpose, subject, id)
		if err == nil {
			s.notify(ctx, kind, &storage.Credential{Subject: subject, ID: id})
		}
		return err
	})
}

func (s *Scheme) revokeAll(ctx context.Context, subject, keep string, kind audit.Kind) (n int, err error) {
	err = s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) (err error) {
		n, err = s.store.DeleteCredentialsOf(ctx, Purpose, subject, keep)
		if err == nil && n > 0 {
			s.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Scheme: s.Name(), Subject: subject, Count: n})
		}
		return err
	})
	return n, err
}
