package jwt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/rotation"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// Pair is an access token with the refresh token for the next pair. Printing it says
// [redacted].
type Pair struct {
	Access, Refresh string
	// AccessExpires and RefreshExpires are when they end.
	AccessExpires, RefreshExpires time.Time
}

const redacted = "[redacted]"

// String says [redacted].
func (Pair) String() string { return redacted }

// GoString says [redacted].
func (Pair) GoString() string { return redacted }

// LogValue says [redacted].
func (Pair) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says "[redacted]": an endpoint of your own names what it sends.
func (Pair) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// sealedPair is a Pair as it is kept for a repetition.
type sealedPair struct {
	Access, Refresh               string
	AccessExpires, RefreshExpires time.Time
}

// Grant is what a new login may do.
type Grant struct {
	// Name is what the user calls the device; shown in List.
	Name string
	// Scopes limit the tokens; nil does not.
	Scopes []string
	// AuthTime is when the user logged in; zero is now.
	AuthTime time.Time
}

// Issue begins a login of the subject and returns its first pair. epoch is the
// subject's epoch as read before whatever entitles the caller was verified (as in
// authn.Login). g may be nil.
//
// storage.ErrStale: the subject is absent, disabled, or its epoch moved on.
// storage.ErrInvalid: a scope or a name that can not be kept. An error of Rule or
// Claims is passed on. Any other error means that the store, the keys, or the source
// of random bytes failed.
func (s *Scheme) Issue(ctx context.Context, subject string, epoch int64, g *Grant) (Pair, error) {
	if g == nil {
		g = &Grant{}
	}
	u, _, err := s.store.UserStanding(ctx, subject, storage.BlockKeys{})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return Pair{}, storage.ErrStale
	case err != nil:
		return Pair{}, err
	case !u.Active || u.Epoch != epoch:
		return Pair{}, storage.ErrStale
	}
	if err := s.rule(ctx, u); err != nil {
		return Pair{}, err
	}
	id, err := s.random()
	if err != nil {
		return Pair{}, err
	}
	now := s.opts.Clock().UTC()
	f := storage.Family{
		ID: id, Purpose: s.purpose, Subject: subject, Scopes: g.Scopes, Name: g.Name, Epoch: epoch, AuthTime: g.AuthTime,
		Created: now, Expires: now.Add(s.opts.AbsoluteTTL),
	}
	if f.AuthTime.IsZero() {
		f.AuthTime = now
	}
	if err := f.Check(); err != nil {
		return Pair{}, err
	}
	pair, secret, err := s.mint(ctx, f, u, s.rotator.End(f, now))
	if err != nil {
		return Pair{}, err
	}
	if _, err := s.rotator.Begin(ctx, f, secret); err != nil {
		return Pair{}, err
	}
	s.tell(ctx, Event{LoggedIn, subject, id})
	return pair, nil
}

// Refresh exchanges a refresh token for the next pair (RULES T3). repeated says that
// it had been exchanged a moment ago, and the same pair was given again. A refusal is
// an *authn.Error, of Rule and Claims, 429 if the login has been refreshed too often (see
// storage.MaxExchanges), or 401 for whatever else is wrong with the token; with any other error the caller tries again with the same token.
func (s *Scheme) Refresh(ctx context.Context, refresh string) (pair Pair, repeated bool, err error) {
	return s.refreshFrom(ctx, refresh, "")
}

// refreshFrom is Refresh by a request from that source.
func (s *Scheme) refreshFrom(ctx context.Context, refresh, source string) (pair Pair, repeated bool, err error) {
	use, err := s.use(ctx, refresh)
	if err != nil {
		return Pair{}, false, err
	}
	use.Source = source
	res, err := s.rotator.Rotate(ctx, use, func(ctx context.Context, st storage.RefreshState, end time.Time) (_ []byte, secret string, err error) {
		if err := s.rule(ctx, st.User); err != nil {
			return nil, "", err
		}
		if pair, secret, err = s.mint(ctx, st.Family, st.User, end); err != nil {
			return nil, "", err
		}
		answer, err := json.Marshal(sealedPair(pair))
		return answer, secret, err
	})
	e := Event{Refreshed, res.State.Family.Subject, res.State.Family.ID}
	if err != nil {
		if errors.Is(err, rotation.ErrReused) {
			e.Kind = Reused
			s.tell(ctx, e)
		}
		return Pair{}, false, s.refusal(err)
	}
	if res.Repeated {
		var first sealedPair
		if err := json.Unmarshal(res.Answer, &first); err != nil {
			return Pair{}, false, err
		}
		pair, e.Kind = Pair(first), Repeated
	}
	s.tell(ctx, e)
	return pair, res.Repeated, nil
}

// refusal makes the one 401 of a refresh token of what rotation refuses.
func (s *Scheme) refusal(err error) error {
	for _, known := range []error{rotation.ErrUnknown, rotation.ErrExpired, rotation.ErrEnded, rotation.ErrReused, rotation.ErrMismatch} {
		if errors.Is(err, known) {
			return s.invalid.With(err)
		}
	}
	if errors.Is(err, rotation.ErrTooMany) {
		return authn.Throttled(rotation.RetryAfter)
	}
	return err
}

// Revoke ends the login that a refresh token belongs to, whether or not it was
// exchanged already, with its access tokens. One that is unknown, expired or ended by
// now is no error (RFC 7009 section 2.2); a text that is no refresh token is the 401
// of Refresh. Any other error means that nothing was ended.
func (s *Scheme) Revoke(ctx context.Context, refresh string) error {
	use, err := s.use(ctx, refresh)
	if err != nil {
		return err
	}
	st, err := s.rotator.Revoke(ctx, use)
	if errors.Is(err, rotation.ErrUnknown) {
		return nil
	}
	if err != nil {
		return s.refusal(err)
	}
	if !st.Family.Ended && s.opts.Clock().Before(st.Family.Expires) { // else it had ended before
		s.tell(ctx, Event{LoggedOut, st.Family.Subject, st.Family.ID})
	}
	return nil
}

// List returns up to limit logins of the subject, the last first.
func (s *Scheme) List(ctx context.Context, subject string, limit int) ([]storage.Family, error) {
	return s.store.ListFamilies(ctx, s.purpose, subject, limit)
}

// RevokeFamily ends one of the subject's logins by its ID. storage.ErrNotFound: it has
// no such login, or not any longer.
func (s *Scheme) RevokeFamily(ctx context.Context, subject, id string) error {
	const many = 10_000
	list, err := s.List(ctx, subject, many)
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.ID == id {
			if err := s.rotator.EndFamily(ctx, id); err != nil {
				return err
			}
			s.tell(ctx, Event{LoggedOut, subject, id})
			return nil
		}
	}
	return storage.ErrNotFound
}

// purposeOf tells an issuer's families from others' in one store.
func purposeOf(issuer string) string {
	key := storage.BlockKeyOf("purpose", issuer, "jwt")
	return "jwt " + base64.RawURLEncoding.EncodeToString(key[:15])
}

func (s *Scheme) rule(ctx context.Context, u storage.User) error {
	if s.opts.Rule == nil {
		return nil
	}
	_, err := audit.Call("jwt.Options.Rule", func() (any, error) { return nil, s.opts.Rule(ctx, u.Clone()) })
	return err
}

// random returns 128 random bits as text.
func (s *Scheme) random() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// mint makes a pair of a family. secret is what the store knows the refresh token by.
func (s *Scheme) mint(ctx context.Context, f storage.Family, u storage.User, end time.Time) (pair Pair, secret string, err error) {
	now := s.opts.Clock().UTC().Round(0) // as a repetition of the pair reads it
	pair.RefreshExpires = end.UTC().Round(0)
	pair.AccessExpires = now.Add(s.opts.AccessTTL)
	if pair.AccessExpires.After(f.Expires) {
		pair.AccessExpires = f.Expires
	}
	if pair.Access, err = s.sign(ctx, TypeAccess, f, u, now, pair.AccessExpires, nil); err != nil {
		return Pair{}, "", err
	}
	var body [tokentext.Size]byte
	if _, err := io.ReadFull(s.opts.Rand, body[:]); err != nil {
		return Pair{}, "", err
	}
	if !s.opts.SignedRefresh {
		pair.Refresh = tokentext.Encode(s.opts.Prefix, body)
		return pair, pair.Refresh, nil
	}
	secret = base64.RawURLEncoding.EncodeToString(body[:])
	claims, err := json.Marshal(refreshClaims{s.issuer, s.issuer, f.Subject, secret, f.ID, now.Unix(), end.Unix()})
	if err != nil {
		return Pair{}, "", err
	}
	pair.Refresh, err = s.keys.Sign(ctx, TypeRefresh, claims)
	return pair, secret, err
}

// refreshClaims are those of a signed refresh token. Its audience is the issuer, so
// that no API takes it for an access token.
type refreshClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	ID       string `json:"jti"`
	Family   string `json:"sid"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// use makes a presentation of a refresh token's text. A text of another shape is
// refused. A signed token's secret is its "jti": a signature may have a second
// spelling.
func (s *Scheme) use(ctx context.Context, text string) (rotation.Use, error) {
	use := rotation.Use{Secret: text, Purpose: s.purpose}
	if !s.opts.SignedRefresh {
		if !tokentext.Valid(s.opts.Prefix, text) {
			return use, s.invalid.With(errNoRefresh)
		}
		return use, nil
	}
	if !shaped(text) {
		return use, s.invalid.With(errNoRefresh)
	}
	t, err := jose.Verify(ctx, text, s.keys, TypeRefresh)
	if err != nil {
		return use, s.refuse(err)
	}
	reg, err := s.refresh.Check(t.Claims)
	if err != nil {
		return use, s.refuse(err)
	}
	use.Secret = reg.ID
	return use, nil
}

var errNoRefresh = errors.New("not of a refresh token's shape")
