package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Client is an OAuth 2.0 client: an application that acts for users or for itself.
type Client struct {
	// ID is the "client_id".
	ID   string
	Name string
	// Method is how the client authenticates: "none" for a public client, "client_secret_basic",
	// "client_secret_post" or "private_key_jwt" (RFC 7591, section 2).
	Method string
	// Secret is the digest of a generated secret; zero if there is none.
	Secret Digest
	// Password is the hash of a chosen secret; "" if there is none. A client has at most one of
	// Secret and Password.
	Password PasswordHash
	// Registration is the digest of the token with which the client manages its own registration
	// (RFC 7592); zero if it did not register itself.
	Registration Digest
	// Keys is a JWK Set with the client's public keys, for "private_key_jwt". KeysURI is the URL of
	// such a set ("jwks_uri"). A client has at most one of them.
	Keys    []byte
	KeysURI string
	// Native means that the client runs on the user's machine: its redirect URIs with a loopback
	// address match any port (RFC 8252, section 7.3).
	Native bool
	// RedirectURIs are the URIs to which the authorization endpoint may redirect the browser.
	// LogoutURIs are the URIs to which a logout may redirect it. Both are compared byte for byte.
	RedirectURIs, LogoutURIs []string
	// Grants are the grant types that the client may use.
	Grants []string
	// Scopes are the scopes that the client may request. Default are the scopes that a request
	// without scopes gets.
	Scopes, Default []string
	// Resources are the resources for which the client may request tokens (RFC 8707). They give no
	// right to introspect; see Serves.
	Resources []string
	// Serves are the resources for which this client is the resource server. It may introspect
	// access tokens of any client for them. Only an administrator sets it; the client's own
	// registration (RFC 7591) never does.
	Serves []string
	// RequirePushed rejects authorization requests that the client did not push (RFC 9126, section
	// 6).
	RequirePushed bool
	// AccessTTL, RefreshTTL and AbsoluteTTL shorten the lifetimes of the client's access tokens,
	// refresh tokens and grants. 0 means the server's lifetime; a longer one has no effect. Stores
	// keep microseconds.
	AccessTTL, RefreshTTL, AbsoluteTTL time.Duration
	// Document describes the client ID metadata document from which the record was made.
	Document ClientDocument
	// Trusted marks first-party clients, for which users are not asked for consent. Exceptions are
	// implicit grants, and public clients with a redirect URI that any program on the user's
	// machine can use.
	Trusted bool
	// Disabled clients can do nothing. If UpdateClient disables or enables a client, it permanently
	// revokes the client's grants and tokens.
	Disabled bool
	// Created is when the client was created. Always set it: if a client is deleted and another one
	// gets its ID, the different Created makes the signed access tokens of the deleted client
	// invalid.
	Created time.Time
	// Revoked is when UpdateClient last disabled or enabled the client, by the store's clock, in
	// microseconds; zero means never. Only the store sets it. See Epoch.
	Revoked time.Time
}

// ClientDocument tells how a client relates to its client ID metadata document: a document at the
// URL that is the client's ID (draft-ietf-oauth-client-id-metadata-document).
type ClientDocument struct {
	// Fetched is when the document was read, and zero if the record was not made from a document.
	// The record is used without reading it again until Fresh.
	Fetched, Fresh time.Time
	// Changed is when the name or the redirect URIs last changed. Consents from before are not
	// remembered.
	Changed time.Time
	// Pinned means that an administrator registered a client whose ID is a URL. Its document is
	// never read. It is only set if Fetched is zero.
	Pinned bool
}

// FromDocument reports whether the record was made from a client ID metadata document. Nobody at
// the server has verified such a client.
func (c *Client) FromDocument() bool { return !c.Document.Fetched.IsZero() }

// MaxClientBytes is the maximum total length of the lists and keys of a client, in bytes.
const MaxClientBytes = 64 << 10

// NoExpiry is a value of the option UnusedClients of a store. It keeps all clients.
const NoExpiry time.Duration = -1

// UnusedClientAge returns the age at which Prune removes an unused client. The argument is the
// option UnusedClients of a store: 0 gives 30 days, and a negative value gives NoExpiry.
//
// A client is unused if it registered itself (Registration) and has no code, family, consent,
// access token, device grant or request. A used code, and therefore its client, stays until
// Code.Kept, the end of the maximum lifetime of its grant. With the defaults of a server, this is
// 90 days after the last login. Clients with Trusted or Serves are never removed. Neither are disabled
// clients, whose ID must stay blocked, nor clients with the grant client_credentials, because their
// tokens leave no record.
func UnusedClientAge(option time.Duration) time.Duration {
	switch {
	case option < 0:
		return NoExpiry
	case option == 0:
		return 30 * 24 * time.Hour
	}
	return option
}

// Public reports whether the client is public: it cannot keep a secret.
func (c *Client) Public() bool { return c.Method == "none" }

// Check returns ErrInvalid, with the reason, if the client cannot be stored.
func (c *Client) Check() error {
	errs := []error{CheckID("client id", c.ID), checkText("client name", c.Name), CheckID("authentication method", c.Method)}
	size := len(c.Keys) + len(c.KeysURI)
	switch {
	case c.KeysURI != "" && (!plain(c.KeysURI) || len(c.Keys) > 0):
		errs = append(errs, fmt.Errorf("%w: client with a key URI that is not printable ASCII without spaces, or with keys too", ErrInvalid))
	case c.AccessTTL < 0 || c.RefreshTTL < 0 || c.AbsoluteTTL < 0:
		errs = append(errs, fmt.Errorf("%w: client with a negative lifetime", ErrInvalid))
	case c.FromDocument() && c.Document.Pinned:
		errs = append(errs, fmt.Errorf("%w: client that is both pinned and made from a document", ErrInvalid))
	}
	for _, list := range [][]string{c.RedirectURIs, c.LogoutURIs, c.Grants, c.Scopes, c.Default, c.Resources, c.Serves} {
		for _, s := range list {
			size += len(s)
			if !plain(s) {
				errs = append(errs, fmt.Errorf("%w: a list entry of the client is empty or is not printable ASCII without spaces", ErrInvalid))
			}
		}
	}
	if size > MaxClientBytes {
		errs = append(errs, fmt.Errorf("%w: client of %d bytes (at most %d)", ErrInvalid, size, MaxClientBytes))
	}
	if !c.Secret.IsZero() && c.Password != "" {
		errs = append(errs, fmt.Errorf("%w: client with two secrets", ErrInvalid))
	}
	return errors.Join(errs...)
}

// plain reports whether s is printable ASCII without spaces, and not empty.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// Clients stores OAuth 2.0 clients.
type Clients interface {
	// ClientByID returns the client, disabled or not. If there is none, or the id is malformed, it
	// returns ErrNotFound. Within InTx the client is locked until the transaction ends. So you can
	// change the client with UpdateClient without losing other changes.
	ClientByID(ctx context.Context, id string) (Client, error)
	// ListClients returns up to limit clients with ID > after, in order of ID. If after is "", the
	// list starts at the beginning.
	ListClients(ctx context.Context, after string, limit int) ([]Client, error)
	// CreateClient inserts c. It returns ErrConflict if its ID exists, and ErrInvalid if c.Check
	// rejects c.
	CreateClient(ctx context.Context, c Client) error
	// UpdateClient replaces the record of the client except Created and Revoked. It returns
	// ErrNotFound if there is no such client, and ErrInvalid if c.Check rejects c.
	//
	// If the client was disabled before the call, or the call disables it, the call also changes
	// Revoked. Like DeleteClient, it then removes the client's codes, tokens, families, device
	// grants, requests and consents. So a client that is enabled again has none of its old records.
	// If a call that enables a client fails, the client stays disabled. A new secret or new keys
	// remove nothing.
	//
	// UpdateClient overwrites concurrent changes, for example a change of Disabled. Use
	// [ChangeClient], which reads the client in the same transaction, or SetClientDisabled.
	UpdateClient(ctx context.Context, c Client) error
	// SetClientDisabled disables or enables the client, as UpdateClient does, and leaves all other
	// fields unchanged. It returns ErrNotFound if there is no such client.
	SetClientDisabled(ctx context.Context, id string, disabled bool) error
	// DeleteClient deletes the client with its codes, tokens, families, device grants and requests,
	// so that nothing belongs to a later client with that ID. It returns ErrNotFound if there is no
	// such client.
	DeleteClient(ctx context.Context, id string) error
}

// ChangeClient reads a client, calls change to modify it, and stores it, in one transaction, so no
// concurrent change is lost. The function change may be called again after a conflict. If change
// returns an error, ChangeClient stores nothing and returns that error. It returns ErrNotFound if
// there is no such client.
//
// To disable or enable a client use SetClientDisabled, which does not need a long transaction for a
// client with very many tokens.
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
