package introspect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/internal/params"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
)

// Token is the issuer's response about an active token (RFC 7662, section 2.2). Identities of a
// [Scheme] have it as their Credential. Each request has its own copy.
type Token struct {
	// Issuer is "iss" of the response; "" if there is none.
	Issuer string
	// Subject is "" for a token that a client requested for itself.
	Subject, Client, Username string
	// Type is "token_type". Use is "token_use", which some issuers add.
	Type, Use string
	Scopes    []string // never nil
	Audience  []string // nil if the response has none
	// Actors are the clients of "act" that act for the user (RFC 8693), the outermost one first; one
	// that the issuer does not name is "".
	Actors []string
	// Bound reports that the token is sender-constrained ("cnf").
	Bound bool
	// Expires, NotBefore and AuthTime are zero if they are not in the response.
	Expires, NotBefore, AuthTime time.Time
	// ACR and AMR are "acr" and "amr" about the user's login (RFC 9470, section 6.2); "" and nil if
	// they are not in the response.
	ACR string
	AMR []string
	// Claims is the whole response.
	Claims jose.Claims
}

// about returns the issuer's response about a token, or nil if the token is not active.
func (i *Scheme) about(ctx context.Context, text string) (t *Token, lease authn.Lease, err error) {
	ask := func(ctx context.Context, at slot) (t *Token, err error) {
		defer func() { i.queries.end(ctx, at, t != nil) }()
		return i.ask(ctx, text)
	}
	if i.cache == nil {
		at, err := i.queries.begin(ctx)
		if err != nil {
			return nil, nil, err
		}
		t, err = ask(ctx, at)
		return t, nil, err
	}
	t, l, err := i.cache.get(ctx, i.key(text), i.queries, ask)
	if t != nil {
		t = t.clone() // requests must not share the slices of the cache
	}
	if l != nil {
		lease = l
	}
	return t, lease, err
}

func (t *Token) clone() *Token {
	c := *t
	c.Scopes, c.Audience, c.Actors, c.AMR = slices.Clone(t.Scopes), slices.Clone(t.Audience), slices.Clone(t.Actors), slices.Clone(t.AMR)
	return &c
}

// CloneCredential returns a copy of t that shares no slice with it.
func (t *Token) CloneCredential() any { return t.clone() }

// key returns the key of a token in the cache: the digest of issuer, endpoint, audience, client and
// token, so that a response for one API is not used for another.
func (i *Scheme) key(text string) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, s := range []string{i.issuer, i.endpoint, i.audience, i.by.ID, text} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		io.WriteString(h, s)
	}
	h.Sum(key[:0])
	return key
}

// ask queries the issuer. Every error is a server error and contains neither token nor response.
func (i *Scheme) ask(ctx context.Context, text string) (*Token, error) {
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	// Both parts are form-urlencoded before they are joined (RFC 6749, section 2.3.1).
	by := url.QueryEscape(i.by.ID) + ":" + url.QueryEscape(i.by.Secret)
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(by)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := i.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("introspect: query the issuer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("introspect: query the issuer: status %d", res.StatusCode)
	}
	if kind, _, err := params.MediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("introspect: query the issuer: response is not JSON")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, i.opts.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("introspect: read the issuer's response: %w", err)
	}
	if int64(len(body)) > i.opts.MaxBytes {
		return nil, fmt.Errorf("introspect: read the issuer's response: longer than %d bytes", i.opts.MaxBytes)
	}
	t, err := readAnswer(body)
	if err != nil {
		return nil, fmt.Errorf("introspect: read the issuer's response: %w", err)
	}
	return t, nil
}

// readAnswer parses a response as strictly as the claims of a token. It returns nil if the token is
// not active.
func readAnswer(body []byte) (*Token, error) {
	claims, err := jose.ParseClaims(body)
	if err != nil {
		return nil, err
	}
	active, _ := claims.Get("active")
	switch {
	case bytes.Equal(active, []byte("false")):
		return nil, nil
	case !bytes.Equal(active, []byte("true")):
		return nil, errors.New("active is neither true nor false")
	}
	reg, err := claims.Registered()
	if err != nil {
		return nil, err
	}
	t := &Token{
		Issuer: reg.Issuer, Subject: reg.Subject, Scopes: []string{}, Audience: reg.Audience,
		Expires: reg.Expires, NotBefore: reg.NotBefore, Claims: claims,
	}
	scope := ""
	for name, to := range map[string]*string{"client_id": &t.Client, "username": &t.Username, "token_type": &t.Type, "token_use": &t.Use, "scope": &scope} {
		raw, ok := claims.Get(name)
		if !ok || string(raw) == `""` {
			continue
		}
		if *to, ok = claims.Text(name); !ok || name != "scope" && !isText(*to) {
			return nil, fmt.Errorf("%s is not a text", name)
		}
	}
	for s := range strings.SplitSeq(scope, " ") {
		if s == "" {
			continue
		}
		if !syntax.IsScope(s) {
			return nil, errors.New("scope is not a list of scopes (RFC 6749, section 3.3)")
		}
		t.Scopes = append(t.Scopes, s)
	}
	if cnf, ok := claims.Get("cnf"); ok {
		t.Bound = string(cnf) != "null"
	}
	if act, ok := claims.Get("act"); ok {
		t.Actors = actors.Read(act)
	}
	if _, ok := claims.Get("auth_time"); ok {
		if t.AuthTime, err = claims.Time("auth_time"); err != nil {
			return nil, err
		}
	}
	// Of another type they say nothing about the login, which is no reason to reject the token.
	t.ACR, _ = claims.Text("acr")
	if claims.Decode("amr", &t.AMR) != nil {
		t.AMR = nil
	}
	if t.Subject == t.Client {
		t.Subject = ""
	}
	return t, nil
}
