package recovery

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/internal/style"
)

// FormOptions configure [Recovery.RequestForm] and [Recovery.ResetForm]. nil means the defaults.
type FormOptions struct {
	// Login is the path of the login page, and Request the path of RequestForm, to which the pages
	// link. "" means no link.
	Login, Request string
	// NameLabel is the label of the field "address" if people type something else than an e-mail
	// address, such as "Username". "" means "E-mail address", and the browser then checks that the
	// value looks like an e-mail address.
	NameLabel string
	// Render writes a page after status and headers were set. The page is sent after Render
	// returns. If it panics, the response is 500. At StepDone, the password has been changed before
	// Render is called. The Content-Security-Policy allows styles and the script of the built-in
	// page only; Render can change it. nil means plain pages.
	Render func(w http.ResponseWriter, r *http.Request, p Page)
}

// Step is a page of a password reset.
type Step string

const (
	// StepRequest: the user enters an address, in a field with the name "address".
	StepRequest Step = "request"
	// StepSent: the request was accepted. The page MUST NOT say whether the address is known.
	StepSent Step = "sent"
	// StepReset: the user enters a new password, in a field with the name "password". A field with
	// the name "token" accepts the token, or the whole link. A script can fill it from the part of
	// the URL after "#". For browsers without scripts, the field must be visible.
	StepReset Step = "reset"
	// StepDone: the password is changed.
	StepDone Step = "done"
)

// Page contains the values for a page. Printing it does not show the token.
type Page struct {
	Step Step
	// Problem is the message for the user, or "". Field is the name of the field that it belongs
	// to, or "" if it belongs to none, such as too many attempts.
	Problem, Field string
	// Address is the address of the previous attempt.
	Address string
	// Token is the token of the previous attempt if the password was rejected, so that users do not
	// have to open the link again. It MUST be used only as the value of the field "token".
	Token Token
	// Login, Request and NameLabel are the values of FormOptions.
	Login, Request, NameLabel string
}

// Token is the token of a reset link, for a page that puts it into its form again. Printing it, also
// as part of a Page, does not show it.
type Token struct{ text string }

// Text returns the token, for the value of the field "token". It is "" if there is none.
func (t Token) Text() string { return t.text }

// String returns "[redacted]".
func (Token) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (Token) GoString() string { return "[redacted]" }

// RequestForm returns the page on which users request a link. GET shows a form. POST does the work
// of [Recovery.Request] and shows the same page for every address, known or unknown. Errors have
// the same status as errors of Request. Route both methods to it, outside the authentication chain.
func (r *Recovery) RequestForm(opts *FormOptions) http.Handler {
	return form(opts, Page{Step: StepRequest}, func(w http.ResponseWriter, req *http.Request, p *Page) error {
		v, err := r.request(w, req)
		p.Address = v
		if err == nil {
			p.Step = StepSent
		}
		return err
	})
}

// ResetForm returns the page to which the links lead. On it, users set a new password. Mount it for
// GET and POST at the path of the URL that you passed to New as page, outside the authentication
// chain. GET shows a form. POST does the work of [Recovery.Reset] and shows a page. Errors have the
// status of Reset, and show the form again if the user can correct them.
//
// A script of the page moves the token from the URL into the form. In a browser without scripts
// the page has a field into which users paste the link.
func (r *Recovery) ResetForm(opts *FormOptions) http.Handler {
	return form(opts, Page{Step: StepReset}, func(w http.ResponseWriter, req *http.Request, p *Page) error {
		v, err := login.Read(w, req, login.Field{Name: "token", Trim: true, Optional: true}, login.Field{Name: "password", Optional: true})
		if err != nil {
			return err
		}
		token := tokenIn(v[0])
		switch {
		case token == "":
			return authn.FieldError("token", "Paste the link from the message.")
		case v[1] == "":
			err = authn.FieldError("password", "Enter a new password.")
		default:
			err = r.resetFor(w, req, token, v[1])
		}
		if err == nil {
			p.Step = StepDone
		} else if !errors.As(err, new(tokenError)) && format.Valid(token) {
			p.Token = Token{token}
		}
		return err
	})
}

// mark is what precedes the token in a link.
const mark = "#token="

// tokenIn returns the token in a pasted link, or text if it is no link.
func tokenIn(text string) string {
	if i := strings.LastIndex(text, mark); i >= 0 {
		return text[i+len(mark):]
	}
	return text
}

// form returns a page that shows first, and whose post changes it or returns an error.
func form(opts *FormOptions, first Page, post func(http.ResponseWriter, *http.Request, *Page) error) http.Handler {
	var o FormOptions
	if opts != nil {
		o = *opts
	}
	if o.Render == nil {
		o.Render = render
	}
	first.Login, first.Request, first.NameLabel = o.Login, o.Request, o.NameLabel
	return authn.Page("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, status := first, http.StatusOK
		var err error
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodPost:
			if err = post(w, r, &p); err != nil {
				status, err = p.explain(w, err)
			}
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			err = authn.MethodNotAllowed(r.Method)
		}
		if err == nil {
			err = authn.Render(w, "recovery.FormOptions.Render", func(w http.ResponseWriter) {
				headers(w.Header())
				w.WriteHeader(status)
				o.Render(w, r, p)
			})
		}
		if err != nil {
			w.Header().Del("Retry-After")
			authn.RespondPage(w, r, authn.Undecided(err))
		}
	}))
}

// explain sets the problem of p for an error that users can correct, and returns the status. It
// returns other errors.
func (p *Page) explain(w http.ResponseWriter, err error) (int, error) {
	var e *authn.Error
	if !errors.As(err, &e) || e == nil || e.Status != http.StatusBadRequest && e.Status != http.StatusTooManyRequests {
		return 0, err
	}
	p.Problem = e.Detail
	for _, m := range e.Members {
		if list, ok := m.Value.([]string); ok && p.Field == "" {
			p.Field, p.Problem = m.Name, strings.Join(list, " ")
		}
	}
	if wait := int64((e.RetryAfter + time.Second - 1) / time.Second); wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	return e.Status, nil
}

// headers sets the headers of the pages. No site can frame them, and the only script is the one of
// the page. The Referrer-Policy is not "no-referrer", because browsers would then send "null" as the
// Origin of the form.
func headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src '"+scriptHash+"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
}

func render(w http.ResponseWriter, _ *http.Request, p Page) {
	p.NameLabel = cmp.Or(p.NameLabel, emailLabel)
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, string(p.Step), p); err != nil {
		panic(err) // Render answers with 500
	}
	_, _ = w.Write(b.Bytes())
}

const emailLabel = "E-mail address"

// script moves the token of the link into the form and removes it from the address bar and the
// history. It runs also when a link is opened in a tab that already shows the page.
const script = `
	const form = document.querySelector("form")
	const take = () => {
		const token = new URLSearchParams(location.hash.slice(1)).get("token")
		if (!token) return
		history.replaceState(null, "", location.pathname + location.search)
		form.token.value = token
		document.getElementById("link").hidden = true
		form.password.focus()
	}
	addEventListener("hashchange", take)
	take()
`

// scriptHash is the source expression that allows script (Content Security Policy 3, 2.3.1).
var scriptHash = func() string {
	sum := sha256.Sum256([]byte(script))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}()

const problemText = `{{with .Problem}}<p role="alert" id="problem">{{.}}</p>
{{end}}`

// ifWrong returns attributes that tie a field to the problem if it belongs to the field. described
// are the IDs of what else describes it.
func ifWrong(field string, described ...string) string {
	always := ""
	if len(described) > 0 {
		always = ` aria-describedby="` + strings.Join(described, " ") + `"`
	}
	return `{{if eq .Field "` + field + `"}} aria-invalid="true" aria-describedby="` + strings.Join(append(described, "problem"), " ") + `"{{else}}` + always + `{{end}}`
}

var pages = func() *template.Template {
	all := template.New("")
	for step, page := range map[Step][2]string{
		StepRequest: {"Reset your password", problemText + `<p>You will get a message with a link to set a new password.</p>
<form method="post">
	<label>{{.NameLabel}} <input name="address" value="{{.Address}}"{{if eq .NameLabel "` + emailLabel + `"}} type="email" autocomplete="email"{{else}} autocomplete="username"{{end}} autocapitalize="none" spellcheck="false" required` + ifWrong("address") + ` autofocus></label>
	<div class="buttons"><button class="main">Send link</button></div>
</form>
{{with .Login}}<p><a href="{{.}}">Back to the login</a></p>
{{end}}`},
		StepSent: {"Check your messages", `<p>If an account matches what you entered, we have sent a message with a link. It can take a few minutes to arrive.</p>
{{with .Request}}<p>No message? Look in the spam folder, or <a href="{{.}}">try again</a>.</p>
{{end}}`},
		StepReset: {"Set a new password", problemText + `<form method="post">
	{{if .Token.Text}}<input type="hidden" name="token" value="{{.Token.Text}}">{{else}}<div id="link">
	<p id="hint">Copy the whole link from the message and paste it here.</p>
	<label>Link <input name="token" autocomplete="off" autocapitalize="none" spellcheck="false" required` + ifWrong("token", "hint") + ` autofocus></label>
	</div>
	{{end}}<label>New password <input name="password" type="password" autocomplete="new-password" required` + ifWrong("password") + `{{if .Token.Text}} autofocus{{end}}></label>
	<div class="buttons"><button class="main">Set new password</button></div>
	{{if not .Token.Text}}<script>` + script + `</script>
{{end}}</form>
{{with .Request}}<p><a href="{{.}}">Request another link</a></p>
{{end}}`},
		StepDone: {"Your password is changed", `<p>You are logged out everywhere.{{with .Login}} <a href="{{.}}">Log in</a> with the new password.{{end}}</p>
`},
	} {
		template.Must(all.New(string(step)).Parse(style.Page("narrow", page[0], page[1])))
	}
	return all
}()
