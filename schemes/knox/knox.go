// Package knox is token authentication for many devices, after django-rest-knox:
// each login makes a token of its own, with a name, an expiry and the time of its
// last use, sent as "Authorization: Knox <token>". Tokens are listed, revoked one
// by one, or ended all at once.
//
// Use it where a user logs in from several devices or programs. For one stable
// key per user there is package token.
//
// A token is 256 random bits; the store keeps its SHA-256 alone, so a stolen table
// is worth nothing. A password change, disabling and log-out-everywhere end all
// tokens of a user (RULES T1).
package knox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/elapsed"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// NoExpiry, as a TTL, makes tokens that do not end by themselves; as MaxTTL it
// lets renewal go on for ever.
const NoExpiry time.Duration = -1

// Purpose is the storage.Credential.Purpose of the scheme's tokens.
const Purpose = "knox"

// Store is what the scheme keeps its tokens in.
type Store interface {
	storage.Credentials
	storage.CredentialList
	storage.Subjects
}

// Options change a Scheme; nil is fine. What they say of lifetimes holds for the
// tokens that are made from then on: a token carries its own.
type Options struct {
	// Keywords of Authorization that tokens may stand under; Knox, Token and Bearer
	// where empty. The challenge names the first. Credentials of another shape are
	// left to the other schemes of a chain, so that they can share a keyword.
	Keywords []string
	// Realm, where not "", is named in the challenge.
	Realm string
	// Prefix of the tokens; "vkn" where "".
	Prefix string
	// TTL is how long a token lives; 0 is 10 hours. NoExpiry is for ever. At least a
	// second.
	TTL time.Duration
	// Renew moves a token's expiry to TTL from now when it is used, at most once in
	// MinInterval and never beyond MaxTTL. It shortens nothing, and an expired token
	// stays expired.
	Renew bool
	// MaxTTL is the latest that renewal moves an expiry to, from the token's
	// creation; 0 is 30 days, NoExpiry any time. A renewed token's TTL is not above
	// it.
	MaxTTL time.Duration
	// MinInterval is how often the use of a token is written at most: its time of
	// last use and its renewal, as one; 0 is a minute. It must be below the TTL of a
	// renewed token, which would otherwise end between two writes.
	MinInterval time.Duration
	// Limit is how many tokens a user may have. Expired ones do not count. 0 refuses nothing,
	// and a login at 1,000 tokens ends the oldest; NoLimit is any number.
	Limit int
	// EvictOldest lets a login at the limit end the user's oldest tokens; otherwise
	// it is refused with 403.
	EvictOldest bool
	// User makes the application's own account of the record that came with the
	// token. nil leaves *storage.User. Its *authn.Error refuses the request; any
	// other error is a fault.
	User func(context.Context, storage.User) (authn.User, error)
	// Observe is told what happens to tokens, on the caller's goroutine and after
	// it happened.
	Observe func(context.Context, Event)
	// Logger is told, at Warn, that a use could not be written; nil is
	// slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
	// Rand is crypto/rand where nil.
	Rand io.Reader
}

// Scheme authenticates by device tokens. It is safe for concurrent use.
type Scheme struct {
	store     Store
	perms     storage.Permissions // nil: the store keeps none
	opts      Options
	bearer    bool
	challenge string
	clock     func() time.Time // as given: nil is the system's
	elapsed   *elapsed.Clock
	pause     atomic.Int64 // until then, by elapsed, no use is written

	invalid      *authn.Error // every refused token looks like this
	unrecognized error
}

// New returns a scheme over store. Where the store is a storage.Permissions too,
// the accounts it loads can be asked HasPerm.
func New(store Store, opts *Options) (*Scheme, error) {
	if store == nil {
		return nil, errors.New("knox: a store is needed")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	clock := o.Clock
	o.defaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("knox: %w", err)
	}
	s := &Scheme{store: store, opts: o, clock: clock, elapsed: elapsed.New(clock), bearer: strings.EqualFold(o.Keywords[0], "Bearer")}
	if _, err := s.lifetime(Token{}, time.Unix(0, 0)); err != nil {
		return nil, err
	}
	s.perms, _ = store.(storage.Permissions)
	s.challenge = o.Keywords[0]
	if o.Realm != "" {
		s.challenge += ` realm="` + o.Realm + `"`
	}
	s.invalid = authn.AuthenticationFailed("Invalid token.")
	s.unrecognized = authn.Unrecognized(s.invalid.With(errors.New("not of a token's shape")))
	return s, nil
}

func (o *Options) defaults() {
	o.Keywords = slices.Clone(o.Keywords)
	if len(o.Keywords) == 0 {
		o.Keywords = []string{"Knox", "Token", "Bearer"}
	}
	if o.Prefix == "" {
		o.Prefix = "vkn"
	}
	if o.TTL == 0 {
		o.TTL = 10 * time.Hour
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = 30 * 24 * time.Hour
	}
	if o.MinInterval == 0 {
		o.MinInterval = time.Minute
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
}

func (o *Options) check() error {
	for i, k := range o.Keywords {
		if !isKeyword(k) {
			return fmt.Errorf("keyword %q is no token of RFC 9110", k)
		}
		if slices.ContainsFunc(o.Keywords[:i], func(other string) bool { return strings.EqualFold(k, other) }) {
			return fmt.Errorf("keyword %q is there twice", k)
		}
	}
	switch {
	case strings.ContainsAny(o.Realm, "\"\\") || !printable(o.Realm):
		return fmt.Errorf("realm %q holds a quote, a backslash or a control character", o.Realm)
	case o.MaxTTL < 0 && o.MaxTTL != NoExpiry:
		return fmt.Errorf("MaxTTL %s is negative and not NoExpiry", o.MaxTTL)
	case o.MinInterval < 0:
		return fmt.Errorf("MinInterval %s is negative", o.MinInterval)
	case o.Limit < NoLimit:
		return fmt.Errorf("limit %d is negative and not NoLimit", o.Limit)
	case o.EvictOldest && o.Limit <= 0:
		return errors.New("EvictOldest needs a Limit")
	}
	return tokentext.CheckPrefix(o.Prefix)
}

// Name returns "knox".
func (s *Scheme) Name() string { return "knox" }

// Headers returns Authorization.
func (s *Scheme) Headers() []string { return []string{"Authorization"} }

// Claims returns the keywords, each with the token's shape.
func (s *Scheme) Claims() []authn.Claim {
	claims := make([]authn.Claim, len(s.opts.Keywords))
	for i, k := range s.opts.Keywords {
		claims[i] = authn.Claim{Keyword: k, Shape: s.opts.Prefix + "_", Begins: s.opts.Prefix + "_"}
	}
	return claims
}

// Challenge returns the first keyword, with the realm where there is one.
// Under Bearer it is a BearerChallenge of package authn.
func (s *Scheme) Challenge(_ *http.Request, err error) string {
	if !s.bearer {
		return s.challenge
	}
	return authn.BearerChallenge{Keyword: s.opts.Keywords[0], Realm: s.opts.Realm, Invalid: s.invalid.Code}.For(err)
}

// Pattern returns a regular expression (RE2) that finds the scheme's tokens in
// texts, for secret scanners.
func (s *Scheme) Pattern() string { return tokentext.Pattern(s.opts.Prefix) }

// isKeyword reports whether s is a token of RFC 9110 section 5.6.2 without the
// rarer signs.
func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
