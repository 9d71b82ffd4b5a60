package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/rotation"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// exchangeCode gives tokens for a code (RULES T7).
func (s *Server) exchangeCode(ctx context.Context, x exchange) (answer, error) {
	code, err := s.code(ctx, x)
	if err != nil {
		return answer{}, err
	}
	resource, err := resourcesOf(x.form, s.granted(code.Resource), code.Resource)
	if err != nil {
		return answer{}, err
	}
	used := false
	a, err := s.begin(ctx, x, beginning{
		family: storage.Family{
			Subject: code.Subject, Scopes: code.Scopes, Resource: code.Resource, Epoch: code.Epoch, AuthTime: code.AuthTime, Data: login{code.Session}.data(),
		},
		resource: resource, nonce: code.Nonce,
		claim: func(ctx context.Context, family string) error {
			err := s.store.UseCode(ctx, code.Digest, family)
			used = errors.Is(err, storage.ErrConflict)
			return err
		},
	})
	switch {
	case used:
		return answer{}, s.reused(ctx, code)
	case errors.Is(err, storage.ErrStale), errors.Is(err, storage.ErrNotFound):
		return answer{}, errGrant.with(err)
	}
	return a, err
}

// code returns the code of the request where it may be exchanged. A code of another client
// is neither burnt nor is anything ended by it.
func (s *Server) code(ctx context.Context, x exchange) (storage.Code, error) {
	text := x.form.get("code")
	if text == "" {
		return storage.Code{}, refuse("invalid_request", "The code is missing.")
	}
	if !tokentext.Valid(codePrefix, text) {
		return storage.Code{}, errGrant.with(errors.New("not of a code's shape"))
	}
	code, u, err := s.store.CodeByDigest(ctx, storage.DigestOf(text))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return code, errGrant.with(err)
	case err != nil:
		return code, err
	case code.Client != x.client.ID:
		return code, errGrant.with(errors.New("a code of another client"))
	case code.Used:
		return code, s.reused(ctx, code)
	case !s.now().Before(code.Expires):
		return code, errGrant.with(errors.New("expired"))
	case !u.Active || u.Epoch != code.Epoch:
		return code, errGrant.with(errors.New("the account is disabled, or the code is of an earlier epoch"))
	case code.Confirm != "" && code.Confirm != x.key:
		return code, errGrant.with(errors.New("a code for another key"))
	case x.form.get("redirect_uri") != code.RedirectURI:
		return code, errGrant.with(errors.New("another redirect_uri than that of the authorization request"))
	}
	if err := s.proved(ctx, x.proof); err != nil {
		return code, err
	}
	return code, s.verifier(ctx, x, code)
}

// verifier checks the proof that who exchanges the code is who asked for it (RFC 7636). A
// wrong one burns the code.
func (s *Server) verifier(ctx context.Context, x exchange, code storage.Code) error {
	verifier := x.form.get("code_verifier")
	var why error
	switch {
	case code.Challenge == "" && verifier == "":
		if !x.client.Public() {
			return nil
		}
		why = errors.New("a public client without a challenge")
	case code.Challenge == "":
		why = errors.New("a verifier, and the authorization request had no challenge")
	case verifier == "":
		return errGrant.with(errors.New("the code_verifier is missing")) // which burns nothing
	case !isVerifier(verifier):
		why = errors.New("malformed verifier")
	default:
		sum := sha256.Sum256([]byte(verifier))
		if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(code.Challenge)) == 1 {
			return nil
		}
		why = errors.New("wrong verifier")
	}
	err := s.store.UseCode(ctx, code.Digest, "")
	switch {
	case errors.Is(err, storage.ErrConflict):
		return s.reused(ctx, code)
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return errGrant.with(why)
}

// isVerifier reports whether v is a code_verifier: 43 to 128 unreserved characters (RFC 7636
// section 4.1).
func isVerifier(v string) bool {
	if len(v) < 43 || len(v) > 128 {
		return false
	}
	for i := range len(v) {
		if !unreserved(v[i]) {
			return false
		}
	}
	return true
}

// unreserved reports one of the characters of RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// reused ends what came of a code that was used before, by whoever. It reads the code again:
// the first use may have been at this very moment.
func (s *Server) reused(ctx context.Context, code storage.Code) error {
	now, _, err := s.store.CodeByDigest(ctx, code.Digest)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err == nil && now.Family != "" {
		if err := s.rotator.EndFamily(ctx, now.Family); err != nil {
			return err
		}
	}
	s.tell(ctx, Event{CodeReused, code.Client, code.Subject, now.Family})
	return errGrant.with(errors.New("a code that was used before"))
}

// refresh exchanges a refresh token (RULES T3).
func (s *Server) refresh(ctx context.Context, x exchange) (answer, error) {
	text := x.form.get("refresh_token")
	if text == "" {
		return answer{}, refuse("invalid_request", "The refresh_token is missing.")
	}
	if !tokentext.Valid(refreshPrefix, text) {
		return answer{}, errGrant.with(errors.New("not of a refresh token's shape"))
	}
	if len(x.form.get("scope")) > storage.MaxScopes {
		return answer{}, errScope
	}
	use := s.use(x, text)
	if err := s.mayRotate(ctx, x, use); err != nil {
		return answer{}, err
	}
	use.Scopes = words(x.form.get("scope"))
	var res rotation.Result
	var a answer
	var refused error
	err := s.store.InTx(ctx, func(ctx context.Context) (err error) {
		res, err = s.rotator.Rotate(ctx, use, func(ctx context.Context, st storage.RefreshState, end time.Time) (_ []byte, next string, err error) {
			if a, err = s.next(ctx, x, st); err != nil {
				return nil, "", err
			}
			text, err := json.Marshal(a)
			return text, a.Refresh, err
		})
		if refused = s.refusal(err); refused != nil {
			return nil // the end of a family that was reused stays
		}
		return err
	})
	f := res.State.Family
	switch {
	case errors.Is(err, rotation.ErrTooMany):
		return answer{}, authn.Throttled(rotation.RetryAfter)
	case err != nil:
		return answer{}, err
	case refused != nil:
		if errors.Is(refused, rotation.ErrReused) {
			s.tell(ctx, Event{RefreshReused, f.Client, f.Subject, f.ID})
		}
		return answer{}, refused
	}
	kind := Refreshed
	if res.Repeated {
		kind, a = Repeated, answer{}
		if err := json.Unmarshal(res.Answer, &a); err != nil {
			return answer{}, err
		}
	}
	s.tell(ctx, Event{kind, f.Client, f.Subject, f.ID})
	return a, nil
}

// mayRotate refuses what Rotate would refuse, with one read: nobody waits for a transaction of
// somebody without a token. Then it proves the key.
func (s *Server) mayRotate(ctx context.Context, x exchange, use rotation.Use) error {
	st, err := s.rotator.Inspect(ctx, use)
	if err != nil && !errors.Is(err, rotation.ErrReused) { // whether that is a repetition Rotate finds out
		if refused := s.refusal(err); refused != nil {
			return refused
		}
		return err
	}
	if f := st.Family; f.Confirm != "" && f.Confirm != x.key {
		return errGrant.with(rotation.ErrMismatch)
	}
	return s.proved(ctx, x.proof)
}

// use is a presentation of a refresh token by a client, without the scopes.
func (s *Server) use(x exchange, text string) rotation.Use {
	return rotation.Use{
		Secret: text, Purpose: s.purpose, Client: x.client.ID, Resource: x.form.values["resource"], Source: x.source, Confirm: x.key,
	}
}

// next makes the next pair of a family, with the scopes and for the resources that are asked
// for, if fewer (RFC 6749 section 6).
func (s *Server) next(ctx context.Context, x exchange, st storage.RefreshState) (answer, error) {
	f := st.Family
	allowed := stillAllowed(f.Scopes, x.client) // what the client may not ask for any more has ended
	scopes, err := s.scopesOf(x.form.get("scope"), allowed, allowed)
	if err != nil {
		return answer{}, err
	}
	resource, err := resourcesOf(x.form, s.granted(f.Resource), f.Resource)
	if err != nil {
		return answer{}, err
	}
	refresh, err := s.text(refreshPrefix)
	if err != nil {
		return answer{}, err
	}
	f.Scopes, f.Resource, f.Confirm = scopes, resource, x.key
	a, err := s.access(ctx, f)
	if err != nil {
		return answer{}, err
	}
	if a.ID, err = s.idToken(ctx, f, st.User, "", a.Access); err != nil {
		return answer{}, err
	}
	a.Refresh = refresh
	return a, nil
}

// refusal returns the refusal that an error of the rotation is, or nil for a fault.
func (s *Server) refusal(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, known := range []error{
		rotation.ErrUnknown, rotation.ErrExpired, rotation.ErrEnded, rotation.ErrReused, rotation.ErrMismatch, storage.ErrStale,
	} {
		if errors.Is(err, known) {
			return errGrant.with(err)
		}
	}
	return nil
}
