package consent

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Scope is a scope on the consent page.
type Scope struct{ Name, Description string }

// Consent is the data of the consent page.
type Consent struct {
	// Client is the application's name, or its ID. Site is where the browser is redirected: to a
	// host, or to the scheme of a program on the user's device.
	Client, Site string
	// Unverified means that the client registered itself, so nobody has verified its name, which
	// can be the name of another application. A page MUST say so.
	Unverified bool
	// Host is the host of the client's ID if that is the URL of a client ID metadata document, and
	// "" for other clients. It is the only thing about such a client that is verified, so a page
	// MUST show it more prominently than Client, which can be any name.
	Host string
	// OtherSite means that Site is not Host: the client receives the response at another site than
	// the one that describes it. A page MUST warn about it.
	OtherSite bool
	// AnyProgram means that the client of Host is a program on the user's device. Any other program
	// there can pretend to be it, so a page MUST say so.
	AnyProgram bool
	// User is the name of the user who decides.
	User   string
	Scopes []Scope
	// Resources are the URIs of the APIs that the client can use (RFC 8707): the resources of the
	// request, or the server's own Audience if the request names none. A page MUST show them,
	// because a scope can have another meaning at another API.
	Resources []string
	// LoginHint is what the client knows about the user, and Locales are the languages that the
	// user prefers, from the request ("login_hint", "ui_locales"). They come from the client and
	// prove nothing.
	LoginHint string
	Locales   []string
	// Handle goes into a hidden field with the name "handle". The form must send it to its own URL
	// by POST, with the field "decision", which is "allow" or "deny".
	Handle string
	// Token, if not "", goes into a hidden field with the name csrf.Field.
	Token string
}

// drawConsent renders the consent page without sending it.
func (p *Pages) drawConsent(w http.ResponseWriter, r *http.Request, q server.AuthorizationRequest, u server.SessionUser, handle string) (*authn.Draft, error) {
	c, err := p.consent(r, q.Registered, q.Scopes, q.Resource, u, handle)
	if err != nil {
		return nil, err
	}
	c.Site, c.LoginHint, c.Locales = siteOf(q.To), q.LoginHint, slices.Clone(q.Locales)
	if q.Registered.FromDocument() {
		c.Host = server.DocumentHost(q.Registered)
		c.AnyProgram = syntax.LeadsToDevice(q.To)
		c.OtherSite = !c.AnyProgram && c.Site != c.Host
	}
	return draw(w, r, "consent.Options.Render", http.StatusOK, p.opts.Render, consentTemplate, c)
}

// draw renders a page with a form by the application's function or, if that is nil, by t.
func draw[T any](w http.ResponseWriter, r *http.Request, option string, status int, own func(http.ResponseWriter, *http.Request, T), t *template.Template, shown T) (*authn.Draft, error) {
	return authn.Draw(w, option, func(w http.ResponseWriter) {
		page.Headers(w.Header())
		w.WriteHeader(status)
		if own != nil {
			own(w, r, shown)
			return
		}
		_ = t.Execute(w, shown)
	})
}

// siteOf returns a description of where a redirect URI leads.
func siteOf(uri string) string {
	to, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case to.Scheme != "https" && to.Scheme != "http": // a private scheme, whose host, if any, names nobody
		return "a program on this device: " + to.Scheme
	case syntax.IsLoopback(to.Hostname()):
		return "a program on this device: " + to.Host
	}
	return to.Host
}

// consent returns the data of a page that asks the user for a decision.
func (p *Pages) consent(r *http.Request, client storage.Client, scopes, resources []string, u server.SessionUser, handle string) (Consent, error) {
	token, err := p.sessions.FormToken(r)
	c := Consent{Client: cmp.Or(client.Name, client.ID), Unverified: !client.Registration.IsZero() && !client.Trusted, User: u.Name, Handle: handle, Token: token, Resources: slices.Clone(resources)}
	described := p.server.Options().Scopes
	for _, name := range scopes {
		c.Scopes = append(c.Scopes, Scope{name, described[name]})
	}
	return c, err
}

// scopeList shows the scopes and resources of a Consent, or of a client on the page of grants.
// decisionForm is the form of a Consent.
const (
	scopeList = `<ul>{{range .Scopes}}
	<li>{{if .Description}}{{.Description}}{{else}}{{.Name}}{{end}}</li>{{else}}
	<li>Know who you are, and nothing else</li>{{end}}
</ul>
{{with .Resources}}<p>At these services:</p>
<ul>{{range .}}
	<li><code>{{.}}</code></li>{{end}}
</ul>
{{end}}`
	decisionForm = `{{if .Unverified}}<p class="note"><strong>This application is not verified.</strong> It chose its name itself. Allow it only if you know it.</p>
{{end}}<form method="post">
	<input type="hidden" name="handle" value="{{.Handle}}">
	{{with .Token}}<input type="hidden" name="` + csrf.Field + `" value="{{.}}">{{end}}
	<div class="buttons">
		<button class="main" name="decision" value="allow">Allow</button>
		<button name="decision" value="deny">Deny</button>
	</div>
</form>
`
)

var consentTemplate = page.Template("consent", "Allow {{.Client}}?", `{{with .Host}}<p style="font-size:1.5em"><strong>{{.}}</strong></p>
{{end}}<p><strong>{{.Client}}</strong>{{if .Host}}, as it calls itself,{{end}}{{with .Site}} <strong>({{.}})</strong>{{end}} requests access to your account, <strong>{{.User}}</strong>. It can then:</p>
`+scopeList+`{{if .OtherSite}}<p class="note"><strong>You will be sent to another site, {{.Site}}.</strong> Allow this only if you know that it belongs to {{.Host}}.</p>
{{end}}{{if .AnyProgram}}<p class="note">A program on this device requests access. The server cannot tell which program it is. Allow this only if you have just started it yourself.</p>
{{end}}`+decisionForm)

// showRefused shows an error that the client receives only if the user follows a link.
func showRefused(w http.ResponseWriter, q server.AuthorizationRequest, e *oauth2.Error, to string) {
	page.TextHeaders(w.Header())
	w.WriteHeader(e.Status)
	_ = refusedTemplate.Execute(w, refusedOf(q, e, to))
}

// refusedPage contains the values for refusedTemplate. Fields are those of a form; without any there
// is a link.
type refusedPage struct {
	Title, Client, Site, Description, Code string
	To                                     template.URL
	Fields                                 []field
}

func refusedOf(q server.AuthorizationRequest, e *oauth2.Error, to string) refusedPage {
	shown := refusedPage{Title: "Something went wrong", Client: cmp.Or(q.Registered.Name, q.Registered.ID), Site: q.To, Description: e.Description, Code: e.Code, To: template.URL(to)} // a redirect URI that oauth2.CheckRedirect accepted
	if errors.Is(e, errDenied) {                                                                                                                                                        // the user did it, and the description is for the client
		shown.Title, shown.Description = "Access denied", "You did not allow access to your account."
	}
	if u, err := url.Parse(q.To); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		shown.Site = u.Host
	}
	return shown
}

var refusedTemplate = page.Template("refused", "{{.Title}}", `<p>{{.Description}}</p>
<p class="note">You came from {{.Client}}, an application that is not verified. {{if .Fields}}Go to {{.Site}}{{else}}<a href="{{.To}}" rel="noreferrer">Go to {{.Site}}</a>{{end}} only if you know it.</p>
{{if .Fields}}<form method="post" action="{{.To}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}<button>Go to {{.Site}}</button></form>
{{end}}<p class="soft">Error: {{.Code}}</p>
`)
