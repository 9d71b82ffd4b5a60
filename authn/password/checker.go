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

// MaxLength is the maximum length of a password in bytes. Longer passwords are rejected before
// hashing.
const MaxLength = 1024

// MinLengthAlone is the minimum length, in characters, of a password that is the only factor of a
// login (NIST SP 800-63B-4, section 3.1.1.2). Use it for Options.MinLength.
const MinLengthAlone = 15

// Store holds the accounts of a [Checker]. If it is also a storage.Permissions, the accounts that
// the checker returns have a working HasPerm.
type Store interface {
	storage.Users
	storage.Accounts
	storage.Transactor
}

// Options configure a [Checker]. A nil *Options means all defaults.
type Options struct {
	// Canonical returns the normal form of an account name, or an error if the name is invalid. The
	// limits and the store use only the normal form. Nil means [ASCII]; package authn/username has
	// a Unicode form.
	Canonical func(name string) (string, error)
	// Space is the name space of the accounts. Limits count the same name in two spaces as two
	// accounts. "" means the store's name space (storage.SpaceOf).
	Space string
	// Limiter counts attempts before they are hashed. Nil means a limiter in the memory of this
	// process, with the default limits of package throttle and without device cookies. Set your own
	// to use device cookies, or if several processes share the accounts.
	Limiter authn.LoginLimiter
	// InsecureNoLimiter turns limits off, so passwords can be guessed at the full speed of the
	// hasher. Set it only in tests, or if something in front of the server limits logins.
	InsecureNoLimiter bool
	// Proxies are trusted to report the client's address, for the default limiter and for Cached.
	// Set it behind a reverse proxy; otherwise all clients share one address and one limit.
	Proxies authn.TrustedProxies
	// FailureFloor is the minimum time of a failed login, excluding the wait for the hasher, so
	// that its duration reveals nothing. 0 means 500 ms, or twice the estimated time of the slowest
	// hash that a login has met, if that is longer. If you set a value, it should be more than
	// twice the time of the slowest stored hash. The checker waits without holding a slot of the
	// hasher.
	FailureFloor time.Duration
	// Rehash determines whether a login replaces a hash of an older format or cost; the default
	// replaces it. Set RehashNever while an old program reads the same table.
	Rehash Rehash
	// Verbatim hashes and compares passwords as typed, as Django does. Set it if another program
	// shares the table and does not normalize passwords to NFC.
	Verbatim bool
	// MinLength is the minimum length of a new password in characters of its NFC form; 0 means 8.
	// Set MinLengthAlone if the password is the only factor of a login.
	MinLength int
	// Words are words of the service, such as its name. A new password is rejected if it consists
	// only of such a word, or of the account's name or e-mail address, plus some digits or
	// punctuation.
	Words []string
	// InsecureAllowCommon accepts new passwords that attackers try first: 20,000 listed passwords,
	// with or without a year, repetitions, keyboard patterns, and the account's own name. To check
	// lists of breached passwords, use Validate.
	InsecureAllowCommon bool
	// Validate checks a new password in the form that is hashed. It rejects the password with
	// Refused("…") or another *authn.Error. Any other error means that the check failed; it is
	// returned to the caller.
	Validate func(ctx context.Context, u storage.User, password string) error
	// User returns the application's account for a stored account. Nil means *storage.Account.
	User func(context.Context, storage.Account) (authn.User, error)
	// Audit receives an event for each new account and each new password. Nil means none.
	Audit *audit.Notifier
	// Logger receives failed rehashes, at Warn; nil means slog.Default().
	Logger *slog.Logger
	// Clock returns the current time; nil means time.Now. Sleep waits until the duration or the
	// context ends; nil means a timer.
	Clock func() time.Time
	Sleep func(context.Context, time.Duration)
}

// Checker checks names and passwords against a store. It is safe for concurrent use.
type Checker struct {
	store Store
	perms storage.Permissions
	// accounts identifies the accounts of store.
	accounts any
	hasher   *Hasher
	opts     Options
	clock    func() time.Time // Options.Clock; nil means the system clock
}

var _ authn.PasswordChecker = (*Checker)(nil)

// New returns a checker. It returns an error if store or hasher is nil, or if an option is out of
// range.
func New(store Store, hasher *Hasher, opts *Options) (*Checker, error) {
	if store == nil || hasher == nil {
		return nil, errors.New("password: New: store and hasher are required")
	}
	c := &Checker{store: store, accounts: storage.AccountStoreOf(store), hasher: hasher}
	if opts != nil {
		c.opts = *opts
	}
	o := &c.opts
	switch {
	case o.FailureFloor < 0:
		return nil, fmt.Errorf("password: New: FailureFloor %v is negative (at least 0)", o.FailureFloor)
	case o.MinLength < 0 || o.MinLength > hasher.format.maxLength():
		return nil, fmt.Errorf("password: New: MinLength %d out of range (0 to %d)", o.MinLength, hasher.format.maxLength())
	case o.Rehash > RehashNever:
		return nil, fmt.Errorf("password: New: invalid Rehash %d (RehashUpgrade or RehashNever)", o.Rehash)
	}
	if o.Canonical == nil {
		o.Canonical = ASCII
	}
	if o.MinLength == 0 {
		o.MinLength = 8
	}
	if err := o.Audit.CheckStore(store); err != nil {
		return nil, fmt.Errorf("password: New: %w", err)
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

// ASCII is the default for Options.Canonical: 1 to 150 ASCII letters, digits and @ . + - _,
// converted to lower case, without a dot at either end. It rejects all other names, including white
// space and the non-ASCII letters whose lower case is ASCII (the Kelvin sign, the dotted İ).
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

// CheckPassword implements [authn.PasswordChecker].
//
// A wrong password, an unknown name, a disabled account and an account without a usable password
// all return [authn.InvalidLogin]. Each of them takes one hash, or two if the password is not in
// NFC, and at least Options.FailureFloor.
//
// It returns an *authn.Error with status 400 if the password is longer than MaxLength, and with 429
// if a limit is reached, both before hashing. It returns an *authn.Unavailable if the queue of the
// hasher is full. It returns errors of the store unchanged.
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
		if !v.hashed { // after a hash the attempt must count, or a guess would be free
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

// verify computes one hash for each form of the password, for known and unknown accounts alike. An
// error means that the check failed.
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
	caller := callerOf(attempt, c.opts.Space+"\x00"+name)
	if id := authn.FromContext(ctx); id.Subject != "" && id.Subject == v.user.ID && id.Issuer == "" && !id.Delegated() && (id.Store() == nil || storage.SameAccounts(id.Store(), c.accounts)) {
		caller = c.owner(name) // for example the user of a session who changes the password
	}
	ok, err := c.match(ctx, caller, password, &v)
	switch {
	case err != nil:
		return v, err
	case v.reason != nil:
	case ok:
	case !Usable(v.user.Password):
		v.reason = errUnusable
	default:
		v.reason = errWrong
	}
	return v, nil
}

// rehash replaces the hash with one with the current parameters, unless the password was changed
// meanwhile. A failure does not fail the login.
func (c *Checker) rehash(ctx context.Context, u storage.User, password string) storage.PasswordHash {
	password = c.normal(password)
	if len(password) > c.hasher.format.maxLength() {
		return u.Password // the old hash stays valid
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
		log.LogAttrs(ctx, slog.LevelWarn, "password hash not renewed", slog.String("subject", u.ID), slog.Any("error", err))
		return u.Password
	}
	return hash
}

func (c *Checker) login(ctx context.Context, u storage.User) (authn.Login, error) {
	l := authn.Login{Subject: u.ID, Name: u.Name, Roles: u.Roles, Epoch: u.Epoch, AMR: []string{"pwd"}}
	l.SetStore(c.accounts)
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
