package storage

import (
	"context"
	"errors"
	"time"
)

// MaxLinks is the maximum number of links of an account.
const MaxLinks = 32

// Link binds a user of another issuer, such as an OpenID provider, to an account of this
// application. The key is the issuer together with the issuer's subject, compared byte for byte. An
// e-mail address is never part of it: addresses can be unverified, and can be given to somebody else.
type Link struct {
	// Issuer is the identifier of the issuer ("iss"), and Foreign its identifier of the user ("sub").
	Issuer, Foreign string
	// ID identifies the link in lists and for its deletion. It is random and not a secret.
	ID string
	// Subject is the account of this application.
	Subject string
	Created time.Time
}

// Check returns ErrInvalid, with the reason, if l cannot be stored. CreateLink calls it.
func (l *Link) Check() error {
	return errors.Join(CheckID("issuer", l.Issuer), CheckID("subject of the issuer", l.Foreign), CheckID("link id", l.ID), CheckID("subject", l.Subject))
}

// Links stores links. Package authn/link creates them at the first login.
type Links interface {
	// LinkOf returns the link of another issuer's user, and its account with the current epoch in
	// User.Epoch, in one round trip to the database. The account can be disabled. It returns
	// ErrNotFound if the link or its account is absent, or if a name is malformed.
	LinkOf(ctx context.Context, issuer, foreign string) (Link, User, error)
	// CreateLink inserts l. Errors change nothing:
	//
	//   - ErrConflict: the issuer's user has a link already, to this or another account, or the
	//     account has a link with that ID. Of several concurrent calls for one user of an issuer,
	//     one succeeds.
	//   - ErrStale: the account is absent or disabled, or its epoch is not epoch. Read the epoch
	//     before you verify that the caller owns the account.
	//   - ErrLimit: the account has MaxLinks links.
	//   - ErrInvalid: l.Check rejects l.
	CreateLink(ctx context.Context, l Link, epoch int64) error
	// ListLinks returns the links of the account, the oldest first, then by ID.
	ListLinks(ctx context.Context, subject string) ([]Link, error)
	// DeleteLink deletes the account's link with that ID, bumps the epoch of the account, and deletes
	// its static token, credentials and sessions, in one change. So everything ends that was opened
	// through the link, together with the other credentials of the account: a session opened
	// through the link may have issued tokens, which do not record where they come from. It returns
	// ErrNotFound if there is no such link or it was already deleted.
	//
	// Deleting the account deletes its links, too.
	DeleteLink(ctx context.Context, subject, id string) error
}
