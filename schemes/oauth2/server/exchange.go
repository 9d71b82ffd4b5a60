package server

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// exchangeCode issues tokens for a code.
func (s *Server) exchangeCode(ctx context.Context, x exchange) (tokenResponse, error) {
	code, err := s.code(ctx, x)
	if err != nil {
		return tokenResponse{}, err
	}
	resource, err := s.resourcesOfGrant(x, code.Resource)
	if err != nil {
		return tokenResponse{}, err
	}
	if err := s.verifyProof(ctx, x.proof); err != nil { // records the proof, so it comes after the checks that leave the code valid
		return tokenResponse{}, err
	}
	if err := s.verifier(ctx, x, code); err != nil {
		return tokenResponse{}, err
	}
	used := false
	a, err := s.begin(ctx, x, newGrant{
		family: storage.Family{
			Subject: code.Subject, Scopes: code.Scopes, Resource: code.Resource, Epoch: code.Epoch, AuthTime: code.AuthTime, ACR: code.ACR, AMR: code.AMR,
		},
		session: code.Session, resource: resource, nonce: code.Nonce,
		claim: func(ctx context.Context, family string) error {
			err := s.store.ConsumeCode(ctx, code.Digest, family, s.now().Add(s.opts.AbsoluteTTL))
			used = errors.Is(err, storage.ErrConflict)
			return err
		},
	})
	switch {
	case used:
		return tokenResponse{}, s.reused(ctx, code)
	case errors.Is(err, storage.ErrStale), errors.Is(err, storage.ErrNotFound):
		return tokenResponse{}, errGrant.WithCause(err)
	}
	return a, err
}

// code returns the code of the request if it may be exchanged. A code of another client stays
// valid, and nothing is revoked.
func (s *Server) code(ctx context.Context, x exchange) (storage.Code, error) {
	text := x.form.Get("code")
	if text == "" {
		return storage.Code{}, oauth2.NewError("invalid_request", "The code is missing.")
	}
	if !codeFormat.Valid(text) {
		return storage.Code{}, errGrant.WithCause(errors.New("not in the format of a code"))
	}
	code, u, err := s.store.CodeByDigest(ctx, storage.DigestOf(text))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return code, errGrant.WithCause(err)
	case err != nil:
		return code, err
	case code.Client != x.client.ID:
		return code, errGrant.WithCause(errors.New("code of another client"))
	case code.Used:
		return code, s.reused(ctx, code)
	case !s.now().Before(code.Expires), storage.Ahead(s.now(), code.Created):
		return code, errGrant.WithCause(errors.New("expired"))
	case !u.Active || u.Epoch != code.Epoch:
		return code, errGrant.WithCause(errors.New("account disabled, or code issued in an earlier epoch"))
	case code.Confirm != "" && code.Confirm != x.key:
		return code, errGrant.WithCause(errors.New("code bound to another key"))
	case x.form.Get("redirect_uri") != code.RedirectURI:
		return code, errGrant.WithCause(errors.New("redirect_uri differs from the authorization request"))
	case code.Challenge != "" && x.form.Get("code_verifier") == "":
		return code, errGrant.WithCause(errors.New("code_verifier is missing")) // the code stays valid
	}
	return code, nil
}

// reused revokes the grant of a code that was used before. It reads the code again, because the
// first use may have been concurrent. If the grant is already revoked it writes nothing, so that a
// code which is sent repeatedly costs only reads.
func (s *Server) reused(ctx context.Context, code storage.Code) error {
	now, _, err := s.store.CodeByDigest(ctx, code.Digest)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	again := errGrant.WithCause(errors.New("code reused"))
	change := func(ctx context.Context, f func(context.Context) error) error { return f(ctx) }
	if err == nil && now.Family != "" {
		_, st, err := s.store.SignedAccessStatus(ctx, code.Client, now.Family, "", storage.BlockKeys{SID: storage.BlockKeyOf(storage.BlockSID, "", now.Family)})
		if err != nil {
			return err
		}
		if st.Blocked {
			return again
		}
		switch _, err := s.store.FamilyByID(ctx, s.purpose, code.Subject, now.Family); {
		case err == nil:
			change = s.Change
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
	}
	// Without a live grant nothing changes, so the event is not stored: anyone could fill the table of
	// events by sending one code.
	err = change(ctx, func(ctx context.Context) error {
		if err == nil && now.Family != "" {
			if err := s.rotator.EndFamily(ctx, now.Family); err != nil {
				return err
			}
		}
		s.Notify(ctx, audit.Event{Kind: audit.CodeReuse, Client: code.Client, Subject: code.Subject, Family: now.Family, Epoch: code.Epoch})
		return nil
	})
	if err != nil {
		return err
	}
	return again
}

// refresh exchanges a refresh token.
func (s *Server) refresh(ctx context.Context, x exchange) (tokenResponse, error) {
	text := x.form.Get("refresh_token")
	if text == "" {
		return tokenResponse{}, oauth2.NewError("invalid_request", "The refresh_token is missing.")
	}
	if !refreshFormat.Valid(text) {
		return tokenResponse{}, errGrant.WithCause(errors.New("not in the format of a refresh token"))
	}
	if len(x.form.Get("scope")) > storage.MaxScopesBytes {
		return tokenResponse{}, errScope
	}
	use := s.use(x, text)
	if s.opts.FAPI2 {
		if a, done, err := s.renew(ctx, x, use); done {
			return a, err
		}
	}
	claims, err := s.mayRotate(ctx, x, use)
	if err != nil {
		return tokenResponse{}, err
	}
	use.Scopes = oauth2.SplitScopes(x.form.Get("scope"))
	var res rotation.Result
	var a tokenResponse
	var refused error
	err = s.InTx(ctx, func(ctx context.Context) (err error) {
		res, err = s.rotator.Rotate(ctx, use, func(ctx context.Context, st storage.RefreshState, end time.Time) (_ []byte, next string, err error) {
			if a, err = s.next(ctx, x, st, claims); err != nil {
				return nil, "", err
			}
			text, err := json.Marshal(a)
			return text, a.Refresh, err
		})
		f := res.State.Family
		if refused = s.refusal(err); refused != nil {
			if errors.Is(refused, rotation.ErrReused) {
				s.Notify(ctx, about(audit.RefreshReuse, f))
			}
			return nil // commit, so that a reused family stays revoked
		}
		if err == nil && !res.Repeated { // a repetition changes nothing, and is reported below
			s.Notify(ctx, about(audit.RefreshSucceeded, f))
		}
		return err
	})
	switch {
	case errors.Is(err, rotation.ErrTooMany):
		return tokenResponse{}, authn.Throttled(rotation.RetryAfter)
	case err != nil:
		return tokenResponse{}, err
	case refused != nil:
		return tokenResponse{}, refused
	}
	if res.Repeated {
		// Not in the transaction: anyone could fill the table of events by repeating one token.
		s.Notify(ctx, about(audit.RefreshRepeated, res.State.Family))
		a = tokenResponse{}
		if err := json.Unmarshal(res.Answer, &a); err != nil {
			return tokenResponse{}, err
		}
		a.subject = res.State.Family.Subject
	}
	return a, nil
}

// mayRotate rejects what Rotate would reject, with one read and without a transaction, so that
// requests without a valid token do not delay others. Then it verifies the proof, which records its
// use, and returns the claims of the next ID token.
func (s *Server) mayRotate(ctx context.Context, x exchange, use rotation.Use) (map[string]any, error) {
	st, err := s.rotator.Inspect(ctx, use)
	if err != nil && !errors.Is(err, rotation.ErrReused) { // Rotate determines whether it is a repetition
		if refused := s.refusal(err); refused != nil {
			return nil, refused
		}
		return nil, err
	}
	f := st.Family
	if f.Confirm != "" && f.Confirm != x.key || !s.issued(f) {
		return nil, errGrant.WithCause(rotation.ErrMismatch)
	}
	if err != nil { // a repetition has the parameters and the response of the first request
		return nil, s.verifyProof(ctx, x.proof)
	}
	if f.Scopes, _, err = s.narrowed(x, f); err != nil {
		return nil, err
	}
	if err := s.verifyProof(ctx, x.proof); err != nil {
		return nil, err
	}
	return s.claims(ctx, st.User, f)
}

// narrowed returns the scopes and resources of the next tokens of a family. The request can narrow
// them (RFC 6749, section 6). The server or the client may have lost some since the grant.
func (s *Server) narrowed(x exchange, f storage.Family) (scopes, resource []string, err error) {
	allowed := s.stillAllowed(f.Scopes, x.client)
	if scopes, err = s.scopesOf(x.form.Get("scope"), allowed, allowed); err != nil {
		return nil, nil, err
	}
	resource, err = s.resourcesOfGrant(x, s.resourcesOfFamily(f))
	return scopes, resource, err
}

// use returns the use of a refresh token by a client, without the scopes.
func (s *Server) use(x exchange, text string) rotation.Use {
	return rotation.Use{
		Secret: text, Purpose: s.purpose, Client: x.client.ID, Resource: x.form.Values["resource"], Source: x.source, Confirm: x.key,
		Idle: x.client.RefreshTTL,
	}
}

// next issues the next tokens of a family.
func (s *Server) next(ctx context.Context, x exchange, st storage.RefreshState, claims map[string]any) (tokenResponse, error) {
	f := st.Family
	scopes, resource, err := s.narrowed(x, f)
	if err != nil {
		return tokenResponse{}, err
	}
	refresh, err := s.text(refreshPrefix)
	if err != nil {
		return tokenResponse{}, err
	}
	f.Scopes, f.Resource, f.Confirm = scopes, resource, x.key
	a, err := s.access(ctx, f, x.client)
	if err != nil {
		return tokenResponse{}, err
	}
	if a.ID, err = s.idToken(ctx, Grant{Family: f, Claims: claims, Access: a.Access}); err != nil {
		return tokenResponse{}, err
	}
	a.Refresh = refresh
	return a, nil
}

// refusal returns the error response for an error of the rotation, or nil if it is a server error.
func (s *Server) refusal(err error) error {
	var e *oauth2.Error
	if errors.As(err, &e) {
		return e
	}
	for _, known := range []error{
		rotation.ErrUnknown, rotation.ErrExpired, rotation.ErrRevoked, rotation.ErrReused, rotation.ErrMismatch, storage.ErrStale,
	} {
		if errors.Is(err, known) {
			return errGrant.WithCause(err)
		}
	}
	return nil
}
