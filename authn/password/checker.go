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
	// Limiter counts attempts before they are hashed; nil does not. A server that
	// others can reach has one: see authn/throttle.
	Limiter authn.LoginLimiter
	// FailureFloor is how long a failed login takes at least, a wait for the hasher
	// not counted, so that its time tells nothing; 0 is 500 ms. Keep it above the
	// slowest hash that is stored. The floor's wait holds no slot of the hasher.
	FailureFloor time.Duration
	// MinLength of a new password, in characters; 0 is 8.
	MinLength int
	// Validate may refuse a new password with Refused("…") or another *authn.Error.
	// Any other error means that it could not tell, and is passed on.
	Validate func(ctx context.Context, u storage.User, password string) error
	// User makes the application's own account of the record. nil leaves
	// *storage.User.
	User func(context.Context, storage.User) (authn.User, error)
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
	if o.FailureFloor < 0 || o.MinLength < 0 || o.MinLength > MaxLength {
		return nil, errors.New("password: a floor or a least length out of range")
	}
	if o.Canonical == nil {
		o.Canonical = ASCII
	}
	if o.FailureFloor == 0 {
		o.FailureFloor = 500 * time.Millisecond
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
	c.perms, _ = store.(storage.Permissions)
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
// password give the same authn.InvalidLogin after the same work: one hash, and
// the floor. A password of more than MaxLength bytes is a 400 before any of it, a
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
	name, nameErr := c.canonical(name)
	attempt, err := c.reserve(r, name)
	if err != nil {
		return authn.Login{}, storage.User{}, err
	}
	v, err := c.verify(ctx, attempt.Source(), name, nameErr, password)
	u := v.user
	switch {
	case err != nil:
		attempt.Cancelled(ctx)
		return authn.Login{}, storage.User{}, err
	case v.reason != nil:
		if d := start.Add(v.waited + c.opts.FailureFloor).Sub(c.opts.Clock()); d > 0 {
			c.opts.Sleep(ctx, d)
		}
		return authn.Login{}, storage.User{}, authn.InvalidLogin().With(v.why())
	}
	cookies := attempt.Succeeded(ctx)
	if v.outdated {
		u.Password = c.rehash(ctx, attempt.Source(), u, password)
	}
	login, err := c.login(ctx, u)
	if err != nil {
		return authn.Login{}, storage.User{}, err
	}
	login.Cookies = cookies
	return login, u, nil
}

// canonical returns the normal form of a name. Every name that has none is
// counted as one account, which nobody has.
func (c *Checker) canonical(name string) (string, error) {
	form, err := "", storage.CheckID("user name", name)
	if err == nil {
		form, err = c.opts.Canonical(name)
	}
	if err == nil && form != name {
		err = storage.CheckID("user name", form)
	}
	if err != nil {
		return "\x00no name", err
	}
	return form, nil
}

func (c *Checker) reserve(r *http.Request, name string) (authn.LoginAttempt, error) {
	if c.opts.Limiter == nil {
		return uncounted(authn.SourceOf(authn.TrustedProxies{}.ClientAddr(r))), nil
	}
	return c.opts.Limiter.Reserve(r, name)
}

// uncounted is an attempt without a limiter.
type uncounted string

func (uncounted) Succeeded(context.Context) []*http.Cookie { return nil }
func (uncounted) Cancelled(context.Context)                {}
func (u uncounted) Source() string                         { return string(u) }

// Why a login failed, for the log.
var (
	errUnknown  = errors.New("unknown account")
	errDisabled = errors.New("account disabled")
	errUnusable = errors.New("account without a usable password")
	errWrong    = errors.New("wrong password")
)

// verdict is what became of one name and password.
type verdict struct {
	user     storage.User
	reason   error // why the login fails; nil: it does not
	outdated bool
	waited   time.Duration // for a slot of the hasher
}

// why is the reason for the log. It names a known account by its ID; what was typed as
// a name is not repeated, since it may be a password.
func (v verdict) why() error {
	if v.user.ID == "" {
		return v.reason
	}
	return fmt.Errorf("%w, subject %q", v.reason, v.user.ID)
}

// verify computes one hash, whoever it is. The error says that it could not be
// decided; nothing was hashed then.
func (c *Checker) verify(ctx context.Context, source, name string, nameErr error, password string) (v verdict, err error) {
	if nameErr != nil {
		v.reason = nameErr
	} else if v.user, err = c.store.UserByName(ctx, name); errors.Is(err, storage.ErrNotFound) {
		v.user, v.reason = storage.User{}, errUnknown
	} else if err != nil {
		return verdict{}, err
	} else if !v.user.Active {
		v.reason = errDisabled
	}
	joined := c.opts.Clock()
	release, err := c.hasher.queue.enter(ctx, source)
	if err != nil {
		return verdict{}, err
	}
	defer release()
	v.waited = c.opts.Clock().Sub(joined)
	ok, outdated := c.hasher.verify(v.user.Password, password)
	switch {
	case v.reason != nil:
	case ok:
		v.outdated = outdated
	case !usable(v.user.Password):
		v.reason = errUnusable
	default:
		v.reason = errWrong
	}
	return v, nil
}

// rehash exchanges the hash for one of the present parameters, unless somebody
// changed the password meanwhile. What fails here does not fail the login.
func (c *Checker) rehash(ctx context.Context, source string, u storage.User, password string) storage.PasswordHash {
	hash, err := c.hasher.Hash(ctx, source, password)
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

var errTooLong = fieldError("password", "Ensure this field has no more than 1024 characters.")

func fieldError(field, message string) *authn.Error {
	return &authn.Error{Status: http.StatusBadRequest, Code: "invalid", Members: []authn.Member{{Name: field, Value: []string{message}}}}
}
