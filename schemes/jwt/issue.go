package jwt

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// Pair is an access token and the refresh token for the next pair. It prints as "[redacted]", so
// your own endpoint must send the fields.
type Pair struct {
	credential.Redacted

	Access, Refresh string
	// AccessExpires and RefreshExpires are the times at which the tokens expire.
	AccessExpires, RefreshExpires time.Time
}

// sealedPair is the stored form of a Pair for a repeated request.
type sealedPair struct {
	Access, Refresh               string
	AccessExpires, RefreshExpires time.Time
}

// Grant contains options for a new login.
type Grant struct {
	// Name is the user's name for the device. [Scheme.List] returns it.
	Name string
	// Scopes limit the tokens. nil means no limit.
	Scopes []string
	// AuthTime is the time of the authentication. Zero means now.
	AuthTime time.Time
	// ACR is the authentication context class of the login, and AMR lists its methods; see
	// [authn.Login]. Access tokens have them as claims.
	ACR string
	AMR []string
}

// Issue creates a login of subject and returns its first token pair. g can be nil.
//
// Use Issue to create tokens in code; the login endpoint calls it for you. Read epoch before you
// verify the password (see [authn.Login].Epoch).
//
// It returns [storage.ErrStale] if the subject is unknown or disabled, or if its account changed
// after epoch was read. It returns [storage.ErrInvalid] for a scope or a name that cannot be
// stored. It returns errors of Options.Rule and Options.Claims unchanged. Any other error is a
// failure of the store, the keys or the source of random bytes.
func (s *Scheme) Issue(ctx context.Context, subject string, epoch int64, g *Grant) (Pair, error) {
	f, u, err := s.newFamily(ctx, subject, epoch, g)
	if err != nil {
		return Pair{}, err
	}
	now := f.Created
	pair, secret, err := s.mint(ctx, f, u, s.rotator.End(f, now))
	if err != nil {
		return Pair{}, err
	}
	err = s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		_, err := s.rotator.Begin(ctx, f, secret)
		if err == nil {
			s.notify(ctx, audit.TokenCreated, f)
		}
		return err
	})
	if err != nil {
		return Pair{}, err
	}
	s.surplus(ctx, subject, f.ID)
	return pair, nil
}

// newFamily returns the account and the family of a new login, which is not stored yet. It rejects
// an account that changed after epoch was read, and one that Options.Rule rejects.
func (s *Scheme) newFamily(ctx context.Context, subject string, epoch int64, g *Grant) (f storage.Family, u storage.User, err error) {
	u, _, err = s.store.TokenStatusWithUser(ctx, subject, storage.BlockKeys{})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return f, u, storage.ErrStale
	case err != nil:
		return f, u, err
	case credential.CheckAccount(u, epoch) != nil:
		return f, u, storage.ErrStale
	}
	if err := s.rule(ctx, u); err != nil {
		return f, u, err
	}
	id, err := rotation.NewID(s.opts.Rand)
	if err != nil {
		return f, u, err
	}
	if g == nil {
		g = new(Grant)
	}
	now := s.opts.Clock().UTC()
	f = storage.Family{
		ID: id, Purpose: s.purpose, Subject: subject, Scopes: g.Scopes, Name: g.Name, Epoch: epoch, AuthTime: g.AuthTime, ACR: g.ACR, AMR: g.AMR,
		Created: now, Expires: now.Add(s.opts.AbsoluteTTL),
	}
	if f.AuthTime.IsZero() {
		f.AuthTime = now
	}
	return f, u, f.Check()
}

// Refresh exchanges a refresh token for the next token pair. repeated reports that the token had
// already been exchanged within Options.Grace; pair is then the pair of that exchange.
//
// If the token is rejected, the error is an [*authn.Error]:
//   - the error of Options.Rule or Options.Claims
//   - 429 if the login was refreshed too often ([storage.MaxExchanges])
//   - 401 for any other reason
//
// After any other error, try again with the same token.
func (s *Scheme) Refresh(ctx context.Context, refresh string) (pair Pair, repeated bool, err error) {
	pair, _, repeated, err = s.refreshFrom(ctx, refresh, "")
	return pair, repeated, err
}

// refreshFrom is Refresh for a request from that client address. It also returns the subject.
func (s *Scheme) refreshFrom(ctx context.Context, refresh, source string) (pair Pair, subject string, repeated bool, err error) {
	use, err := s.use(ctx, refresh)
	if err != nil {
		return Pair{}, "", false, err
	}
	use.Source = source
	var res rotation.Result
	var rejected error
	err = s.opts.Audit.Change(ctx, s.store, func(ctx context.Context) error {
		var err error
		rejected = nil // of an earlier try
		res, err = s.rotate(ctx, use, &pair)
		f := res.State.Family
		switch {
		case err == nil && res.Repeated: // changes nothing, and is reported below
		case err == nil:
			s.notify(ctx, audit.RefreshSucceeded, f)
		case errors.Is(err, rotation.ErrReused):
			e := audit.Event{Kind: audit.RefreshReuse, Scheme: s.Name(), Subject: f.Subject, Family: f.ID, Epoch: f.Epoch}
			audit.LogReuse(ctx, s.opts.Logger, e)
			s.opts.Audit.Notify(ctx, e)
			rejected = err
			return nil // the family stays revoked
		}
		return err
	})
	if err = cmp.Or(err, rejected); err != nil {
		return Pair{}, "", false, s.refusal(err)
	}
	if res.Repeated {
		// Not in Change: anyone could fill the table of events by repeating one refresh token.
		s.notify(ctx, audit.RefreshRepeated, res.State.Family)
		var first sealedPair
		if err := json.Unmarshal(res.Answer, &first); err != nil {
			return Pair{}, "", false, err
		}
		pair = Pair{Access: first.Access, Refresh: first.Refresh, AccessExpires: first.AccessExpires, RefreshExpires: first.RefreshExpires}
	}
	return pair, res.State.Family.Subject, res.Repeated, nil
}

// rotate exchanges a refresh token, and sets pair to the next tokens.
func (s *Scheme) rotate(ctx context.Context, use rotation.Use, pair *Pair) (rotation.Result, error) {
	return s.rotator.Rotate(ctx, use, func(ctx context.Context, st storage.RefreshState, end time.Time) (_ []byte, secret string, err error) {
		if err := s.rule(ctx, st.User); err != nil {
			return nil, "", err
		}
		if *pair, secret, err = s.mint(ctx, st.Family, st.User, end); err != nil {
			return nil, "", err
		}
		answer, err := json.Marshal(sealedPair{pair.Access, pair.Refresh, pair.AccessExpires, pair.RefreshExpires})
		return answer, secret, err
	})
}

// notify sends an event about a family.
func (s *Scheme) notify(ctx context.Context, kind audit.Kind, f storage.Family) {
	s.opts.Audit.Notify(ctx, audit.Event{Kind: kind, Scheme: s.Name(), Subject: f.Subject, Family: f.ID, Epoch: f.Epoch})
}

// refusal returns the same 401 for every rejection of package rotation, and 429 for too many
// exchanges.
func (s *Scheme) refusal(err error) error {
	if rotation.IsRejection(err) {
		return s.invalid.WithCause(err)
	}
	if errors.Is(err, rotation.ErrTooMany) {
		return authn.Throttled(rotation.RetryAfter)
	}
	return err
}

func (s *Scheme) rule(ctx context.Context, u storage.User) error {
	if s.opts.Rule == nil {
		return nil
	}
	_, err := audit.Call("jwt.Options.Rule", func() (any, error) { return nil, s.opts.Rule(ctx, u.Clone()) })
	return err
}

// mint creates a token pair of a family. secret is the text under which the store finds the refresh
// token.
func (s *Scheme) mint(ctx context.Context, f storage.Family, u storage.User, end time.Time) (pair Pair, secret string, err error) {
	now := s.opts.Clock().UTC().Round(0) // without monotonic time, as in a repeated response
	pair.RefreshExpires = end.UTC().Round(0)
	pair.AccessExpires = now.Add(s.opts.AccessTTL)
	if pair.AccessExpires.After(f.Expires) {
		pair.AccessExpires = f.Expires
	}
	if pair.Access, err = s.sign(ctx, TypeAccess, f, u, now, pair.AccessExpires, nil); err != nil {
		return Pair{}, "", err
	}
	if !s.opts.SignedRefresh {
		pair.Refresh, err = s.format.New(s.opts.Rand)
		return pair, pair.Refresh, err
	}
	var body [credential.Size]byte
	if _, err := io.ReadFull(s.opts.Rand, body[:]); err != nil {
		return Pair{}, "", err
	}
	secret = base64.RawURLEncoding.EncodeToString(body[:])
	claims, err := json.Marshal(refreshClaims{s.issuer, s.issuer, f.Subject, secret, f.ID, now.Unix(), end.Unix()})
	if err != nil {
		return Pair{}, "", err
	}
	pair.Refresh, err = s.keys.Sign(ctx, TypeRefresh, claims)
	return pair, secret, err
}

// refreshClaims are the claims of a signed refresh token. Its audience is the issuer, so that no
// API accepts it as an access token.
type refreshClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	ID       string `json:"jti"`
	Family   string `json:"sid"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// use returns the rotation.Use for a refresh token. It rejects a text in another format. The secret
// of a signed token is its "jti", because the same signature can have several encodings.
func (s *Scheme) use(ctx context.Context, text string) (rotation.Use, error) {
	use := rotation.Use{Secret: text, Purpose: s.purpose}
	if !s.opts.SignedRefresh {
		if !s.format.Valid(text) {
			return use, s.invalid.WithCause(errNoRefresh)
		}
		return use, nil
	}
	if !shaped(text) {
		return use, s.invalid.WithCause(errNoRefresh)
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

var errNoRefresh = errors.New("malformed refresh token")
