package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// config is what the application knows of itself and of the server.
type config struct {
	Issuer, API, ID, Secret, Redirect string
	Scopes                            []string
}

// metadata is what the application needs of RFC 8414 section 2.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorize     string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Revoke        string   `json:"revocation_endpoint"`
	Scopes        []string `json:"scopes_supported"`
	IssInResponse bool     `json:"authorization_response_iss_parameter_supported"`
}

// app is the application. Who is logged in is in memory.
type app struct {
	config
	meta   metadata
	oauth  oauth2.Config
	idents *oidc.IDTokenVerifier // nil: the server does not speak OpenID Connect
	http   *http.Client

	mu       sync.Mutex
	sessions map[string]*session
}

// session is one browser that is logged in.
type session struct {
	mu    sync.Mutex // a refresh token is used once
	token *oauth2.Token
	user  string // of the ID token
}

func newApp(ctx context.Context, c config) (*app, error) {
	a := &app{config: c, http: &http.Client{Timeout: 10 * time.Second}, sessions: map[string]*session{}}
	if err := a.discover(ctx); err != nil {
		return nil, err
	}
	a.oauth = oauth2.Config{
		ClientID: c.ID, ClientSecret: c.Secret, RedirectURL: c.Redirect, Scopes: slices.Clone(c.Scopes),
		Endpoint: oauth2.Endpoint{AuthURL: a.meta.Authorize, TokenURL: a.meta.Token, AuthStyle: oauth2.AuthStyleInParams},
	}
	if c.Secret != "" {
		a.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	if !slices.Contains(a.meta.Scopes, oidc.ScopeOpenID) {
		return a, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, a.http), c.Issuer)
	if err != nil {
		return nil, err
	}
	a.idents = provider.Verifier(&oidc.Config{ClientID: c.ID})
	if !slices.Contains(a.oauth.Scopes, oidc.ScopeOpenID) {
		a.oauth.Scopes = append(a.oauth.Scopes, oidc.ScopeOpenID)
	}
	return a, nil
}

// discover reads the server's metadata. They must be of the issuer that was asked for
// (RFC 8414 section 3.3).
func (a *app) discover(ctx context.Context) error {
	u, err := url.Parse(a.Issuer)
	if err != nil {
		return err
	}
	u.Path = "/.well-known/oauth-authorization-server" + u.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", u, res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&a.meta); err != nil {
		return fmt.Errorf("%s: %w", u, err)
	}
	if a.meta.Issuer != a.Issuer || a.meta.Authorize == "" || a.meta.Token == "" {
		return fmt.Errorf("%s: the metadata of another issuer, or without endpoints", u)
	}
	return nil
}

// finish is the second half of a login: what the browser brought back, and what it was sent
// away with. It returns the new session.
func (a *app) finish(ctx context.Context, q url.Values, went trip) (*session, error) {
	// Before anything else: the answer is to this browser's question, and comes from the
	// server that was asked. A code of another one is not shown to this one, nor the other
	// way round (RFC 9207, RFC 9700 section 4.4).
	switch iss := q["iss"]; {
	case went.State == "" || len(q["state"]) != 1 || q.Get("state") != went.State:
		return nil, errors.New("this is not the answer to a question of this browser: log in again")
	case len(iss) == 0 && a.meta.IssInResponse, len(iss) > 1, len(iss) == 1 && iss[0] != a.meta.Issuer:
		return nil, errors.New("the answer comes from another server than the one that was asked")
	case q.Get("error") != "":
		return nil, fmt.Errorf("the server says %.64q", q.Get("error"))
	}
	ctx = oidc.ClientContext(ctx, a.http) // the HTTP client of both libraries
	token, err := a.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(went.Verifier))
	if err != nil {
		return nil, brief(err)
	}
	s := &session{token: token}
	if a.idents == nil {
		return s, nil
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := a.idents.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("the ID token is not good: %w", err)
	}
	if id.Nonce != went.Nonce {
		return nil, errors.New("the ID token is that of another login")
	}
	s.user = id.Subject
	return s, nil
}

// call returns what the API answers to the session's token, which is renewed where it has
// expired, or where that is asked for.
func (a *app) call(ctx context.Context, s *session, renew bool) (status int, body string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx = oidc.ClientContext(ctx, a.http)
	old := *s.token
	if renew {
		old.Expiry = time.Unix(1, 0)
	}
	token, err := a.oauth.TokenSource(ctx, &old).Token()
	if err != nil {
		return 0, "", brief(err)
	}
	s.token = token
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.API, nil)
	if err != nil {
		return 0, "", err
	}
	s.token.SetAuthHeader(req)
	res, err := a.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, string(text), err
}

// revoke gives the session's tokens back (RFC 7009).
func (a *app) revoke(ctx context.Context, s *session) error {
	if a.meta.Revoke == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	form := url.Values{"token": {s.token.AccessToken}}
	if s.token.RefreshToken != "" { // takes the access tokens with it
		form = url.Values{"token": {s.token.RefreshToken}, "token_type_hint": {"refresh_token"}}
	}
	if a.Secret == "" {
		form.Set("client_id", a.ID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.meta.Revoke, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a.Secret != "" {
		req.SetBasicAuth(url.QueryEscape(a.ID), url.QueryEscape(a.Secret))
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server did not take the token back: status %d", res.StatusCode)
	}
	return nil
}

// brief leaves the server's text out of an error: it is for the log at best.
func brief(err error) error {
	var e *oauth2.RetrieveError
	if errors.As(err, &e) {
		return fmt.Errorf("the server says %.64q", e.ErrorCode)
	}
	return err
}

// random returns 128 bits and more.
func random() string { return rand.Text() }
