package server

import (
	"context"
	"errors"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// accessClaims are the claims of RFC 9068, section 2.2. "sid" is the grant. "ver" is the epoch of
// the account or, for a token without a user, storage.Client.Epoch.
type accessClaims struct {
	Issuer   string               `json:"iss"`
	Audience []string             `json:"aud"`
	Subject  string               `json:"sub"`
	Client   string               `json:"client_id"`
	ID       string               `json:"jti"`
	Issued   int64                `json:"iat"`
	Expires  int64                `json:"exp"`
	AuthTime int64                `json:"auth_time,omitempty"`
	ACR      string               `json:"acr,omitempty"`
	AMR      []string             `json:"amr,omitempty"`
	Scope    string               `json:"scope"`
	Family   string               `json:"sid,omitempty"`
	Version  int64                `json:"ver,omitempty"`
	Confirm  *oauth2.Confirmation `json:"cnf,omitempty"`
	Actor    *actors.Claim        `json:"act,omitempty"`
}

// signAccess returns a signed access token. The subject of a token without a user is its client
// (RFC 9068, section 2.2), so a user with the ID of a client cannot get one.
func (s *Server) signAccess(ctx context.Context, a storage.AccessToken) (string, error) {
	c := accessClaims{
		Issuer: s.issuer, Audience: a.Resource, Subject: a.Subject, Client: a.Client, ID: a.ID, Issued: a.Created.Unix(), Expires: a.Expires.Unix(),
		Scope: strings.Join(a.Scopes, " "), Family: a.Family, Version: a.Epoch, Confirm: oauth2.ConfirmationOf(a.Confirm), Actor: actors.ClaimOf(a.Actors),
		ACR: a.ACR, AMR: a.AMR,
	}
	if !a.AuthTime.IsZero() {
		c.AuthTime = a.AuthTime.Unix()
	}
	switch c.Subject {
	case "":
		c.Subject = a.Client
	case a.Client:
		return "", errors.New("server: account and client have the same ID")
	}
	return s.Sign(ctx, oauth2.TypeAccess, c, nil)
}
