// Package token is token authentication as in Django REST Framework: one
// long-lived token per user, sent as "Authorization: Token <token>". Login
// returns the same token until it is deleted.
//
// Use it for scripts and services of users who want one stable key. For several
// devices, expiry and names wait for package knox.
//
// Unlike Django's, the token's text is not stored: it is derived from the master
// key and a salt (RULES T4), so a stolen table is worth nothing. A password
// change, disabling and log-out-everywhere end the token.
package token

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// Store is what the scheme keeps its tokens in.
type Store interface {
	storage.StaticTokens
	storage.Subjects
}

// Format is what a token looks like.
type Format uint8

const (
	// Prefixed is <prefix>_<43 base64url><6 base62>, with a checksum.
	Prefixed Format = iota
	// Hex40 is 40 small hex digits, as in Django REST Framework, for clients that
	// expect that.
	Hex40
)

// Options change a Scheme; nil is fine.
type Options struct {
	// Keyword is "Token" where "". With "Bearer" the scheme follows RFC 6750.
	Keyword string
	// Realm, where not "", is named in the challenge.
	Realm string
	// Format of the tokens that are made and taken.
	Format Format
	// Prefix of Prefixed tokens; "vst" where "".
	Prefix string
	// User makes the application's own account of the record that came with the
	// token. nil leaves *storage.User. Its *authn.Error refuses the request; any
	// other error is a fault.
	User func(context.Context, storage.User) (authn.User, error)
	// Logger is told what endpoints could not do; nil is slog.Default().
	Logger *slog.Logger
	// Clock is time.Now where nil.
	Clock func() time.Time
	// Rand is crypto/rand where nil.
	Rand io.Reader
}

// Scheme authenticates by static tokens. It is safe for concurrent use.
type Scheme struct {
	store     Store
	perms     storage.Permissions // nil: the store keeps none
	ring      *keys.Ring
	opts      Options
	bearer    bool
	challenge string

	invalid      *authn.Error // every refused token looks like this
	unrecognized error
}

// New returns a scheme over store, with tokens derived from the keys of ring.
// Where the store is a storage.Permissions too, the accounts it loads can be
// asked HasPerm.
func New(store Store, ring *keys.Ring, opts *Options) (*Scheme, error) {
	if store == nil || ring == nil {
		return nil, errors.New("token: a store and a key ring are needed")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Keyword = orElse(o.Keyword, "Token")
	o.Prefix = orElse(o.Prefix, "vst")
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	switch {
	case !isKeyword(o.Keyword):
		return nil, fmt.Errorf("token: keyword %q is no token of RFC 9110", o.Keyword)
	case strings.ContainsAny(o.Realm, "\"\\") || !printable(o.Realm):
		return nil, fmt.Errorf("token: realm %q holds a quote, a backslash or a control character", o.Realm)
	case o.Format > Hex40:
		return nil, fmt.Errorf("token: unknown format %d", o.Format)
	}
	if err := tokentext.CheckPrefix(o.Prefix); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	s := &Scheme{store: store, ring: ring, opts: o, bearer: strings.EqualFold(o.Keyword, "Bearer")}
	s.perms, _ = store.(storage.Permissions)
	s.challenge = o.Keyword
	if o.Realm != "" {
		s.challenge += ` realm="` + o.Realm + `"`
	}
	s.invalid = authn.AuthenticationFailed("Invalid token.")
	s.unrecognized = authn.Unrecognized(s.invalid.With(errors.New("not of a token's shape")))
	return s, nil
}

// Name returns "token".
func (s *Scheme) Name() string { return "token" }

// Headers returns Authorization.
func (s *Scheme) Headers() []string { return []string{"Authorization"} }

// Claims returns the keyword and the token's shape.
func (s *Scheme) Claims() []authn.Claim {
	if s.opts.Format == Hex40 {
		return []authn.Claim{{Keyword: s.opts.Keyword, Shape: "hex40"}}
	}
	return []authn.Claim{{Keyword: s.opts.Keyword, Shape: s.opts.Prefix + "_", Begins: s.opts.Prefix + "_"}}
}

// Challenge returns the keyword, as Django REST Framework does, with the realm
// where there is one.
// Under Bearer it is a BearerChallenge of package authn.
func (s *Scheme) Challenge(_ *http.Request, err error) string {
	if !s.bearer {
		return s.challenge
	}
	return authn.BearerChallenge{Keyword: s.opts.Keyword, Realm: s.opts.Realm, Invalid: s.invalid.Code}.For(err)
}

// Pattern returns a regular expression (RE2) that finds the scheme's Prefixed
// tokens in texts, for secret scanners.
func (s *Scheme) Pattern() string { return tokentext.Pattern(s.opts.Prefix) }

// Authenticate looks for a token under the scheme's keyword. It takes one query.
// An unknown, revoked or outdated token, one whose master key left the ring, and
// a disabled account are refused alike; the reason goes to the log (RULES C6).
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, s.opts.Keyword, "token")
	if err != nil {
		return authn.Identity{}, err
	}
	if !s.isToken(text) {
		if s.opts.Format == Prefixed && tokentext.HasPrefix(s.opts.Prefix, text) {
			return authn.Identity{}, s.invalid.With(errors.New("malformed"))
		}
		return authn.Identity{}, s.unrecognized
	}
	return s.identify(r.Context(), storage.DigestOf(text))
}

// Presented implements authn.Keeper: over a store that gives leases (package cached), identities
// are kept.
func (s *Scheme) Presented(r *http.Request) (text string, guessable bool) {
	if text = authn.RawCredentials(r, s.opts.Keyword); !s.fits(text) {
		return "", false
	}
	return text, false
}

func (s *Scheme) identify(ctx context.Context, d storage.Digest) (authn.Identity, error) {
	t, u, err := s.store.StaticTokenByDigest(ctx, d)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return authn.Identity{}, s.invalid.With(err)
	case err != nil:
		return authn.Identity{}, err
	case !u.Active:
		return authn.Identity{}, s.invalid.With(errors.New("account disabled"))
	case t.Epoch != u.Epoch:
		return authn.Identity{}, s.invalid.With(errors.New("ended with an earlier epoch of the account"))
	case !s.ring.Has(t.KeyID):
		return authn.Identity{}, s.invalid.With(errors.New("its master key left the ring"))
	}
	account := u.WithPermissions(s.perms)
	id := authn.Identity{Subject: u.ID, Scheme: "token", Roles: u.Roles, User: account, Credential: &t}
	if s.opts.User != nil { // the application makes its account for each request
		id.User, err = audit.Call("token.Options.User", func() (authn.User, error) { return s.opts.User(ctx, account.Clone()) })
		if err != nil {
			return authn.Identity{}, err
		}
		return id, nil
	}
	return id.Kept(s, authn.Keep{Lease: u.LeaseOf(s.store), Clock: s.opts.Clock}), nil
}

// fits reports whether text has the length of a token and, if tokens have one, the prefix.
func (s *Scheme) fits(text string) bool {
	if s.opts.Format == Prefixed {
		return tokentext.Fits(s.opts.Prefix, text)
	}
	return len(text) == 40
}

func (s *Scheme) isToken(text string) bool {
	if s.opts.Format == Prefixed {
		return tokentext.Valid(s.opts.Prefix, text)
	}
	if len(text) != 40 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// derive returns the token's text (RULES T4).
func (s *Scheme) derive(k keys.Key, subject string, salt []byte) string {
	const label = "vestibule static token v1"
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte(label))
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(subject))))
	mac.Write([]byte(subject))
	mac.Write(salt)
	sum := mac.Sum(nil)
	if s.opts.Format == Hex40 {
		return hex.EncodeToString(sum[:20])
	}
	return tokentext.Encode(s.opts.Prefix, [32]byte(sum))
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

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
