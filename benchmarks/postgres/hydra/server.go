//go:build linux

package hydra

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/vestibule-auth/vestibule/benchmarks/postgres/machine"
)

// server is an authorization server that is measured.
type server struct {
	name, note string
	process    *machine.Process
	database   string // its name, for counting commits
	// public is the address of the endpoints for clients and users, with their paths.
	public                     string
	token, userinfo, authorize string
	// introspect is the introspection endpoint. Hydra's is at another address, where no client
	// authenticates.
	introspectAddr, introspect string
	introspectAuth             bool
	// clientID and secret are a confidential client's.
	clientID, secret string
	// login gives a new browser a session of a user and the user's consent, and returns the code.
	login func(c *client, s *server, user int, query string) (code string, err error)
}

// The names of what is measured, in the order of the tables.
const (
	ClientCredentials = "client credentials"
	Introspection     = "introspection"
	Refresh           = "refresh"
	CodeFlow          = "authorization code flow"
	UserInfo          = "userinfo"
)

// Works are the names of what is measured, in the order of the tables.
var Works = []string{ClientCredentials, Introspection, Refresh, CodeFlow, UserInfo}

// The only redirect URI of the clients, and the scopes.
const (
	redirectURI = "https://app.example/callback"
	scopes      = "openid profile offline_access"
	plainScopes = "profile offline_access" // without an ID token
)

// tokens is the response of a token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

func (s *server) auth() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(s.clientID)+":"+url.QueryEscape(s.secret))) + "\r\n"
}

// grant calls the token endpoint.
func (s *server) grant(c *client, form url.Values) (t tokens, err error) {
	a, err := c.do(request{Addr: s.public, Path: s.token, Header: s.auth(), Form: form.Encode()})
	if err == nil {
		err = a.want(200, form.Get("grant_type"))
	}
	if err == nil {
		err = json.Unmarshal(a.Body, &t)
	}
	if err == nil && t.Access == "" {
		err = errors.New("no access token")
	}
	return t, err
}

func (s *server) clientCredentials(c *client) (tokens, error) {
	return s.grant(c, url.Values{"grant_type": {"client_credentials"}, "scope": {"profile"}})
}

func (s *server) refresh(c *client, token string) (tokens, error) {
	t, err := s.grant(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	if err == nil && (t.Refresh == "" || t.Refresh == token) {
		err = errors.New("the refresh token was not rotated")
	}
	return t, err
}

// code gets tokens by the authorization code grant with PKCE, from the authorization request on.
func (s *server) code(c *client, user int, scope string) (tokens, error) {
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {s.clientID}, "redirect_uri": {redirectURI}, "scope": {scope}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	code, err := s.login(c, s, user, query)
	if err != nil {
		return tokens{}, err
	}
	t, err := s.grant(c, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}})
	if err == nil && (t.Refresh == "" || (t.ID == "") != (scope == plainScopes)) {
		err = fmt.Errorf("scope %q: refresh token: %t, ID token: %t", scope, t.Refresh != "", t.ID != "")
	}
	return t, err
}

// active introspects a token.
func (s *server) active(c *client, token string) (bool, error) {
	r := request{Addr: s.introspectAddr, Path: s.introspect, Form: "token=" + url.QueryEscape(token)}
	if s.introspectAuth {
		r.Header = s.auth()
	}
	a, err := c.do(r)
	if err == nil {
		err = a.want(200, Introspection)
	}
	var about struct{ Active bool }
	if err == nil {
		err = json.Unmarshal(a.Body, &about)
	}
	return about.Active, err
}

// subject calls the UserInfo endpoint.
func (s *server) subject(c *client, token string) (string, error) {
	a, err := c.do(request{Addr: s.public, Path: s.userinfo, Header: "Authorization: Bearer " + token + "\r\n"})
	if err == nil {
		err = a.want(200, UserInfo)
	}
	var about struct{ Sub string }
	if err == nil {
		err = json.Unmarshal(a.Body, &about)
	}
	if err == nil && about.Sub == "" {
		err = errors.New("userinfo without a subject")
	}
	return about.Sub, err
}

// codeOf returns the code from a redirect to the client.
func codeOf(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	code := u.Query().Get("code")
	if code == "" {
		return "", fmt.Errorf("redirect without a code: error %q, %q", u.Query().Get("error"), u.Query().Get("error_description"))
	}
	return code, nil
}
