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

// Options are the settings of a scheme's login endpoint that an application can change. The zero
// value is compatible with Django REST Framework.
type Options struct {
	// Username and Password are the names of the fields. "" means "username" and "password". If
	// Username is "email", the endpoint reads the field "email", and errors use this name. The name
	// of the field does not change how the password checker finds the account.
	Username, Password string
	// Members returns members to add to the response, such as the account's name. It is called
	// after the password was verified and before credentials are issued, so an error changes
	// nothing. An [*authn.Error] rejects the login, and any other error is answered with 503. A
	// member whose name the endpoint already uses is omitted.
	Members func(r *http.Request, l authn.Login) ([]authn.Member, error)
}

// Check returns an error if the names of Username, Password and the scheme's further fields are
// invalid or not distinct. Schemes call it when they are created.
func (o Options) Check(more ...Field) error { return checkNames(append(o.fields(), more...)) }

// fields returns the fields for the name and the password.
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

// Begin issues the credentials of a login whose password was verified. The argument more contains
// the values of Config.Fields. It returns the members of the response, in their order.
//
// Errors:
//   - [storage.ErrStale]: the account was disabled, or its password was changed, after the password
//     was verified. The response is the same as for a wrong password.
//   - [*authn.Error]: the login is rejected with this error.
//   - Any other error: 503.
type Begin func(w http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error)

// ErrContinued is returned by a [Begin] that issued nothing because the login needs a second
// factor. The cookies of the login are set, and the event is login.challenged. [Handler.Run]
// returns the error, and the scheme sends the response.
var ErrContinued = errors.New("the login continues with a second factor")

// Config contains the settings of a scheme for its login endpoint.
type Config struct {
	// Scheme is the name of the scheme in events and logs.
	Scheme string
	// Options are the settings of the application.
	Options Options
	// Fields are the fields that are read in addition to name and password.
	Fields []Field
	// Before, if it is not nil, is called before the body is read, for example to reject requests
	// from other sites.
	Before func(*http.Request) error
	// Endpoints answer errors.
	Endpoints Endpoints
	// Audit receives the events login.succeeded, login.failed and login.throttled.
	Audit *audit.Notifier
	// Logger receives warnings. nil means slog.Default().
	Logger *slog.Logger
}

// Handler is a scheme's login endpoint. It accepts a POST with name, password and the scheme's
// fields as JSON, form or multipart body. It responds with a JSON object and the cookies of the
// login. It is safe for concurrent use.
//
// It reads credentials only from the body, so expired credentials in the request do not matter.
// Route to it without authentication (authz.Mux.Public), because a chain would reject the expired
// credentials.
type Handler struct {
	passwords authn.PasswordChecker
	begin     Begin
	config    Config
	fields    []Field
}

// New returns a login endpoint. config can be nil. It returns an error if passwords or begin is
// nil, or if a field name is invalid or occurs twice.
func New(passwords authn.PasswordChecker, begin Begin, config *Config) (*Handler, error) {
	if passwords == nil || begin == nil {
		return nil, errors.New("login: New: passwords and begin must be set")
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

// Must returns h, and panics if err is not nil. Schemes use it in methods that return only an
// http.Handler.
func Must(h *Handler, err error) *Handler {
	if err != nil {
		panic(err)
	}
	return h
}

// ServeHTTP handles a login.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, members, err := h.Run(w, r)
	if err != nil {
		h.config.Endpoints.Respond(w, r, err)
		return
	}
	Answer(w, authn.Object(members))
}

// Run performs a login without writing the response. Use it in a scheme that responds with
// something else, such as a page. values contains name, password and the values of Config.Fields,
// in this order. It is nil if the body could not be read. If err is nil, the credentials were
// issued and the cookies of the login are set on w.
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
	if errors.Is(err, ErrContinued) {
		for _, c := range l.Cookies {
			http.SetCookie(w, c)
		}
		h.config.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.LoginChallenged, Scheme: h.config.Scheme, Subject: l.Subject, Epoch: l.Epoch})
		return nil, err
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

// more returns the application's members, already encoded, so that an encoding error is found
// before credentials are issued.
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

// encodeError is a bug in the program, so a retry does not help.
type encodeError struct {
	member string
	err    error
}

func (e *encodeError) Error() string {
	return fmt.Sprintf("login: Options.Members: encode member %q: %v", e.member, e.err)
}
func (e *encodeError) Unwrap() error { return e.err }
func (*encodeError) StatusCode() int { return http.StatusInternalServerError }

// merge returns the endpoint's own members, followed by those of the application with other names.
func (h *Handler) merge(r *http.Request, own, more []authn.Member) []authn.Member {
	for _, m := range more {
		if slices.ContainsFunc(own, func(o authn.Member) bool { return o.Name == m.Name }) {
			log := h.config.Logger
			if log == nil {
				log = slog.Default()
			}
			log.LogAttrs(r.Context(), slog.LevelWarn, "login member omitted", slog.String("scheme", h.config.Scheme), slog.String("reason", "name in use"), slog.String("member", m.Name))
			continue
		}
		own = append(own, m)
	}
	return own
}

// failed sends an event for a rejected login. Other errors are only logged.
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
