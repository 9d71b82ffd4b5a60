package server

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Approve issues the code, or for an implicit request the access token, of an authorization request
// that the user approved. It returns the parameters of the response. Before Approve, call
// PrepareApproval, and AdmitApproval or AdmitSilent. Afterwards, report consent.given with Notify.
//
// If the user's session is no longer valid, the error is an *oauth2.Error for the client. Any other
// error is a server error.
func (s *Server) Approve(ctx context.Context, q AuthorizationRequest, u SessionUser) (url.Values, error) {
	var v url.Values
	var err error
	if q.Implicit {
		v, err = s.issueToken(ctx, q, u)
	} else {
		v, err = s.issueCode(ctx, q, u)
	}
	if errors.Is(err, storage.ErrStale) { // concurrently logged out everywhere or disabled
		return nil, oauth2.NewError("access_denied", "The login is no longer valid.").WithCause(err)
	}
	return v, err
}

// PrepareApproval adds the claims of an implicit request to q. It calls functions of the
// application and reads keys, so call it before the transaction in which you call Approve. It does
// nothing if the client requested a code. An error is a server error, and nothing was issued.
func (s *Server) PrepareApproval(ctx context.Context, q *AuthorizationRequest, u SessionUser) (err error) {
	if q.Implicit {
		q.prepared, err = s.prepare(ctx, storage.Family{Subject: u.Subject, Scopes: s.stillAllowed(q.Scopes, q.Registered)})
	}
	return err
}

var errUnprepared = errors.New("server: Approve: implicit request without PrepareApproval")

// unusedCode is how long an unused code is stored after its expiry. It is short because a user can
// create several hundred codes per hour. A used code is stored as long as its grant can exist.
const unusedCode = time.Hour

func (s *Server) issueCode(ctx context.Context, q AuthorizationRequest, u SessionUser) (url.Values, error) {
	text, err := s.text(codePrefix)
	if err != nil {
		return nil, err
	}
	session := ""
	if s.extended.IDTokens != nil { // for the claim "sid" of ID tokens
		session = u.Session
	}
	now := s.now()
	err = s.store.CreateCode(ctx, storage.Code{
		Digest: storage.DigestOf(text), Client: q.Client, Subject: u.Subject, Epoch: u.Epoch, RedirectURI: q.RedirectURI, Scopes: q.Scopes, Resource: s.orOwn(q.Resource),
		Challenge: q.Challenge, Nonce: q.Nonce, Confirm: q.Confirm, Session: session, AuthTime: u.AuthTime, ACR: u.ACR, AMR: u.AMR, Created: now, Expires: now.Add(s.opts.CodeTTL), Kept: now.Add(s.opts.CodeTTL + unusedCode),
	})
	if err != nil {
		return nil, err
	}
	return url.Values{"code": {text}}, nil
}

// issueToken issues an access token and no refresh token (RFC 6749, section 4.2).
func (s *Server) issueToken(ctx context.Context, q AuthorizationRequest, u SessionUser) (url.Values, error) {
	if q.prepared == nil {
		return nil, errUnprepared
	}
	resource := s.orOwn(q.Resource)
	a, err := s.begin(ctx, exchange{client: q.Registered}, newGrant{
		family:   storage.Family{Subject: u.Subject, Scopes: q.Scopes, Resource: resource, Epoch: u.Epoch, AuthTime: u.AuthTime, ACR: u.ACR, AMR: u.AMR},
		resource: resource,
		prepared: q.prepared,
	})
	if err != nil {
		return nil, err
	}
	seconds := a.Expires.Sub(s.now()).Round(time.Second) / time.Second
	return url.Values{
		"access_token": {a.Access}, "token_type": {"Bearer"}, "expires_in": {strconv.Itoa(int(seconds))}, "scope": {strings.Join(a.Scopes, " ")},
	}, nil
}

// Redirect returns the URL that sends the parameters of a response to the client, with "state" and
// "iss" (RFC 9207). The request's To must not be "".
//
// For a request with FormPost, send Response by POST instead.
func (s *Server) Redirect(q AuthorizationRequest, v url.Values) string {
	v = s.Response(q, v)
	mark := "?"
	switch {
	case q.Implicit: // also encoded, so that no value creates another parameter
		mark = "#"
	case strings.Contains(q.To, "?"):
		mark = "&"
	}
	return q.To + mark + v.Encode()
}

// Response returns the parameters of a response with "state" and "iss". It changes v.
func (s *Server) Response(q AuthorizationRequest, v url.Values) url.Values {
	if q.State != "" {
		v.Set("state", q.State)
	}
	v.Set("iss", s.issuer)
	return v
}
