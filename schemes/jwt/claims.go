package jwt

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/credential/rotation"
	"github.com/vestibule-auth/vestibule/storage"
)

// accessClaims are the claims of RFC 9068 and of this package ("sid", "ver").
type accessClaims struct {
	Issuer       string   `json:"iss"`
	Audience     string   `json:"aud"`
	Subject      string   `json:"sub"`
	ID           string   `json:"jti"`
	Issued       int64    `json:"iat"`
	Expires      int64    `json:"exp"`
	AuthTime     int64    `json:"auth_time"`
	ACR          string   `json:"acr,omitempty"`
	AMR          []string `json:"amr,omitempty"`
	Family       string   `json:"sid"`
	Version      int64    `json:"ver"`
	RefreshUntil int64    `json:"refresh_exp,omitempty"`
	Scope        *string  `json:"scope,omitempty"`
	Roles        []string `json:"roles,omitempty"`
}

// reserved are the claims that Options.Claims cannot set, in any case.
var reserved = []string{
	"iss", "aud", "sub", "jti", "iat", "exp", "nbf", "auth_time", "sid", "ver", "refresh_exp", "scope", "roles",
	"client_id", "cnf", "azp", "act", "may_act", "nonce", "acr", "amr", "token_type", "groups", "entitlements", "user_id", "events",
}

// sign returns a new access token or sliding token.
func (s *Scheme) sign(ctx context.Context, typ string, f storage.Family, u storage.User, now, expires time.Time, until *time.Time) (string, error) {
	id, err := rotation.NewID(s.opts.Rand)
	if err != nil {
		return "", err
	}
	c := accessClaims{
		Issuer: s.issuer, Audience: s.checks.Audience, Subject: f.Subject, ID: id,
		Issued: now.Unix(), Expires: expires.Unix(), AuthTime: f.AuthTime.Unix(), ACR: f.ACR, AMR: f.AMR, Family: f.ID, Version: f.Epoch, Roles: u.Roles,
	}
	if f.Scopes != nil {
		scope := strings.Join(f.Scopes, " ")
		c.Scope, c.Roles = &scope, nil // a scope-limited identity has no roles
	}
	if until != nil {
		c.RefreshUntil = until.Unix()
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	if s.opts.Claims != nil {
		if text, err = s.extend(ctx, text, u); err != nil {
			return "", err
		}
	}
	return s.keys.Sign(ctx, typ, text)
}

// extend adds the application's claims.
func (s *Scheme) extend(ctx context.Context, text []byte, u storage.User) ([]byte, error) {
	more, err := audit.Call("jwt.Options.Claims", func() (map[string]any, error) { return s.opts.Claims(ctx, u.Clone()) })
	if err != nil {
		return nil, err
	}
	more = maps.Clone(more)
	maps.DeleteFunc(more, func(name string, _ any) bool {
		taken := slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
		if taken {
			cmp.Or(s.opts.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, "reserved claim omitted", slog.String("scheme", s.Name()), slog.String("claim", name))
		}
		return taken
	})
	if len(more) == 0 {
		return text, nil
	}
	tail, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return append(append(text[:len(text)-1], ','), tail[1:]...), nil
}
