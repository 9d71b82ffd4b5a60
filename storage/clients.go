package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Client is an application that acts by OAuth 2.0, for users or for itself.
type Client struct {
	// ID is the "client_id".
	ID   string
	Name string
	// Method is how the client proves who it is: "none" for a public one,
	// "client_secret_basic", "client_secret_post" or "private_key_jwt" (RFC 7591 section 2).
	Method string
	// Secret is the digest of a secret that was generated; zero for none.
	Secret Digest
	// Password is the hash of a secret that somebody chose; "" for none. A client has at
	// most one of Secret and Password.
	Password PasswordHash
	// Registration is the digest of the token by which the client manages its own
	// registration (RFC 7592); zero for none.
	Registration Digest
	// Keys is a JWK set with the client's public keys, for "private_key_jwt".
	Keys []byte
	// Native clients run on the user's machine: their redirect URIs of a loopback address
	// match whatever the port (RFC 8252 section 7.3).
	Native bool
	// RedirectURIs are where the authorization endpoint may send the browser, compared
	// byte for byte; LogoutURIs where a logout may.
	RedirectURIs, LogoutURIs []string
	// Grants are the grant types that the client may use.
	Grants []string
	// Scopes are those that it may ask for; Default those that it gets where it asks for
	// none.
	Scopes, Default []string
	// Resources are those that it may request tokens for (RFC 8707). They give no right to
	// introspect: see Serves.
	Resources []string
	// Serves are the resources that this client is the resource server of. It may introspect
	// access tokens of any client for them. Only an administrator sets it: the client's own
	// registration (RFC 7591) never does.
	Serves []string
	// Trusted clients are the application's own: no consent is asked for, except by a public client
	// with a redirect URI that any program on the user's machine can have, and an implicit grant.
	Trusted bool
	// Disabled clients can do nothing. UpdateClient revokes for good what the client has if it disables
	// or enables it.
	Disabled bool
	// Created is when the client was created. Set it: signed access tokens that a client has for
	// itself are not accepted for a later client with the same ID and another Created.
	Created time.Time
	// Revoked is when UpdateClient last disabled or enabled the client, by the store's clock, in
	// microseconds; zero for never. Only the store sets it. See Epoch.
	Revoked time.Time
}

// MaxClientBytes is how long the lists and the keys of a client may be together, in bytes.
const MaxClientBytes = 64 << 10

// NoExpiry, as an option UnusedClients of a store, keeps all clients.
const NoExpiry time.Duration = -1

// UnusedClientAge returns the age at which Prune removes an unused client, for the option UnusedClients of a
// store: 30 days if that is 0, and NoExpiry if it is negative.
//
// A client is unused if it registered itself (Registration) and has no code, family, consent, access token,
// device grant or request. A used code stays until Code.Kept, the longest lifetime of its grant, and so
// does its client: 90 days after the last login with the defaults of a server. Clients with Trusted or Serves
// stay, and those with the grant client_credentials, whose tokens leave nothing behind.
func UnusedClientAge(option time.Duration) time.Duration {
	switch {
	case option < 0:
		return NoExpiry
	case option == 0:
		return 30 * 24 * time.Hour
	}
	return option
}

// Public reports whether the client can keep no secret.
func (c *Client) Public() bool { return c.Method == "none" }

// Check returns ErrInvalid, with a word on why, unless c can be kept.
func (c *Client) Check() error {
	errs := []error{CheckID("client id", c.ID), checkText("client name", c.Name), CheckID("authentication method", c.Method)}
	size := len(c.Keys)
	for _, list := range [][]string{c.RedirectURIs, c.LogoutURIs, c.Grants, c.Scopes, c.Default, c.Resources, c.Serves} {
		for _, s := range list {
			size += len(s)
			if !plain(s) {
				errs = append(errs, fmt.Errorf("%w: a text of the client is empty or holds blanks or control characters", ErrInvalid))
			}
		}
	}
	if size > MaxClientBytes {
		errs = append(errs, fmt.Errorf("%w: a client of %d bytes", ErrInvalid, size))
	}
	if !c.Secret.IsZero() && c.Password != "" {
		errs = append(errs, fmt.Errorf("%w: a client with two secrets", ErrInvalid))
	}
	return errors.Join(errs...)
}

// plain wants printable ASCII without blanks.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// Clients keeps the applications that act by OAuth 2.0.
type Clients interface {
	// ClientByID returns the client, disabled or not. ErrNotFound where there is none; a
	// malformed id counts as absent. Within InTx the client then stays as it is until the
	// transaction ends, so that it can be changed by UpdateClient and nobody's change is lost.
	ClientByID(ctx context.Context, id string) (Client, error)
	// ListClients returns up to limit clients whose ID is greater than after, in order of
	// ID; "" starts at the beginning.
	ListClients(ctx context.Context, after string, limit int) ([]Client, error)
	// CreateClient inserts c: ErrConflict where its ID is taken, ErrInvalid where c cannot
	// be kept.
	CreateClient(ctx context.Context, c Client) error
	// UpdateClient replaces what is kept of the client but its Created and Revoked. ErrNotFound where
	// there is none, ErrInvalid where c cannot be kept.
	//
	// If the client is disabled, before the call or by it, the call also removes the client's codes,
	// tokens, families, device grants, requests and consents, as DeleteClient does, and moves Revoked
	// forward. A client that is enabled again has nothing of before. If an enabling call fails, the
	// client stays disabled. A new secret or other keys remove nothing.
	//
	// It overwrites what others changed since c was read, such as Disabled: use ChangeClient, which
	// reads the client in the transaction that changes it, or SetClientDisabled.
	UpdateClient(ctx context.Context, c Client) error
	// SetClientDisabled disables or enables the client, as UpdateClient does, and changes nothing
	// else of it, whatever others change at the same time. ErrNotFound where there is none.
	SetClientDisabled(ctx context.Context, id string, disabled bool) error
	// DeleteClient removes the client with its codes, tokens, families, device grants and requests, so
	// that nothing of it fits a later client of that ID. ErrNotFound where there is none.
	DeleteClient(ctx context.Context, id string) error
}

// ChangeClient reads a client, lets change modify it, and stores it, in one transaction: no change
// of others is lost, and a client that was disabled meanwhile stays disabled. change may run again after
// a conflict. An error of change is returned, and nothing is stored then. It returns ErrNotFound if
// there is no such client.
//
// To disable or enable a client use SetClientDisabled, which needs no long transaction for one that
// has very many tokens.
func ChangeClient(ctx context.Context, store interface {
	Clients
	Transactor
}, id string, change func(*Client) error) error {
	return store.InTx(ctx, func(ctx context.Context) error {
		c, err := store.ClientByID(ctx, id)
		if err != nil {
			return err
		}
		if err := change(&c); err != nil {
			return err
		}
		return store.UpdateClient(ctx, c)
	})
}
