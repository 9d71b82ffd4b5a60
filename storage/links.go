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
// e-mail address is never part of the key, because an address can be unverified, and can later
// belong to another person.
type Link struct {
	// Issuer is the identifier of the issuer ("iss"). Foreign is the issuer's identifier of the
	// user ("sub").
	Issuer, Foreign string
	// ID identifies the link in lists, and when it is deleted. The ID is random and not a secret.
	ID string
	// Subject is the ID of the account of this application.
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
	// CreateLink inserts l. After an error, nothing has changed. Errors:
	//
	//   - ErrConflict: the issuer's user already has a link, to this or another account, or the
	//     account has a link with that ID. If several calls for the same user of an issuer run at
	//     the same time, only one of them succeeds.
	//   - ErrStale: the account is absent or disabled, or its epoch differs from the argument
	//     epoch. Read the epoch before you verify that the caller owns the account.
	//   - ErrLimit: the account already has MaxLinks links.
	//   - ErrInvalid: l.Check rejects l.
	CreateLink(ctx context.Context, l Link, epoch int64) error
	// ListLinks returns the links of the account, the oldest first. Links of the same time are
	// ordered by ID.
	ListLinks(ctx context.Context, subject string) ([]Link, error)
	// DeleteLink deletes the account's link with that ID, bumps the epoch of the account, and
	// deletes the static token, the credentials and the sessions of the account, in one change. All
	// credentials are revoked because sessions and tokens do not record whether they were issued
	// through the link. DeleteLink returns ErrNotFound if the account has no such link, or if the
	// link was already deleted.
	//
	// Deleting the account deletes its links, too.
	DeleteLink(ctx context.Context, subject, id string) error
}
