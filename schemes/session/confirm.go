package session

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/internal/params"
	"github.com/vestibule-auth/vestibule/internal/style"
)

// Reauthenticate records that the user of the request's session has just proved their identity
// again. Use it in handlers with their own form; [Scheme.ConfirmForm] is a complete page. Before
// the call, check the origin of the request with [csrf.Site].Check.
//
// The time of login of the session becomes the current time, and its ACR and AMR become those of
// the argument login. The session gets a new cookie, and the old cookie becomes invalid. The data,
// the absolute timeout and the browser's remembered login do not change. So if a session is later
// restored from the remembered login, it has the time and the methods of the first login again.
//
// The error is an [*authn.Error] with status 401 if the request has no session of a user, or if the
// session was deleted at the same time. The status is 403 if the argument login belongs to another
// account. Other errors come from the store. After an error, the session is unchanged.
func (s *Scheme) Reauthenticate(w http.ResponseWriter, r *http.Request, login authn.Login) error {
	old, err := s.loggedIn(r)
	if err != nil {
		return err
	}
	if login.Subject != old.Subject {
		return authn.PermissionDenied("This is not the account that is logged in.")
	}
	next := old.Session
	next.Epoch, next.AuthTime, next.ACR, next.AMR = login.Epoch, login.At(s.now()), login.ACR, login.AMR
	return s.regenerate(w, r, old, next)
}

// Confirm contains the values for a page that asks for the password again.
type Confirm struct {
	// Next is the path to which the page redirects. It is the value of a hidden field "next".
	Next string
	// Username is the name of the logged-in user. It is the value of a hidden field for password
	// managers. The value that the browser sends in this field is ignored.
	Username string
	// Error is the message for the user, or "" on the first attempt.
	Error string
	// Invalid is true if the password is missing or wrong. It is false on the first attempt, and if
	// Error reports too many attempts.
	Invalid bool
	// UsernameField and PasswordField are the names of the fields; see Options.Login.
	UsernameField, PasswordField string
}

// ConfirmOptions configure [Scheme.ConfirmForm]. nil means the defaults.
type ConfirmOptions struct {
	// Fallback is the path to which the page redirects if the request has no valid "next". "" means
	// "/".
	Fallback string
	// Login is the path of the login page, to which visitors without a session are redirected. ""
	// means that they get a 401.
	Login string
	// SecondFactor asks for the second factor after the password; see [FormOptions]. If it returns
	// a page, a new session with the data of the old session replaces the old session after that
	// step.
	SecondFactor SecondFactor
	// Render writes the page after the status and the headers were set. The page must have a form
	// that sends name, password and "next" to its own URL with POST. The page is sent after Render
	// returns. If Render panics, the response is 500. nil means a plain page.
	Render func(w http.ResponseWriter, r *http.Request, c Confirm)
}

// ConfirmForm returns the page on which logged-in users confirm their password before a sensitive
// action. Use it, for example, as the login page of routes with authz.Fresh. GET shows a form. POST
// checks the password of the account that is logged in, calls [Scheme.Reauthenticate], and
// redirects the browser (303) to the path in "next", if that is a path of this origin (see
// [SafeNext]). Mount the page for both methods, without the chain. ConfirmForm panics if pw is nil.
//
// Attempts count against the limits for logins of pw. A wrong password shows the form again and
// does not change the session. Other errors get the same responses as in [Scheme.LoginForm].
func (s *Scheme) ConfirmForm(pw authn.PasswordChecker, opts *ConfirmOptions) http.Handler {
	var o ConfirmOptions
	if opts != nil {
		o = *opts
	}
	if o.Render == nil {
		o.Render = renderConfirm
	}
	if pw == nil {
		panic("session: ConfirmForm: the password checker must be set")
	}
	o.Fallback = SafeNext(o.Fallback, "/")
	c := &confirming{s, o, login.Must(login.New(ofSession{pw}, func(w http.ResponseWriter, r *http.Request, l authn.Login, more []string) ([]authn.Member, error) {
		if o.SecondFactor != nil {
			if err := o.SecondFactor.ask(r, l, SafeNext(more[0], o.Fallback), false); err != nil {
				return nil, err
			}
		}
		return nil, s.Reauthenticate(w, r, l)
	}, &login.Config{
		Scheme: s.Name(), Options: login.Options{Username: s.opts.Login.Username, Password: s.opts.Login.Password}, Fields: []login.Field{nextField}, Before: s.site.Check,
		Endpoints: s.endpoints, Audit: s.opts.Audit, Logger: s.opts.Logger,
	}))}
	return authn.Page("", c)
}

// ofSession checks the password of the account in the context. It ignores the name in the form.
type ofSession struct{ authn.PasswordChecker }

type confirmedName struct{}

func (c ofSession) CheckPassword(r *http.Request, _, password string) (authn.Login, error) {
	name, _ := r.Context().Value(confirmedName{}).(string)
	return c.PasswordChecker.CheckPassword(r, name, password)
}

// confirming is the handler of ConfirmForm.
type confirming struct {
	s    *Scheme
	opts ConfirmOptions
	asks *login.Handler
}

func (c *confirming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !get && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST")
		authn.RespondPage(w, r, authn.MethodNotAllowed(r.Method))
		return
	}
	_, u, err := c.s.userOf(r)
	if e := (*authn.Error)(nil); get && c.opts.Login != "" && errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		next := SafeNext(params.Query(r).Get("next"), c.opts.Fallback)
		http.Redirect(w, r, c.opts.Login+"?next="+url.QueryEscape(next), http.StatusSeeOther)
		return
	}
	if err != nil {
		authn.RespondPage(w, r, authn.Undecided(err))
		return
	}
	if get {
		c.show(w, r, http.StatusOK, Confirm{Username: u.Name, Next: SafeNext(params.Query(r).Get("next"), c.opts.Fallback)})
		return
	}
	r, asked := withStep(r.WithContext(context.WithValue(r.Context(), confirmedName{}, u.Name)))
	v, _, err := c.asks.Run(w, r)
	next := c.opts.Fallback
	if len(v) > 2 {
		next = SafeNext(v[2], next)
	}
	e := (*authn.Error)(nil)
	switch {
	case errors.Is(err, login.ErrContinued) && asked.page != nil:
		asked.page.ServeHTTP(w, r)
	case err == nil:
		http.Redirect(w, r, next, http.StatusSeeOther)
	case !errors.As(err, &e) || e == nil || e.Status != http.StatusUnauthorized && e.Status != http.StatusBadRequest && e.Status != http.StatusTooManyRequests:
		authn.RespondPage(w, r, authn.Undecided(err))
	default:
		if wait := int64((e.RetryAfter + time.Second - 1) / time.Second); wait > 0 {
			w.Header().Set("Retry-After", strconv.FormatInt(wait, 10))
		}
		f := Confirm{Username: u.Name, Next: next, Error: e.Detail, Invalid: e.Status != http.StatusTooManyRequests}
		if f.Invalid {
			f.Error = "Enter your current password."
		}
		if e.Status == http.StatusUnauthorized { // the session is valid, only the password is wrong
			e = authn.PermissionDenied(f.Error)
		}
		c.show(w, r, e.Status, f)
	}
}

func (c *confirming) show(w http.ResponseWriter, r *http.Request, status int, f Confirm) {
	f.UsernameField, f.PasswordField = cmp.Or(c.s.opts.Login.Username, "username"), cmp.Or(c.s.opts.Login.Password, "password")
	err := authn.Render(w, "session.ConfirmOptions.Render", func(w http.ResponseWriter) {
		pageHeaders(w.Header(), f.Next == c.opts.Fallback)
		w.WriteHeader(status)
		c.opts.Render(w, r, f)
	})
	if err != nil {
		w.Header().Del("Retry-After")
		authn.RespondPage(w, r, err)
	}
}

var confirmTemplate = template.Must(template.New("confirm").Parse(style.Page("narrow", "Confirm your password", `{{with .Error}}<p role="alert" id="problem">{{.}}</p>
{{end}}<p>You are logged in as <strong>{{.Username}}</strong>.</p>
<form method="post">
	<input type="hidden" name="{{.UsernameField}}" value="{{.Username}}" autocomplete="username">
	<label>Password <input name="{{.PasswordField}}" type="password" autocomplete="current-password" required autofocus{{if .Invalid}} aria-invalid="true"{{end}}{{if .Error}} aria-describedby="problem"{{end}}></label>
	<input type="hidden" name="next" value="{{.Next}}">
	<div class="buttons"><button class="main">Confirm</button></div>
</form>
`)))

func renderConfirm(w http.ResponseWriter, _ *http.Request, c Confirm) {
	_ = confirmTemplate.Execute(w, c)
}
