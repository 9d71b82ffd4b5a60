// Package link finds the account of a user whom another issuer, such as an OpenID provider, has
// authenticated. Use it with jwt.VerifierOptions.Accounts for access tokens, and with the module
// contrib/oidclogin for "Sign in with" buttons. Create a [Directory] with [New].
//
// The key of a link is the issuer together with the issuer's subject. An e-mail address never
// identifies an account, even if the issuer has verified it: the address can be wrong, or it can
// belong to another person today. When a user logs in for the first time, your function
// [Options].First decides what happens.
//
// Limits: one account per user of an issuer, and storage.MaxLinks links per account.
package link

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Store contains the methods that a [Directory] needs. The stores of packages memory, gormstore and
// cached implement it.
type Store interface {
	storage.Links
	storage.Users
	storage.Subjects
	storage.Transactor
}

// Errors of a [Directory].
var (
	// ErrNoAccount means that the user has no link, and that Options.First refused or is nil. It
	// wraps [storage.ErrNotFound].
	ErrNoAccount = fmt.Errorf("link: no account for this user: %w", storage.ErrNotFound)
	// ErrTaken means that the issuer's user is already linked to an account, or that an account
	// exists with the name or ID of the account that Options.First wants to create. It wraps
	// [storage.ErrConflict].
	ErrTaken = fmt.Errorf("link: taken: %w", storage.ErrConflict)
)

// Options configure a [Directory]. nil means the defaults.
type Options struct {
	// First decides what happens to a user who has no link. It returns the result of [Create], [To]
	// or [Refuse]. If First is nil, all such users are refused.
	//
	// First runs in the transaction that stores the link, and it can run several times for one
	// user: if several first logins run at the same time, one of them is committed, and the others
	// get the account of the committed login. So First MUST write with the context that it
	// receives. It MUST NOT have other effects or wait for other servers.
	//
	// First is called again at each login or request of a user who was refused. If it returns an
	// [*authn.Error], the client gets this error. Any other error is answered with 503.
	First func(ctx context.Context, p Person) (Decision, error)
	// Audit receives the events link.created and link.deleted, and account.created if [Create]
	// created an account. nil drops the events.
	Audit *audit.Notifier
	// Clock returns the current time. nil means time.Now.
	Clock func() time.Time
}

// Decision is what an application decides at the first login of a user. The zero Decision refuses.
type Decision struct {
	subject string
	create  *storage.User
}

// Create creates u as an active account without a password, and links the user to the account. If
// u.ID is "", the ID is generated; the ID column of the account table must then accept text. If an
// account with the name u.Name exists, the login gets [ErrTaken], so that the user cannot take over
// that account.
func Create(u storage.User) Decision { return Decision{create: &u} }

// To links the user to the account with the ID subject. Use To for an account that First has just
// inserted into your own table, or for an invited user's account. The account MUST belong to the
// user, because anyone who can log in as this user at the issuer can log in to the account from
// then on.
func To(subject string) Decision { return Decision{subject: subject} }

// Refuse creates nothing. The login gets [ErrNoAccount].
func Refuse() Decision { return Decision{} }

// Directory finds and links accounts. It is safe for concurrent use.
type Directory struct {
	store Store
	opts  Options
	perms storage.Permissions // nil: the store has none
}

// New returns a directory of the accounts in store. opts can be nil. If store also implements
// [storage.Permissions], the method HasPerm of the accounts reads permissions from it. New returns
// an error if store is nil.
func New(store Store, opts *Options) (*Directory, error) {
	if store == nil {
		return nil, errors.New("link: New: store is required")
	}
	d := &Directory{store: store}
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.Clock == nil {
		d.opts.Clock = time.Now
	}
	if err := d.opts.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("link: New: %w", err)
	}
	d.perms, _ = store.(storage.Permissions)
	return d, nil
}

// AccountStore returns a value that identifies the store of the accounts. It implements
// [storage.AccountSource].
func (d *Directory) AccountStore() any { return storage.AccountStoreOf(d.store) }

// Permissions returns the store of the accounts' permissions, or nil if there is none.
func (d *Directory) Permissions() storage.Permissions { return d.perms }

// AccountOf returns the account of an issuer's user, with the current epoch of the account. If the
// user has no link, AccountOf calls Options.First. issuer and subject are the verified claims "iss"
// and "sub". The function claims decodes another verified claim, and can be nil.
//
// The caller MUST reject an account that is not active. AccountOf returns [ErrNoAccount],
// [ErrTaken], [storage.ErrLimit], the errors of Options.First, and [storage.ErrStale] if the
// account passed to [To] is absent or disabled. Any other error means that the store failed.
func (d *Directory) AccountOf(ctx context.Context, issuer, subject string, claims func(name string, v any) error) (storage.User, error) {
	_, u, err := d.store.LinkOf(ctx, issuer, subject)
	switch {
	case err == nil:
		return u.Leased(u.LeaseOf(d.store)), nil
	case !errors.Is(err, storage.ErrNotFound):
		return storage.User{}, err
	case d.opts.First == nil || authn.Explained(ctx): // Explain is a dry run
		return storage.User{}, ErrNoAccount
	}
	return d.first(ctx, Person{Issuer: issuer, Subject: subject, claims: claims})
}

// first is AccountOf for a user without a link.
func (d *Directory) first(ctx context.Context, p Person) (u storage.User, err error) {
	err = d.change(ctx, func(ctx context.Context) error {
		if _, u, err = d.store.LinkOf(ctx, p.Issuer, p.Subject); !errors.Is(err, storage.ErrNotFound) {
			return err // another login has created the link, or the store failed
		}
		decision, err := audit.Call("link.Options.First", func() (Decision, error) { return d.opts.First(ctx, p) })
		if err != nil {
			return err
		}
		subject, err := d.decided(ctx, decision)
		if err != nil {
			return err
		}
		epoch, err := d.store.SubjectEpoch(ctx, subject)
		if err != nil {
			return err
		}
		if _, err := d.create(ctx, subject, epoch, p); err != nil {
			return err
		}
		u, err = d.store.UserByID(ctx, subject)
		return err
	})
	if !errors.Is(err, storage.ErrConflict) {
		return u, err
	}
	// Another login committed at the same time, or the account exists. Read in a transaction, which
	// no cache answers.
	again := d.store.InTx(ctx, func(ctx context.Context) (err error) {
		_, u, err = d.store.LinkOf(ctx, p.Issuer, p.Subject)
		return err
	})
	if errors.Is(again, storage.ErrNotFound) {
		return storage.User{}, fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return u, again
}

// decided returns the account of a decision, and inserts it if necessary.
func (d *Directory) decided(ctx context.Context, decision Decision) (subject string, err error) {
	u := decision.create
	if u == nil {
		if decision.subject == "" {
			return "", ErrNoAccount
		}
		return decision.subject, nil
	}
	u.ID, u.Active = cmp.Or(u.ID, rand.Text()), true
	if u.Created.IsZero() {
		u.Created = d.opts.Clock().UTC().Truncate(time.Microsecond)
	}
	if err := d.store.CreateUser(ctx, *u); err != nil {
		return "", err
	}
	d.opts.Audit.Notify(ctx, audit.Event{Kind: audit.AccountCreated, Subject: u.ID})
	return u.ID, nil
}

// create inserts a link.
func (d *Directory) create(ctx context.Context, subject string, epoch int64, p Person) (storage.Link, error) {
	l := storage.Link{Issuer: p.Issuer, Foreign: p.Subject, ID: rand.Text(), Subject: subject, Created: d.opts.Clock().UTC().Truncate(time.Microsecond)}
	if err := d.store.CreateLink(ctx, l, epoch); err != nil {
		return storage.Link{}, err
	}
	d.opts.Audit.Notify(ctx, audit.Event{Kind: audit.LinkCreated, Subject: subject, Credential: l.ID})
	return l, nil
}

// change runs fn in a transaction, and again if the database aborts it in favor of another one.
func (d *Directory) change(ctx context.Context, fn func(context.Context) error) error {
	inTx := d.store.InTx
	if again, ok := d.store.(storage.Retrier); ok {
		inTx = again.InRetriedTx
	}
	return d.opts.Audit.Change(ctx, d.store, func(ctx context.Context) error { return inTx(ctx, fn) })
}

// Link links an issuer's user to the existing account subject. foreign is the issuer's "sub" of the
// user. Before the call, the caller must check two things: the session is a recent login to the
// account, with this epoch, and the issuer's response belongs to a flow that this session began.
// Link returns [ErrTaken] if the issuer's user is already linked, [storage.ErrStale] if the account
// changed after epoch was read, and [storage.ErrLimit] if the account has too many links.
func (d *Directory) Link(ctx context.Context, subject string, epoch int64, issuer, foreign string) (l storage.Link, err error) {
	err = d.change(ctx, func(ctx context.Context) error {
		l, err = d.create(ctx, subject, epoch, Person{Issuer: issuer, Subject: foreign})
		return err
	})
	if errors.Is(err, storage.ErrConflict) {
		err = ErrTaken
	}
	if err != nil {
		return storage.Link{}, err
	}
	return l, nil
}

// Links returns the links of an account, the oldest first.
func (d *Directory) Links(ctx context.Context, subject string) ([]storage.Link, error) {
	return d.store.ListLinks(ctx, subject)
}

// Unlink deletes a link and logs the account out everywhere, because sessions and tokens do not
// record whether they were issued through the link. To keep the caller's own session, start a new
// session afterwards. Unlink returns [storage.ErrNotFound] if the account has no such link.
func (d *Directory) Unlink(ctx context.Context, subject, id string) error {
	return d.opts.Audit.Change(ctx, d.store, func(ctx context.Context) error {
		err := d.store.DeleteLink(ctx, subject, id)
		if err == nil {
			d.opts.Audit.Notify(ctx, audit.Event{Kind: audit.LinkDeleted, Subject: subject, Credential: id})
		}
		return err
	})
}

// Linked returns the ID of the account of an issuer's user. It never calls Options.First. The
// account can be disabled. Linked returns [storage.ErrNotFound] if there is no link.
func (d *Directory) Linked(ctx context.Context, issuer, subject string) (account string, err error) {
	l, _, err := d.store.LinkOf(ctx, issuer, subject)
	return l.Subject, err
}

// Epoch returns the current epoch of an account, for a session that begins after
// [Directory.Unlink].
func (d *Directory) Epoch(ctx context.Context, subject string) (int64, error) {
	return d.store.SubjectEpoch(ctx, subject)
}
