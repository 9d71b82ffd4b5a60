package password

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// MaxLength is the longest password, in bytes. A longer one is refused before
// anything is hashed.
const MaxLength = 1024

// MinLengthAlone is the least length of a password that is the only factor of a login, in characters
// (NIST SP 800-63B-4, section 3.1.1.2).
const MinLengthAlone = 15

// Store is what a Checker needs. Where it is a storage.Permissions too, the
// accounts it returns can be asked HasPerm.
type Store interface {
	storage.Users
	storage.Accounts
	storage.Transactor
}

// Options change a Checker; nil is fine.
type Options struct {
	// Canonical brings a name to its normal form, or refuses it. nil is ASCII;
	// authn/username has the Unicode form. The limits, the look-up and the store
	// see the normal form alone.
	Canonical func(name string) (string, error)
	// Space is the name space of the accounts: limits count the same name in two spaces as two
	// accounts. "" is that of the store (storage.SpaceOf).
	Space string
	// Limiter counts attempts before they are hashed. nil is a limiter in the memory of this
	// process, with the default limits of package throttle and without device cookies. Set
	// your own for device cookies, and if several processes share the accounts.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter does not limit attempts: passwords can then be guessed as fast as the
	// hasher computes. Use it in tests, or if something in front of the server limits logins.
	InsecureNoLimiter bool
	// Proxies are trusted to report the client's address, for the limiter of a nil Limiter and
	// for Cached. Set it behind a reverse proxy; otherwise all clients share one address, and
	// one limit.
	Proxies authn.TrustedProxies
	// FailureFloor is how long a failed login takes at least, a wait for the hasher
	// not counted, so that its time tells nothing. 0 is 500 ms, or twice the estimated time of
	// the slowest hash that a login met, if that is longer. Keep your own value above twice
	// the slowest hash that is stored. The floor's wait holds no slot of the hasher.
	FailureFloor time.Duration
	// Rehash says whether a login replaces a hash of an older format or cost. The default does;
	// set RehashNever while an old program reads the same table.
	Rehash Rehash
	// Verbatim hashes and compares passwords as they are typed, as Django does. Set it for a
	// table that a program shares which does not bring passwords to NFC.
	Verbatim bool
	// MinLength of a new password, in characters of its NFC form; 0 is 8. Set it to
	// MinLengthAlone if the password is the only factor of a login.
	MinLength int
	// Words are those of the service, such as its name. A new password that is nothing but one
	// of them, or the account's name or e-mail address, with some digits or marks is refused.
	Words []string
	// InsecureAllowCommon accepts new passwords that are among the first to be tried: those of
	// a list of 20,000, with or without a year, repetitions, keyboard walks, and the account's
	// own name. For lists of breached passwords use Validate.
	InsecureAllowCommon bool
	// Validate is told the password in the form that is hashed. It may refuse a new password with Refused("…") or another *authn.Error.
	// Any other error means that it could not tell, and is passed on.
	Validate func(ctx context.Context, u storage.User, password string) error
	// User makes the application's own account of the record. nil leaves
	// *storage.Account.
	User func(context.Context, storage.Account) (authn.User, error)
	// Logger is told of a failed rehash; nil is slog.Default().
	Logger *slog.Logger
	// Clock and Sleep are time.Now and a wait that ends with its context where nil.
	Clock func() time.Time
	Sleep func(context.Context, time.Duration)
}

// Checker checks names and passwords against a store. It is safe for concurrent
// use.
type Checker struct {
	store  Store
	perms  storage.Permissions
	hasher *Hasher
	opts   Options
	clock  func() time.Time // as given: nil is the system's
}

var _ authn.PasswordChecker = (*Checker)(nil)

// New returns a checker.
func New(store Store, hasher *Hasher, opts *Options) (*Checker, error) {
	if store == nil || hasher == nil {
		return nil, errors.New("password: a store and a hasher are needed")
	}
	c := &Checker{store: store, hasher: hasher}
	if opts != nil {
		c.opts = *opts
	}
	o := &c.opts
	switch {
	case o.FailureFloor < 0:
		return nil, fmt.Errorf("password: New: FailureFloor %v is below 0", o.FailureFloor)
	case o.MinLength < 0 || o.MinLength > hasher.format.maxLength():
		return nil, fmt.Errorf("password: New: MinLength %d out of range (0 to %d)", o.MinLength, hasher.format.maxLength())
	case o.Rehash > RehashNever:
		return nil, fmt.Errorf("password: New: Rehash %d (accepted are RehashUpgrade and RehashNever)", o.Rehash)
	}
	if o.Canonical == nil {
		o.Canonical = ASCII
	}
	if o.MinLength == 0 {
		o.MinLength = 8
	}
	c.clock = o.Clock
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Space == "" {
		o.Space = storage.SpaceOf(store)
	}
	c.perms, _ = store.(storage.Permissions)
	if err := o.limit(); err != nil {
		return nil, err
	}
	return c, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// ASCII is the default normal form of names: 1 to 150 ASCII letters, digits and
// @ . + - _, the letters in lower case, without a dot at either end. Everything
// else is refused, blanks and the letters whose small form is ASCII (the Kelvin
// sign, the dotted İ) included.
func ASCII(name string) (string, error) {
	if name == "" || len(name) > 150 || name[0] == '.' || name[len(name)-1] == '.' {
		return "", errName
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("@.+-_", c) >= 0) {
			return "", errName
		}
	}
	return strings.ToLower(name), nil
}

//lint:ignore ST1005 a sentence for the user
var errName = errors.New("Enter a valid username. It may hold letters, digits and @ . + - _ only.")

// CheckPassword implements authn.PasswordChecker.
//
// A wrong password, an unknown name, a disabled account and one without a usable
// password give the same authn.InvalidLogin after the same work: one hash, or two
// if the password is not in NFC, and the floor. A password of more than MaxLength bytes is a 400 before any of it, a
// reached limit a 429, a full hash queue an *authn.Unavailable, and an error of
// the store is passed on.
func (c *Checker) CheckPassword(r *http.Request, name, password string) (authn.Login, error) {
	login, _, err := c.check(r, name, password)
	return login, err
}

func (c *Checker) check(r *http.Request, name, password string) (authn.Login, storage.User, error) {
	start := c.opts.Clock()
	ctx := r.Context()
	if len(password) > MaxLength {
		return authn.Login{}, storage.User{}, errTooLong
	}
	name, nameErr, err := c.canonical(name)
	if err != nil {
		return authn.Login{}, storage.User{}, err
	}
	attempt, err := c.opts.Limiter.Reserve(r, c.opts.Space+"\x00"+name)
	if err != nil {
		return authn.Login{}, storage.User{}, err
	}
	v, err := c.verify(ctx, attempt, name, nameErr, password)
	u := v.user
	switch {
	case errors.Is(err, errTooMany):
		return authn.Login{}, storage.User{}, errors.Unwrap(err)
	case err != nil:
		if !v.hashed { // else it would be a guess that costs nothing
			attempt.Cancelled(ctx)
		}
		return authn.Login{}, storage.User{}, err
	case v.reason != nil:
		if d := start.Add(v.waited + c.floor()).Sub(c.opts.Clock()); d > 0 {
			if err := c.sleep(ctx, d); err != nil {
				return authn.Login{}, storage.User{}, err
			}
		}
		return authn.Login{}, storage.User{}, authn.InvalidLogin().WithCause(v.why())
	}
	cookies := attempt.Succeeded(ctx)
	if v.outdated && c.opts.Rehash == RehashUpgrade && !authn.Explained(ctx) {
		u.Password = c.rehash(ctx, u, password)
	}
	login, err := c.login(ctx, u)
	if err != nil {
		return authn.Login{}, storage.User{}, err
	}
	login.Cookies = cookies
	return login, u, nil
}

// verify computes one hash for each form of the password, whoever it is. The error says that it
// could not be decided.
func (c *Checker) verify(ctx context.Context, attempt authn.LoginAttempt, name string, nameErr error, password string) (v verdict, err error) {
	if nameErr != nil {
		v.reason = nameErr
	} else if v.user, err = c.store.UserByName(ctx, name); errors.Is(err, storage.ErrNotFound) {
		v.user, v.reason = storage.User{}, errUnknown
	} else if err != nil {
		return verdict{}, err
	} else if !v.user.Active {
		v.reason = errDisabled
	}
	if a, ok := attempt.(authn.AccountAttempt); ok {
		if err := a.Account(ctx, v.user.ID, v.user.Epoch); err != nil {
			return verdict{}, tooMany{err}
		}
	}
	asker := askerOf(attempt, c.opts.Space+"\x00"+name)
	if id := authn.FromContext(ctx); id.Subject != "" && id.Subject == v.user.ID && id.Issuer == "" && !id.Delegated() {
		asker = c.owner(name) // such as a session's user who changes the password
	}
	ok, err := c.match(ctx, asker, password, &v)
	switch {
	case err != nil:
		return v, err
	case v.reason != nil:
	case ok:
	case !usable(v.user.Password):
		v.reason = errUnusable
	default:
		v.reason = errWrong
	}
	return v, nil
}

// rehash exchanges the hash for one of the present parameters, unless somebody
// changed the password meanwhile. What fails here does not fail the login.
func (c *Checker) rehash(ctx context.Context, u storage.User, password string) storage.PasswordHash {
	password = c.normal(password)
	if len(password) > c.hasher.format.maxLength() {
		return u.Password // it stays good as it is
	}
	hash, err := c.hasher.hashFor(ctx, c.owner(u.Name), password)
	if err == nil {
		err = c.store.ReplaceHash(ctx, u.ID, u.Password, hash)
	}
	if err != nil {
		log := c.opts.Logger
		if log == nil {
			log = slog.Default()
		}
		log.LogAttrs(ctx, slog.LevelWarn, "password hash was not renewed", slog.String("subject", u.ID), slog.Any("error", err))
		return u.Password
	}
	return hash
}

func (c *Checker) login(ctx context.Context, u storage.User) (authn.Login, error) {
	l := authn.Login{Subject: u.ID, Name: u.Name, Roles: u.Roles, Epoch: u.Epoch}
	account := u.WithPermissions(c.perms)
	if c.opts.User == nil {
		l.User = account
		return l, nil
	}
	var err error
	if l.User, err = audit.Call("password.Options.User", func() (authn.User, error) { return c.opts.User(ctx, account.Clone()) }); err != nil {
		return authn.Login{}, err
	}
	return l, nil
}

var errTooLong = authn.FieldError("password", "Ensure this field has no more than 1024 characters.")
