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

// NewUser is an account to be created. It may be decoded from a request: decoders set Name, Email
// and Password only. ID and Roles are the application's to set, or anyone who registers could be
// an administrator, or get the ID of a deleted account.
type NewUser struct {
	// ID is the immutable identifier, without the store's name space; "" draws a random one.
	ID       string `json:"-" xml:"-" yaml:"-" form:"-" query:"-" schema:"-" mapstructure:"-"`
	Name     string
	Email    string
	Password string
	Roles    []string `json:"-" xml:"-" yaml:"-" form:"-" query:"-" schema:"-" mapstructure:"-"`
}

// String says nothing of the password.
func (u NewUser) String() string { return "NewUser(" + u.Name + ")" }

// GoString says nothing of the password.
func (u NewUser) GoString() string { return u.String() }

// LogValue says nothing of the password.
func (u NewUser) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalJSON says nothing of the password: a NewUser is read from a request and
// never sent.
func (u NewUser) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// Register makes an active account. The hooks run in the same transaction, with
// the account as it was stored: the place where a token is minted for each new
// user, or a profile row written. Where one fails there is no account.
//
// The error is an *authn.Error with status 400 and the field's message for a name
// that is malformed or taken, an e-mail address that cannot be kept, and a
// password that the policy refuses. An ID of the caller that is taken is
// storage.ErrConflict, one that cannot be kept storage.ErrInvalid, a role
// likewise. Errors of hooks and of the store are passed on.
//
// The hash waits with those of the client's network, so that one network does not keep others
// from registering. Pass the context of a request that the middleware of package authn has seen
// (also authz.Mux.Public), or use storage.WithClientAddr; all others share one network.
func (c *Checker) Register(ctx context.Context, n NewUser, hooks ...func(context.Context, storage.User) error) (storage.User, error) {
	if len(n.Password) > MaxLength { // before anything reads it
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
	if err := c.free(ctx, given, name); err != nil { // before a hash is spent on it
		return storage.User{}, err
	}
	if u.Password, err = c.hasher.hashFor(ctx, newcomer(ctx), password); err != nil {
		return storage.User{}, err
	}
	err = c.store.InTx(ctx, func(ctx context.Context) error {
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

// free reports whether an account of that ID, where the caller gave one, and of
// that name can be made. CreateUser has the last word.
func (c *Checker) free(ctx context.Context, id, name string) error {
	if id != "" {
		switch _, err := c.store.UserByID(ctx, id); {
		case err == nil:
			return fmt.Errorf("password: the account ID is taken: %w", storage.ErrConflict)
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

// NameTaken is the 400 for a name that another account has: what Register answers,
// and what an application answers that inserts accounts itself where its statement
// meets its unique index.
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

// Refused is what Options.Validate returns for a password that it refuses: a 400
// with a message for the user.
func Refused(message string) *authn.Error { return authn.FieldError("password", message) }

// SetPassword gives an account a new password, for an administrator. Every
// credential of the account ends with it. Errors are those of the policy, as in
// Register, storage.ErrNotFound, and what the store says.
func (c *Checker) SetPassword(ctx context.Context, id, password string) error {
	u, err := c.store.UserByID(ctx, id)
	if err != nil {
		return err
	}
	hash, err := c.NewOwnerHash(ctx, u, password)
	if err != nil {
		return err
	}
	return c.store.SetPassword(ctx, id, hash)
}

// ChangePassword gives an account a new password for its old one, which counts as
// a login attempt. Every credential of the account ends with it, that of the
// request included: use ChangeOwn to go on with a new one. The caller has seen to it that
// the request came with a first-party credential.
//
// A wrong old password is an *authn.Error with status 400 for the field
// "old_password", not a 401: the caller's credential is good. Where an administrator
// set another password, disabled or deleted the account after the old one was
// checked, that stays, and the answer is the same. Otherwise errors are
// those of CheckPassword and SetPassword.
func (c *Checker) ChangePassword(r *http.Request, name, old, new string) error {
	_, err := c.ChangeOwn(r, name, old, new)
	return err
}

// ChangeOwn is ChangePassword that returns a login for a new credential of the caller, of the
// account as the change left it: give it to Start or Keep of a session, or take its Subject and
// Epoch to issue a token. All other credentials end, those of an attacker who knew the old
// password included. What was changed after that ends the login too: then issuing a credential
// returns storage.ErrStale.
//
// Set the cookies of the login on the answer, as after CheckPassword. The errors are those of
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
	err = c.store.InTx(r.Context(), func(ctx context.Context) error {
		if err := c.store.ChangePassword(ctx, u.ID, u.Epoch, hash); err != nil {
			return err
		}
		// In the transaction: a later change must not be taken for this one.
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
	// The change made the device cookie of the check outdated.
	if login.Cookies = c.Vouch(r, u.ID); login.Cookies == nil {
		login.Cookies = was.Cookies
	}
	return login, nil
}

var errOld = authn.FieldError("old_password", "Your old password was entered incorrectly. Please enter it again.")

// NewHash checks a new password against the policy, as Register does, and hashes it:
// for an application that inserts its accounts itself. u is what Options.Validate
// is told. Call it before the transaction begins, since it may wait for the hasher. It waits
// with other callers that have proved nothing, by the network of the context as in Register: use
// NewOwnerHash for an account that exists.
// The error is the policy's *authn.Error with status 400, or what the hasher says.
func (c *Checker) NewHash(ctx context.Context, u storage.User, password string) (storage.PasswordHash, error) {
	return c.newHash(ctx, newcomer(ctx), u, password)
}

// NewOwnerHash is NewHash for an account that exists, if the caller has proved that it may change
// the password: by the old one, by a link that was mailed, or as an administrator. It waits with
// known callers, so that strangers who register or guess passwords do not keep the owner out.
// You MUST NOT call it before the proof, or strangers wait with the owners. Package recovery,
// SetPassword and ChangeOwn use it.
func (c *Checker) NewOwnerHash(ctx context.Context, u storage.User, password string) (storage.PasswordHash, error) {
	return c.newHash(ctx, c.owner(u.Name), u, password)
}

// owner is a caller that has proved control of the account. It shares the places of no network:
// a network's share would be one of all owners together.
func (c *Checker) owner(name string) asker {
	account := c.opts.Space + "\x00" + name
	return asker{known: true, account: account, network: "owner of " + account}
}

func (c *Checker) newHash(ctx context.Context, a asker, u storage.User, password string) (storage.PasswordHash, error) {
	if len(password) > MaxLength { // before anything reads it
		return "", errTooLong
	}
	password = c.normal(password)
	if err := c.policy(ctx, u, password); err != nil {
		return "", err
	}
	return c.hasher.hashFor(ctx, a, password)
}
