// Package page contains what the pages for users have in common: headers, style, errors, and
// requests by POST.
package page

import (
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/style"
)

// Headers sets the headers of a page with a form. No other site can frame the page, and it runs no
// script. It does not set form-action: browsers apply that to every redirect after the form, too,
// and the redirects can lead to other origins, such as a client or the login page of another
// provider. The button would do nothing.
func Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	// Not "no-referrer", because browsers would then send "null" as the Origin of the form. With
	// "same-origin" no other origin receives the URL, either.
	h.Set("Referrer-Policy", "same-origin")
}

// TextHeaders sets the headers of a page without a form.
func TextHeaders(h http.Header) {
	Headers(h)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// Redirect responds with 303, so that browsers do not forward the fields of a form (RFC 9700,
// section 4.12).
func Redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// LoginURL returns the URL of the login page that leads back to r's path with these parameters. The
// path begins with one slash, because two slashes would begin a host name.
func LoginURL(login string, r *http.Request, v url.Values) string {
	next := "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
	if len(v) > 0 {
		next += "?" + v.Encode()
	}
	mark := "?"
	if strings.Contains(login, "?") {
		mark = "&"
	}
	return login + mark + "next=" + url.QueryEscape(next)
}

// Problem is an error that a page can show, such as *oauth2.Error.
type Problem interface {
	error
	Public() (status int, code, description string, retryAfter time.Duration)
}

// Handler serves GET and POST, with audit.Context, and shows errors as pages. check runs first.
// HEAD is rejected, because it would consume records that only a browser can continue with.
func Handler(log *slog.Logger, check func(*http.Request) error, get, post func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(audit.Context(r))
		err := check(r)
		if err != nil {
			Error(w, r, err, log)
			return
		}
		switch r.Method {
		case http.MethodGet:
			err = get(w, r)
		case http.MethodPost:
			err = post(w, r)
		default:
			w.Header().Set("Allow", "GET, POST")
			err = authn.MethodNotAllowed(r.Method)
		}
		Error(w, r, err, log)
	})
}

// Error responds with a page for err, or does nothing if err is nil. An error that is not a Problem
// is a server error.
func Error(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	var p Problem
	switch {
	case err == nil:
		return
	case !errors.As(err, &p):
		authn.RespondPage(w, r, authn.Undecided(err))
		return
	}
	log.LogAttrs(r.Context(), slog.LevelInfo, "authorization rejected", slog.String("scheme", "oauth2"), slog.Any("reason", p), slog.String("route", r.Pattern))
	status, code, description, retry := p.Public()
	TextHeaders(w.Header())
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(status)
	_ = errorTemplate.Execute(w, struct{ Title, Code, Description string }{style.ErrorTitle(status), code, description})
}

// Message responds with a page of one sentence.
func Message(w http.ResponseWriter, text string) error {
	TextHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = messageTemplate.Execute(w, text)
	return nil
}

// Template returns the template of a page whose title is also its heading. title and body are parts of
// the template.
func Template(name, title, body string) *template.Template {
	return template.Must(template.New(name).Parse(style.Page("", title, body)))
}

var messageTemplate = Template("message", "{{.}}", "")

var errorTemplate = Template("error", "{{.Title}}", `<p>{{.Description}}</p>
<p class="soft">Error: {{.Code}}</p>
`)
