package totp

import (
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/internal/style"
)

// Start creates the session of a login and sets its cookie. Use session.Scheme.Start, or a function
// that also calls StartRemembered.
type Start func(w http.ResponseWriter, r *http.Request, login authn.Login, remember bool) error

// Form contains the values for the page that asks for the code. Printing a Form does not show the
// handle.
type Form struct {
	// Action is the path to which the form is sent by POST.
	Action string
	// Handle is the value of the hidden field "handle". The handle MUST NOT be in a URL.
	Handle Handle
	// Next and Remember are the values of the hidden fields "next" and "remember".
	Next     string
	Remember bool
	// Error is the message for the user, or "" on the first attempt. The user enters the code in
	// the field "code".
	Error string
}

// Handle is the handle of a pending login. Printing a Handle does not show its text.
type Handle struct{ text string }

// Text returns the handle, for the value of the field "handle".
func (h Handle) Text() string { return h.text }

// String returns "[redacted]".
func (Handle) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (Handle) GoString() string { return "[redacted]" }

// PageOptions configure a [Page]. nil means the defaults.
type PageOptions struct {
	// SafeNext returns its argument next if this is a path of this origin, and its argument
	// fallback otherwise. Use session.SafeNext. nil means that the page always redirects to
	// Fallback.
	SafeNext func(next, fallback string) string
	// Fallback is the path to which the page redirects if the form has no valid "next". "" means
	// "/".
	Fallback string
	// Login is the path of the login page, to which a GET of this page redirects. "" means
	// "/login".
	Login string
	// Render writes the page after the status and the headers were set. nil means a plain page.
	Render func(w http.ResponseWriter, r *http.Request, f Form)
}

// Page is the second step of a login: the page that asks for the code. It needs no script and no
// cookie; between the steps the browser has only a handle in the form, which authenticates nothing.
type Page struct {
	t     *TOTP
	path  string
	site  *csrf.Site
	start Start
	opts  PageOptions
}

// NewPage returns the page. Mount the page at path, without the chain, for GET and POST. site
// checks the origin of the form. NewPage panics if an argument is missing; opts can be nil.
func (t *TOTP) NewPage(path string, site *csrf.Site, start Start, opts *PageOptions) *Page {
	if !strings.HasPrefix(path, "/") || site == nil || start == nil {
		panic("totp: NewPage: path, site and start must be set")
	}
	p := &Page{t: t, path: path, site: site, start: start}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Fallback == "" {
		p.opts.Fallback = "/"
	}
	if p.opts.Login == "" {
		p.opts.Login = "/login"
	}
	if p.opts.Render == nil {
		p.opts.Render = render
	}
	return p
}

// SecondFactor connects the page to a login page. Use this method as the value of
// session.FormOptions.SecondFactor and session.ConfirmOptions.SecondFactor. It returns the page if
// the account has a second factor, and nil otherwise.
func (p *Page) SecondFactor(r *http.Request, l authn.Login, next string, remember bool) (http.Handler, error) {
	handle, err := p.t.Begin(r.Context(), l)
	if err != nil || handle == "" {
		return nil, err
	}
	return authn.Page("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.show(w, r, http.StatusOK, Form{Handle: Handle{handle}, Next: next, Remember: remember})
	})), nil
}

// ServeHTTP handles the form: it completes the login and redirects the browser (303). A wrong code
// shows the form again.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		http.Redirect(w, r, p.opts.Login, http.StatusSeeOther)
		return
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		authn.RespondPage(w, r, authn.MethodNotAllowed(r.Method))
		return
	}
	if err := p.site.Check(r); err != nil {
		authn.RespondPage(w, r, err)
		return
	}
	v, err := login.Read(w, r, login.Field{Name: "handle", Optional: true}, login.Field{Name: "code", Trim: true, Optional: true},
		login.Field{Name: "next", Optional: true, MaxBytes: 32 << 10}, login.Field{Name: "remember", Optional: true, Bool: true})
	if err != nil {
		authn.RespondPage(w, r, err)
		return
	}
	f := Form{Handle: Handle{v[0]}, Next: p.next(v[2]), Remember: v[3] != ""}
	l, err := p.t.Finish(audit.Context(r), v[0], v[1])
	if err == nil {
		err = p.start(w, r, l, f.Remember)
	}
	e := (*authn.Error)(nil)
	switch {
	case err == nil:
		http.Redirect(w, r, f.Next, http.StatusSeeOther)
	case errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusTooManyRequests):
		f.Error = "This code is wrong or was already used. Wait for the next code."
		if e.Status == http.StatusTooManyRequests {
			f.Error = e.Detail
			w.Header().Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
		}
		p.show(w, r, e.Status, f)
	default:
		authn.RespondPage(w, r, authn.Undecided(err))
	}
}

func (p *Page) next(next string) string {
	if p.opts.SafeNext == nil {
		return p.opts.Fallback
	}
	return p.opts.SafeNext(next, p.opts.Fallback)
}

func (p *Page) show(w http.ResponseWriter, r *http.Request, status int, f Form) {
	f.Action = p.path
	err := authn.Render(w, "totp.PageOptions.Render", func(w http.ResponseWriter) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "same-origin") // with "no-referrer" browsers send the Origin "null"
		w.WriteHeader(status)
		p.opts.Render(w, r, f)
	})
	if err != nil {
		w.Header().Del("Retry-After")
		authn.RespondPage(w, r, err)
	}
}

var pageTemplate = template.Must(template.New("code").Parse(style.Page("narrow", "Enter your code", `{{with .Error}}<p role="alert" id="problem">{{.}}</p>
{{end}}<p>Enter the code of your authenticator app, or one of your recovery codes.</p>
<form method="post" action="{{.Action}}">
	<label>Code <input name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" required autofocus{{if .Error}} aria-invalid="true" aria-describedby="problem"{{end}}></label>
	<input type="hidden" name="handle" value="{{.Handle.Text}}">
	<input type="hidden" name="next" value="{{.Next}}">
	{{if .Remember}}<input type="hidden" name="remember" value="on">
	{{end}}<div class="buttons"><button class="main">Log in</button></div>
</form>
`)))

func render(w http.ResponseWriter, _ *http.Request, f Form) { _ = pageTemplate.Execute(w, f) }
