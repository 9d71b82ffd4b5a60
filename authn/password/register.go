package password

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// NewUser describes an account to be created. You can decode it from a request: decoders set only
// Name, Email and Password. Only the application sets ID and Roles, because otherwise anyone who
// registers could become an administrator or get the ID of a deleted account.
type NewUser struct {
	// ID is the immutable identifier without the store's name space; "" means a random one.
	ID       string `json:"-" xml:"-" yaml:"-" form:"-" query:"-" schema:"-" mapstructure:"-"`
	Name     string
	Email    string
	Password string
	Roles    []string `json:"-" xml:"-" yaml:"-" form:"-" query:"-" schema:"-" mapstructure:"-"`
}

// String returns "NewUser(name)", without the password.
func (u NewUser) String() string { return "NewUser(" + u.Name + ")" }

// GoString returns the same as String.
func (u NewUser) GoString() string { return u.String() }

// LogValue returns the same as String.
func (u NewUser) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalJSON encodes the text of String, because a NewUser is read from requests and never sent.
func (u NewUser) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// Register creates an active account and returns it as stored. The hooks run in the same
// transaction, for example to create a token or a profile for the new user. If a hook fails, no
// account is created.
//
// It returns an *authn.Error with status 400 and a message for the field in three cases: the name
// is malformed or taken, the e-mail address cannot be stored, or the policy rejects the password.
// It returns [storage.ErrConflict] if n.ID is taken, and [storage.ErrInvalid] if n.ID or a role
// cannot be stored. Errors of hooks, of the hasher and of the store are returned unchanged.
//
// The hash is queued under the client's network, so that one network cannot keep others from
// registering. Pass the context of a request that the middleware of package authn (or
// authz.Mux.Public) has handled, or use storage.WithClientAddr. All other callers share one
// network.
func (c *Checker) Register(ctx context.Context, n NewUser, hooks ...func(context.Context, storage.User) error) (storage.User, error) {
	if len(n.Password) > MaxLength { // check the length before processing the password
		return storage.User{}, errTooLong
	}
	name, refused, err := c.form(n.Name)
	if err != nil {
		return storage.User{}, err
	}
	if refused == nil {
		refused = storage.CheckID("name", name)
	}
	if refused != nil {
		return storage.User{}, authn.FieldError("username", refused.Error())
	}
	u := storage.User{ID: n.ID, Name: name, Email: n.Email, Active: true, Roles: n.Roles, Created: c.opts.Clock().UTC()}
	if u.ID == "" {
		u.ID = strings.ToLower(rand.Text())
	}
	u.ID = storage.SubjectIn(storage.SpaceOf(c.store), u.ID)
	if len(u.Email) > storage.MaxEmailBytes || strings.IndexByte(u.Email, 0) >= 0 || !utf8.ValidString(u.Email) {
		return storage.User{}, authn.FieldError("email", "Enter a valid email address.")
	}
	if err := u.Check(); err != nil {
		return storage.User{}, err
	}
	password := c.normal(n.Password)
	if err := c.policy(ctx, u, password); err != nil {
		return storage.User{}, err
	}
	given := ""
	if n.ID != "" {
		given = u.ID
	}
	if err := c.free(ctx, given, name); err != nil { // check before computing a hash
		return storage.User{}, err
	}
	if u.Password, err = c.hasher.hashFor(ctx, registrant(ctx), password); err != nil {
		return storage.User{}, err
	}
	err = c.changed(ctx, audit.AccountCreated, u.ID, func(ctx context.Context) error {
		if err := c.store.CreateUser(ctx, u); errors.Is(err, storage.ErrConflict) {
			return errTaken
		} else if err != nil {
			return err
		}
		stored, err := c.store.UserByID(ctx, u.ID)
		if err != nil {
			return err
		}
		u = stored
		for _, hook := range hooks {
			if err := hook(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storage.User{}, err
	}
	return u, nil
}

// free returns an error if the ID, unless it is "", or the name is taken. CreateUser makes the
// final decision.
func (c *Checker) free(ctx context.Context, id, name string) error {
	if id != "" {
		switch _, err := c.store.UserByID(ctx, id); {
		case err == nil:
			return fmt.Errorf("password: Register: account ID is taken: %w", storage.ErrConflict)
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
	}
	switch _, err := c.store.UserByName(ctx, name); {
	case err == nil:
		return errTaken
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return nil
}

var errTaken = NameTaken()

// NameTaken returns the error with status 400 for an account name that is taken, as Register does.
// Return it if your application inserts accounts itself and the insert violates a unique index.
func NameTaken() *authn.Error {
	return authn.FieldError("username", "A user with that username already exists.")
}

// policy checks a new password in the form that is hashed.
func (c *Checker) policy(ctx context.Context, u storage.User, password string) error {
	switch {
	case c.longest(password) > MaxLength:
		return errTooLong
	case len(password) > c.hasher.format.maxLength():
		return authn.FieldError("password", fmt.Sprintf("Ensure this field has no more than %d bytes.", c.hasher.format.maxLength()))
	case !utf8.ValidString(password):
		return authn.FieldError("password", "Not a valid string.")
	case strings.IndexByte(password, 0) >= 0:
		return authn.FieldError("password", "Null characters are not allowed.")
	case utf8.RuneCountInString(password) < c.opts.MinLength:
		return authn.FieldError("password", fmt.Sprintf("This password is too short. It must contain at least %d characters.", c.opts.MinLength))
	case c.opts.InsecureAllowCommon:
	case isCommon(password):
		return authn.FieldError("password", "This password is too common.")
	case c.isAbout(u, password):
		return authn.FieldError("password", "This password is too similar to your name, your email address or the name of this service.")
	}
	if c.opts.Validate == nil {
		return nil
	}
	_, err := audit.Call("password.Options.Validate", func() (any, error) { return nil, c.opts.Validate(ctx, u.Clone(), password) })
	return err
}

// Refused returns an error with which Options.Validate rejects a password: status 400 with a
// message for the user.
func Refused(message string) *authn.Error { return authn.FieldError("password", message) }

// SetPassword sets an account's password, for an administrator. It revokes every credential of the
// account. It returns an *authn.Error with status 400 if the policy rejects the password,
// [storage.ErrNotFound] if there is no such account, and errors of the hasher and of the store.
func (c *Checker) SetPassword(ctx context.Context, id, password string) error {
	u, err := c.store.UserByID(ctx, id)
	if err != nil {
		return err
	}
	hash, err := c.NewOwnerHash(ctx, u, password)
	if err != nil {
		return err
	}
	return c.opts.Audit.Change(ctx, c.store, func(ctx context.Context) error {
		err := c.store.SetPassword(ctx, id, hash)
		if err == nil {
			c.notify(ctx, audit.PasswordChanged, id)
		}
		return err
	})
}

// ChangePassword sets an account's password after checking the old one, which counts as a login
// attempt. It revokes every credential of the account, including the credential of the request. To
// give the caller a new credential, use [Checker.ChangeOwn]. The caller must make sure that the
// request came with a first-party credential.
//
// If the old password is wrong, it returns an *authn.Error with status 400 for the field
// "old_password", not a 401, because the caller's credential is valid. It returns the same error if
// an administrator set another password, or disabled or deleted the account, after the old password
// was checked. The administrator's change stays in effect. It also returns the errors of
// [Checker.CheckPassword] and [Checker.SetPassword].
func (c *Checker) ChangePassword(r *http.Request, name, old, new string) error {
	_, err := c.ChangeOwn(r, name, old, new)
	return err
}

// ChangeOwn does the same as [Checker.ChangePassword] and returns a login with which the caller can
// get a new credential. Pass it to Start or Keep of a session, or use its Subject and Epoch to
// issue a token. All other credentials are revoked, including credentials of an attacker who knew
// the old password. If the account changes again, the login is outdated, and issuing a credential
// returns [storage.ErrStale].
//
// Set the login's cookies on the response, as after CheckPassword. It returns the same errors as
// ChangePassword.
func (c *Checker) ChangeOwn(r *http.Request, name, old, new string) (authn.Login, error) {
	was, u, err := c.check(r, name, old)
	if e := (*authn.Error)(nil); errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		return authn.Login{}, errOld.WithCause(e.Unwrap())
	}
	if err != nil {
		return authn.Login{}, err
	}
	hash, err := c.NewOwnerHash(r.Context(), u, new)
	if err != nil {
		return authn.Login{}, err
	}
	var login authn.Login
	err = c.changed(audit.Context(r), audit.PasswordChanged, u.ID, func(ctx context.Context) error {
		if err := c.store.ChangePassword(ctx, u.ID, u.Epoch, hash); err != nil {
			return err
		}
		// Read inside the transaction, so that a later change is not mistaken for this one.
		changed, err := c.store.UserByID(ctx, u.ID)
		if err == nil {
			login, err = c.login(ctx, changed)
		}
		return err
	})
	if errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrNotFound) {
		return authn.Login{}, errOld.WithCause(err)
	}
	if err != nil {
		return authn.Login{}, err
	}
	// The change invalidated the device cookie that check returned.
	if login.Cookies = c.Vouch(r, u.ID); login.Cookies == nil {
		login.Cookies = was.Cookies
	}
	return login, nil
}

var errOld = authn.FieldError("old_password", "Your old password was entered incorrectly. Please enter it again.")

// NewHash checks a new password against the policy, as [Checker.Register] does, and returns its
// hash. Use it if your application inserts accounts itself. u is passed to Options.Validate.
//
// Call it before you begin a transaction, because it may wait for the hasher. It waits in the queue
// for callers that have proved nothing, and counts for the network in the context (see Register).
// For an existing account use [Checker.NewOwnerHash]. It returns an *authn.Error with status 400 if
// the policy rejects the password, or an error of the hasher.
func (c *Checker) NewHash(ctx context.Context, u storage.User, password string) (storage.PasswordHash, error) {
	return c.newHash(ctx, registrant(ctx), u, password)
}

// NewOwnerHash is [Checker.NewHash] for an existing account. Call it after the caller has proved
// its right to change the password: with the old password, with a mailed link, or as an
// administrator. It waits in the queue of known callers, so that strangers who register or guess
// passwords do not delay the owner. Package recovery, SetPassword and ChangeOwn use it.
//
// It MUST NOT be called before the proof, because strangers would then wait in the owners' queue
// and could block it.
func (c *Checker) NewOwnerHash(ctx context.Context, u storage.User, password string) (storage.PasswordHash, error) {
	return c.newHash(ctx, c.owner(u.Name), u, password)
}

// owner returns the caller that has proved control of the account. It has a network of its own,
// because one network for all owners would make them share one quota.
func (c *Checker) owner(name string) caller {
	account := c.opts.Space + "\x00" + name
	return caller{known: true, account: account, network: "owner of " + account}
}

func (c *Checker) newHash(ctx context.Context, a caller, u storage.User, password string) (storage.PasswordHash, error) {
	if len(password) > MaxLength { // check the length before processing the password
		return "", errTooLong
	}
	password = c.normal(password)
	if err := c.policy(ctx, u, password); err != nil {
		return "", err
	}
	return c.hasher.hashFor(ctx, a, password)
}
