package oauth2

import (
	"cmp"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/storage"
)

// Scope is a scope as the consent page shows it.
type Scope struct{ Name, Description string }

// Consent is what the consent page shows.
type Consent struct {
	// Client is the application's name, or its ID; Site is where the browser goes then.
	Client, Site string
	// User is who is asked.
	User   string
	Scopes []Scope
	// Handle goes into a hidden field of the name "handle". The form sends it to its own
	// address by POST, with "decision", which is "allow" or "deny".
	Handle string
	// Token, where not "", goes into a hidden field of the name csrf.Field.
	Token string
}

// consent writes the consent page, and returns it with the record of its handle. Neither is sent
// or stored yet: a hook that panics leaves nothing behind.
func (s *Server) consent(w http.ResponseWriter, r *http.Request, q request, u user) (*authn.Draft, storage.AuthRequest, error) {
	handle, err := s.text(handlePrefix)
	if err != nil {
		return nil, storage.AuthRequest{}, err
	}
	waits, err := s.stored(purposeConsent, handle, q, consentTTL)
	if err != nil {
		return nil, waits, err
	}
	waits.Subject, waits.Session = u.subject, u.session
	c, err := s.consentOf(r, q.client, q.Scopes, u, handle)
	if err != nil {
		return nil, waits, err
	}
	if to, err := url.Parse(q.to); err == nil {
		c.Site = to.Host
	}
	page, err := authn.Draw(w, "oauth2.Options.RenderConsent", func(w http.ResponseWriter) {
		pageHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		if s.opts.RenderConsent != nil {
			s.opts.RenderConsent(w, r, c)
			return
		}
		_ = consentTemplate.Execute(w, c)
	})
	return page, waits, err
}

// consentOf is what a page shows that asks the user.
func (s *Server) consentOf(r *http.Request, client storage.Client, scopes []string, u user, handle string) (Consent, error) {
	token, err := s.formToken(r)
	c := Consent{Client: cmp.Or(client.Name, client.ID), User: u.name, Handle: handle, Token: token}
	for _, name := range scopes {
		c.Scopes = append(c.Scopes, Scope{name, s.opts.Scopes[name]})
	}
	return c, err
}

// pageHeaders are those of a page with a form that no other site may frame, and that runs no
// script. There is no form-action: browsers apply it to every redirect after the form too,
// and where those lead is the client's affair (its callback may redirect to another origin),
// or that of a login page at another provider. The button would do nothing.
func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	// Not "no-referrer": browsers would send "null" for the Origin of the form. No other origin
	// is told the address either way.
	h.Set("Referrer-Policy", "same-origin")
}

// textHeaders are those of a page without a form.
func textHeaders(h http.Header) {
	pageHeaders(h)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// pages answers GET and POST, and what could not be sent to a redirect URI with an error page.
// A HEAD would use up what only a browser goes on with.
func (s *Server) pages(get, post func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := longQuery(r)
		if err != nil {
			s.page(w, r, err)
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
		s.page(w, r, err)
	})
}

// page answers with an error page what could not be sent to a redirect URI.
func (s *Server) page(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	switch {
	case err == nil:
		return
	case !errors.As(err, &e): // a fault
		authn.RespondPage(w, r, authn.Undecided(err))
		return
	}
	s.logger().LogAttrs(r.Context(), slog.LevelInfo, "authorization refused", slog.String("scheme", "oauth2"), slog.Any("reason", e), slog.String("route", r.Pattern))
	textHeaders(w.Header())
	e.retry(w.Header())
	w.WriteHeader(e.Status)
	_ = errorTemplate.Execute(w, e)
}

// showRefused shows an error that the client is told only if the user goes there.
func showRefused(w http.ResponseWriter, q request, e *Error, to string) {
	page := struct {
		Client, Site, Description, Code string
		To                              template.URL
	}{cmp.Or(q.client.Name, q.client.ID), q.to, e.Description, e.Code, template.URL(to)} // a redirect URI that CheckRedirect let in
	if u, err := url.Parse(q.to); err == nil && u.Host != "" {
		page.Site = u.Host
	}
	textHeaders(w.Header())
	w.WriteHeader(e.Status)
	_ = refusedTemplate.Execute(w, page)
}

const pageStyle = `<style>
	:root { color-scheme: light dark }
	body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto 0; padding: 0 1rem }
	button { font: inherit; padding: .4rem 1rem; margin-right: .5rem }
</style>`

var consentTemplate = template.Must(template.New("consent").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Allow {{.Client}}?</title>
` + pageStyle + `
<h1>Allow {{.Client}}?</h1>
<p>{{.Client}}{{with .Site}} ({{.}}){{end}} asks to act for you, {{.User}}:</p>
<ul>{{range .Scopes}}
	<li>{{if .Description}}{{.Description}}{{else}}{{.Name}}{{end}}</li>{{else}}
	<li>nothing but to know that it is you</li>{{end}}
</ul>
<form method="post">
	<input type="hidden" name="handle" value="{{.Handle}}">
	{{with .Token}}<input type="hidden" name="` + csrf.Field + `" value="{{.}}">{{end}}
	<button name="decision" value="allow">Allow</button>
	<button name="decision" value="deny">Deny</button>
</form>
</html>
`))

// logoutForm is what the page that asks before a logout shows.
type logoutForm struct{ Client, User, Handle, Token string }

var logoutTemplate = template.Must(template.New("logout").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Log out?</title>
` + pageStyle + `
<h1>Log out?</h1>
<p>{{with .Client}}{{.}} asks to log you out, {{else}}You are logged in, {{end}}{{.User}}.</p>
<form method="post">
	<input type="hidden" name="handle" value="{{.Handle}}">
	{{with .Token}}<input type="hidden" name="` + csrf.Field + `" value="{{.}}">{{end}}
	<button name="decision" value="logout">Log out</button>
	<button name="decision" value="stay">Stay logged in</button>
</form>
</html>
`))

var messageTemplate = template.Must(template.New("message").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.}}</title>
` + pageStyle + `
<h1>{{.}}</h1>
</html>
`))

var refusedTemplate = template.Must(template.New("refused").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>This did not work</title>
` + pageStyle + `
<h1>This did not work</h1>
<p>{{.Description}}</p>
<p>You came from {{.Client}}, an application that nobody here has checked. <a href="{{.To}}" rel="noreferrer">Go to {{.Site}}</a> only if you know it.</p>
<p><small>{{.Code}}</small></p>
</html>
`))

var errorTemplate = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>This did not work</title>
` + pageStyle + `
<h1>This did not work</h1>
<p>{{.Description}}</p>
<p><small>{{.Code}}</small></p>
</html>
`))
