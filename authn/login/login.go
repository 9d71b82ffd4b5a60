package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/storage"
)

// Options are what an application can change about a scheme's login endpoint. The zero value
// is that of Django REST Framework.
type Options struct {
	// Username and Password are the names of the fields; "username" and "password" if "". With
	// Username "email" users log in by the field email, and errors name it so. It does not
	// change what the value is compared with: that is the password checker's.
	Username, Password string
	// Members returns members that are added to the answer, such as the account's name. It is
	// called after the password was checked and before a credential is issued, so that an error
	// leaves nothing behind. Its *authn.Error rejects the login; any other error is a fault. A
	// member with the name of one of the endpoint's own is left out.
	Members func(r *http.Request, l authn.Login) ([]authn.Member, error)
}

// Check returns an error unless Username, Password and the scheme's further fields have names
// that are valid and distinct. A scheme calls it at construction.
func (o Options) Check(more ...Field) error { return checkNames(append(o.fields(), more...)) }

// fields are those of the name and the password.
func (o Options) fields() []Field {
	name, password := Username, Password
	if o.Username != "" {
		name.Name = o.Username
	}
	if o.Password != "" {
		password.Name = o.Password
	}
	return []Field{name, password}
}

// Begin issues the credential of a login whose password was checked. more are the values of
// Config.Fields. It returns the members of the answer, in their order.
//
// storage.ErrStale (the account was disabled, or its password was changed, since it was
// checked) is answered like a wrong password. Any other error that is not an *authn.Error is
// a fault: 503.
type Begin func(w http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error)

// Config is what a scheme decides about its login endpoint.
type Config struct {
	// Scheme names the scheme in events and logs.
	Scheme string
	// Options are the application's.
	Options Options
	// Fields are read in addition to name and password.
	Fields []Field
	// Before, if not nil, is called before the body is read, such as to reject requests from
	// other sites.
	Before func(*http.Request) error
	// Endpoints answer errors.
	Endpoints Endpoints
	// Audit receives the events login.succeeded, login.failed and login.throttled.
	Audit *audit.Notifier
	// Logger is slog.Default() if nil.
	Logger *slog.Logger
}

// Handler is a scheme's login endpoint: POST of name, password and the scheme's fields, as
// JSON, form or multipart body, answered with an object of JSON and the login's cookies. It is
// safe for concurrent use.
//
// It reads no credential but the body's, so a stale one in the request changes nothing. Mount
// it without authentication (authz.Mux.Public): a chain in front of it would reject the stale
// credential.
type Handler struct {
	passwords authn.PasswordChecker
	begin     Begin
	config    Config
	fields    []Field
}

// New returns a login endpoint. It returns an error without a password checker or begin, and
// for field names that are not valid or there twice.
func New(passwords authn.PasswordChecker, begin Begin, config *Config) (*Handler, error) {
	if passwords == nil || begin == nil {
		return nil, errors.New("login: New: no password checker, or no function that begins a login")
	}
	h := &Handler{passwords: passwords, begin: begin}
	if config != nil {
		h.config = *config
	}
	h.fields = append(h.config.Options.fields(), h.config.Fields...)
	if err := checkNames(h.fields); err != nil {
		return nil, err
	}
	return h, nil
}

// Must returns h, and panics if err is not nil. Schemes use it in methods that return an
// http.Handler and panic without a password checker.
func Must(h *Handler, err error) *Handler {
	if err != nil {
		panic(err)
	}
	return h
}

// ServeHTTP answers a login.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, members, err := h.Run(w, r)
	if err != nil {
		h.config.Endpoints.Respond(w, r, err)
		return
	}
	Answer(w, authn.Object(members))
}

// Run does all of a login but the answer, for a scheme that answers with something else, such
// as a page. values are those of name, password and Config.Fields, in this order; they are nil
// if the body could not be read. After a nil error the credential is issued and the login's
// cookies are set on w.
func (h *Handler) Run(w http.ResponseWriter, r *http.Request) (values []string, members []authn.Member, err error) {
	if h.config.Before != nil && r.Method == http.MethodPost {
		if err := h.config.Before(r); err != nil {
			return nil, nil, err
		}
	}
	values, err = Read(w, r, h.fields...)
	if err != nil {
		return nil, nil, err
	}
	members, err = h.login(w, r, values)
	return values, members, err
}

func (h *Handler) login(w http.ResponseWriter, r *http.Request, values []string) ([]authn.Member, error) {
	l, err := audit.Call("authn.PasswordChecker", func() (authn.Login, error) { return h.passwords.CheckPassword(r, values[0], values[1]) })
	if err != nil {
		h.failed(r, audit.Event{}.ForName(values[0]), err)
		return nil, err
	}
	more, err := h.more(r, l)
	var members []authn.Member
	if err == nil {
		members, err = h.begin(w, r, l, values[2:])
	}
	if errors.Is(err, storage.ErrStale) {
		err = authn.InvalidLogin().WithCause(err)
	}
	if err != nil {
		h.failed(r, audit.Event{Subject: l.Subject, Epoch: l.Epoch}, err)
		return nil, err
	}
	for _, c := range l.Cookies {
		http.SetCookie(w, c)
	}
	h.config.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.LoginSucceeded, Scheme: h.config.Scheme, Subject: l.Subject, Epoch: l.Epoch})
	return h.merge(r, members, more), nil
}

// more returns the application's members, encoded: what JSON cannot hold is found before
// anything is issued.
func (h *Handler) more(r *http.Request, l authn.Login) ([]authn.Member, error) {
	if h.config.Options.Members == nil {
		return nil, nil
	}
	l.Roles, l.Cookies = slices.Clone(l.Roles), slices.Clone(l.Cookies)
	return audit.Call("login.Options.Members", func() ([]authn.Member, error) {
		given, err := h.config.Options.Members(r, l)
		if err != nil {
			return nil, err
		}
		out := make([]authn.Member, len(given))
		for i, m := range given {
			text, err := json.Marshal(m.Value)
			if err != nil {
				return nil, &encodeError{m.Name, err}
			}
			out[i] = authn.Member{Name: m.Name, Value: json.RawMessage(text)}
		}
		return out, nil
	})
}

// encodeError is a mistake of the program: another attempt does not help.
type encodeError struct {
	member string
	err    error
}

func (e *encodeError) Error() string {
	return fmt.Sprintf("login: Options.Members: member %q cannot be encoded: %v", e.member, e.err)
}
func (e *encodeError) Unwrap() error { return e.err }
func (*encodeError) StatusCode() int { return http.StatusInternalServerError }

// merge returns the endpoint's own members, then those of the application with other names.
func (h *Handler) merge(r *http.Request, own, more []authn.Member) []authn.Member {
	for _, m := range more {
		if slices.ContainsFunc(own, func(o authn.Member) bool { return o.Name == m.Name }) {
			log := h.config.Logger
			if log == nil {
				log = slog.Default()
			}
			log.LogAttrs(r.Context(), slog.LevelWarn, "login member left out", slog.String("scheme", h.config.Scheme), slog.String("reason", "name in use"), slog.String("member", m.Name))
			continue
		}
		own = append(own, m)
	}
	return own
}

// failed reports a rejected login. A fault is no event: it is in the log.
func (h *Handler) failed(r *http.Request, e audit.Event, err error) {
	var rejected *authn.Error
	if !errors.As(err, &rejected) || rejected == nil || rejected.Status >= 500 {
		return
	}
	e.Scheme, e.Kind, e.Reason = h.config.Scheme, audit.LoginFailed, rejected.Code
	if rejected.Status == http.StatusTooManyRequests {
		e.Kind = audit.LoginThrottled
	}
	h.config.Audit.Notify(audit.Context(r), e)
}
