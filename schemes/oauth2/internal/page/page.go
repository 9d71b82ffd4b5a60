// Package page has what the pages for people share: their headers, their style, their errors,
// and requests by POST.
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

// Headers sets the headers of a page with a form, which no other site may frame, and which runs
// no script. There is no form-action: browsers also apply it to every redirect after the form,
// which may lead to another origin at the client, or at a login page of another provider. The
// button would do nothing.
func Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	// Not "no-referrer": browsers would send "null" as the Origin of the form. No other origin
	// receives the address either way.
	h.Set("Referrer-Policy", "same-origin")
}

// TextHeaders sets the headers of a page without a form.
func TextHeaders(h http.Header) {
	Headers(h)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// Redirect answers with 303, so that no browser sends the fields of a form on (RFC 9700, section
// 4.12).
func Redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// LoginURL returns the address of the login page that leads back to r's path with these
// parameters. The path begins with one slash: two would name another host.
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

// Problem is an error that a page shows; *oauth2.Error is one.
type Problem interface {
	error
	Public() (status int, code, description string, retryAfter time.Duration)
}

// Handler serves GET and POST, with audit.Context, and answers errors as pages. Not HEAD: it would consume what only a
// browser continues with. check runs first.
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

// Error answers with a page for err, or does nothing if it is nil. An error that is no Problem is a
// fault.
func Error(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	var p Problem
	switch {
	case err == nil:
		return
	case !errors.As(err, &p):
		authn.RespondPage(w, r, authn.Undecided(err))
		return
	}
	log.LogAttrs(r.Context(), slog.LevelInfo, "authorization refused", slog.String("scheme", "oauth2"), slog.Any("reason", p), slog.String("route", r.Pattern))
	status, code, description, retry := p.Public()
	TextHeaders(w.Header())
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(status)
	_ = errorTemplate.Execute(w, struct{ Code, Description string }{code, description})
}

// Message answers with a page of one sentence.
func Message(w http.ResponseWriter, text string) error {
	TextHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = messageTemplate.Execute(w, text)
	return nil
}

// Template returns the template of a page whose title is also its heading. title and body are parts of
// the template.
func Template(name, title, body string) *template.Template {
	return template.Must(template.New(name).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>` + title + `</title>
` + style.Element + `
<main>
<h1>` + title + `</h1>
` + body + `</main>
</html>
`))
}

var messageTemplate = Template("message", "{{.}}", "")

var errorTemplate = Template("error", "Something went wrong", `<p>{{.Description}}</p>
<p class="soft">Error: {{.Code}}</p>
`)
