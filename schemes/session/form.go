package session

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/internal/params"
	"github.com/vestibule-auth/vestibule/internal/style"
)

// Form contains the values for a login page.
type Form struct {
	// Next is the path to which the login redirects: the value of a hidden field "next".
	Next string
	// Username is the name from the previous attempt, or "" on the first.
	Username string
	// Error is the message for the user, or "" on the first attempt.
	Error string
	// Invalid reports that the name or the password is missing or wrong. It is false on the first
	// attempt, and if Error reports too many attempts.
	Invalid bool
	// Remember reports that the page should have a checkbox "remember".
	Remember bool
	// Forgot is the path of the page for users that forgot their password, or ""; see FormOptions.
	Forgot string
	// UsernameField and PasswordField are the names of the fields; see Options.Login.
	UsernameField, PasswordField string
}

// FormOptions configure [Scheme.LoginForm]. nil means the defaults.
type FormOptions struct {
	// Fallback is the path to which the login redirects if the request has no valid "next". ""
	// means "/".
	Fallback string
	// Forgot is the path of the page on which users request a new password, such as the page of
	// recovery.RequestForm. The login page links to it. "" means no link.
	Forgot string
	// SecondFactor continues the login of an account that has a second factor; use the method of
	// totp.Page. It is called after the password was verified and before a session is created. If it
	// returns a handler, that handler sends the response, and no session is created: the page of the
	// second factor calls [Scheme.Start]. If it returns nil, the login is complete. An error fails the
	// login. nil means no second factor.
	SecondFactor SecondFactor
	// Render writes the page after status and headers were set. The page must have a form that
	// sends name, password and "next" to its own URL with POST. The page is sent after Render
	// returns. If it panics, the response is 500. nil means a plain page.
	Render func(w http.ResponseWriter, r *http.Request, f Form)
}

// LoginForm returns the login page. GET shows a form. POST creates a session and redirects the
// browser (303) to the path in "next", if that is a path of this origin (see [SafeNext]). Route
// both methods to it, without the chain. It panics if pw is nil.
//
// A rejected login shows the form again, with the status and text of [Scheme.Login]. Other errors,
// such as a store failure, a request from another site or a body that is not a form, have the same
// status as from Login. A browser gets them as a page.
//
// Do not set the Referrer-Policy "no-referrer" for the page. With it, browsers send the form with
// the Origin "null". This value is accepted only from browsers that also send Sec-Fetch-Site.
func (s *Scheme) LoginForm(pw authn.PasswordChecker, opts *FormOptions) http.Handler {
	return s.loginForm(s, pw, opts, s.memory != nil)
}

func (s *frame) loginForm(k keeper, pw authn.PasswordChecker, opts *FormOptions, remembers bool) http.Handler {
	var o FormOptions
	if opts != nil {
		o = *opts
	}
	if o.Render == nil {
		o.Render = renderForm
	}
	o.Fallback = SafeNext(o.Fallback, "/")
	asks := s.loginEndpoint(o.SecondFactor.before(k, o.Fallback), pw, nextField)
	write := func(w http.ResponseWriter, r *http.Request, status int, f Form) {
		pageHeaders(w.Header(), f.Next == o.Fallback)
		w.WriteHeader(status)
		f.Remember, f.Forgot, f.UsernameField, f.PasswordField = remembers, o.Forgot, cmp.Or(s.opts.Login.Username, "username"), cmp.Or(s.opts.Login.Password, "password")
		o.Render(w, r, f)
	}
	show := func(w http.ResponseWriter, r *http.Request, status int, f Form) {
		if err := authn.Render(w, "session.FormOptions.Render", func(w http.ResponseWriter) { write(w, r, status, f) }); err != nil {
			w.Header().Del("Retry-After")
			w.Header().Del("WWW-Authenticate")
			authn.RespondPage(w, r, err)
		}
	}
	return authn.Page("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			show(w, r, http.StatusOK, Form{Next: SafeNext(params.Query(r).Get("next"), o.Fallback)})
			return
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, HEAD, POST")
			authn.RespondPage(w, r, authn.MethodNotAllowed(r.Method))
			return
		}
		r, asked := withStep(r)
		v, _, err := asks.Run(w, r)
		if errors.Is(err, login.ErrContinued) && asked.page != nil {
			asked.page.ServeHTTP(w, r)
			return
		}
		if err != nil {
			var e *authn.Error
			if !errors.As(err, &e) || e == nil || e.Status != http.StatusUnauthorized && e.Status != http.StatusBadRequest && e.Status != http.StatusTooManyRequests {
				authn.RespondPage(w, r, authn.Undecided(err))
				return
			}
			if wait := int64((e.RetryAfter + time.Second - 1) / time.Second); wait > 0 {
				w.Header().Set("Retry-After", strconv.FormatInt(wait, 10))
			}
			if e.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", s.challenge)
			}
			f := Form{Next: o.Fallback, Error: e.Detail, Invalid: e.Status != http.StatusTooManyRequests}
			if len(v) > 3 {
				f.Username, f.Next = v[0], SafeNext(v[3], o.Fallback)
			}
			if f.Error == "" {
				f.Error = "Enter your username and password."
			}
			show(w, r, e.Status, f)
			return
		}
		http.Redirect(w, r, SafeNext(v[3], o.Fallback), http.StatusSeeOther)
	}))
}

// pageHeaders sets the headers of a page with a form. home reports that the form leads to the
// fallback; any other page may redirect to another origin, to which browsers apply form-action too.
func pageHeaders(h http.Header, home bool) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	action := ""
	if home {
		action = "form-action 'self'; "
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "+action+"frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	private(h)
}

// LogoutForm returns the handler for the form of a logout button. POST deletes the request's
// session and redirects the browser (303). The target is the path in the field "next" if that is a
// path of this origin (see [SafeNext]), and fallback otherwise. "" as fallback means "/". Errors
// have the status that [Scheme.Logout] sends. GET does nothing, because any page can cause it.
//
//	<form method="post" action="/logout"><button>Log out</button></form>
func (s *Scheme) LogoutForm(fallback string) http.Handler { return s.logoutForm(s, fallback) }

func (s *frame) logoutForm(k keeper, fallback string) http.Handler {
	fallback = SafeNext(fallback, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			authn.RespondPage(w, r, authn.MethodNotAllowed(r.Method))
			return
		}
		err := s.site.Check(r)
		if err == nil {
			err = k.EndCurrent(w, r)
		}
		if err != nil {
			authn.RespondPage(w, r, s.endpoints.Error(r, err))
			return
		}
		http.Redirect(w, r, SafeNext(nextOf(w, r), fallback), http.StatusSeeOther)
	})
}

// nextOf returns the field "next" of a form, or "" if the body is too long or has too many fields.
func nextOf(w http.ResponseWriter, r *http.Request) string {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.PostForm != nil {
		return r.PostForm.Get("next")
	}
	switch kind, _, err := params.MediaType(r.Header.Get("Content-Type")); {
	case err != nil:
		return ""
	case kind == "multipart/form-data":
		v, err := login.Read(w, r, nextField)
		if err != nil {
			return ""
		}
		return v[0]
	case kind != "application/x-www-form-urlencoded":
		return ""
	}
	body, err := params.Body(r.Body, r.ContentLength)
	if err != nil {
		return ""
	}
	form, err := params.Parse(string(body))
	if err != nil {
		return ""
	}
	return form.Get("next")
}

// maxForm is the largest size of a logout form in bytes.
const maxForm = 16 << 10

var formTemplate = template.Must(template.New("login").Parse(style.Page("narrow", "Log in", `{{define "problem"}}{{if .Invalid}} aria-invalid="true"{{end}}{{if .Error}} aria-describedby="problem"{{end}}{{end -}}
{{with .Error}}<p role="alert" id="problem">{{.}}</p>
{{end}}<form method="post">
	<label>Username <input name="{{.UsernameField}}" value="{{.Username}}" autocomplete="username" autocapitalize="none" spellcheck="false" required{{template "problem" .}}{{if not .Username}} autofocus{{end}}></label>
	<label>Password <input name="{{.PasswordField}}" type="password" autocomplete="current-password" required{{template "problem" .}}{{if .Username}} autofocus{{end}}></label>
	{{if .Remember}}<label class="check"><input type="checkbox" name="remember"> Remember me</label>
	{{end}}<input type="hidden" name="next" value="{{.Next}}">
	<div class="buttons"><button class="main">Log in</button></div>
</form>
{{with .Forgot}}<p><a href="{{.}}">Forgot your password?</a></p>
{{end}}`)))

func renderForm(w http.ResponseWriter, _ *http.Request, f Form) { _ = formTemplate.Execute(w, f) }
