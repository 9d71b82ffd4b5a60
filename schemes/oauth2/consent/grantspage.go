package consent

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// GrantsPage returns the page on which users see and revoke their grants. GET shows 100 grants,
// with a link to older ones. POST of the form revokes all grants of a client and redirects to the
// page (303). Mount it like [Pages.Authorize]. The CSRF protection of the session scheme protects
// the form.
func (p *Pages) GrantsPage() http.Handler {
	return authn.Page(p.login, p.handler(p.showGrants, p.postGrants))
}

// GrantsView contains the values for the page of grants.
type GrantsView struct {
	// User is the name of the user.
	User string
	// Clients are the clients that have access to the account, the clients with the newest grants
	// first.
	Clients []Grantee
	// Next, if not "", is the address of the page with older grants.
	Next string
	// Token, if not "", goes into a hidden field with the name csrf.Field of each form.
	Token string
}

// Grantee is a client on the page of grants.
type Grantee struct {
	// Grant goes into a hidden field with the name "grant". The form sends it to its own address by
	// POST, which revokes all grants of the client.
	Grant string
	// Name is the client's name, or its ID; Since is the date of a grant, such as 2026-02-03.
	Name, Since string
	// Host is the host of the client's ID if the client has a client ID metadata document, and
	// otherwise "". Show it, because such a client chose its name itself.
	Host      string
	Scopes    []Scope
	Resources []string
}

func (p *Pages) showGrants(w http.ResponseWriter, r *http.Request) error {
	u, ok, err := p.sessions.User(r)
	if err != nil {
		return err
	}
	if !ok {
		return p.toLogin(w, r, server.AuthorizationRequest{MaxAge: -1})
	}
	token, err := p.sessions.FormToken(r)
	if err != nil {
		return err
	}
	after, err := placeOf(r)
	if err != nil {
		return oauth2.PageError("This page does not exist. Open the list of your applications again.")
	}
	list, next, err := p.server.Grants(r.Context(), u.Subject, after, maxListed)
	if err != nil {
		return err
	}
	shown := GrantsView{User: u.Name, Token: token, Next: nextPage(next)}
	described := p.server.Options().Scopes
	at := map[string]int{} // index in shown.Clients by client
	for _, f := range list {
		i, there := at[f.Client]
		if !there {
			i = len(shown.Clients)
			at[f.Client] = i
			shown.Clients = append(shown.Clients, Grantee{Grant: f.ID, Name: cmp.Or(f.Name, f.Client), Host: server.DocumentHost(storage.Client{ID: f.Client})})
		}
		g := &shown.Clients[i]
		g.Since = f.Created.UTC().Format(time.DateOnly)
		for _, name := range f.Scopes {
			if sc := (Scope{name, described[name]}); !slices.Contains(g.Scopes, sc) {
				g.Scopes = append(g.Scopes, sc)
			}
		}
		for _, uri := range f.Resource {
			if !slices.Contains(g.Resources, uri) {
				g.Resources = append(g.Resources, uri)
			}
		}
	}
	d, err := draw(w, r, "consent.Options.RenderGrants", http.StatusOK, p.opts.RenderGrants, grantsTemplate, shown)
	if err != nil {
		return err
	}
	d.Send()
	return nil
}

func (p *Pages) postGrants(w http.ResponseWriter, r *http.Request) error {
	f, u, err := p.form(w, r)
	if err != nil {
		return err
	}
	err = p.server.RevokeGrant(r.Context(), u.Subject, f.Get("grant"), true)
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // the page no longer lists it
		return err
	}
	page.Redirect(w, "?") // this page
	return nil
}

var grantsTemplate = page.Template("grants", "Connected applications", `<p>{{if .Clients}}These applications have access to your account, {{else}}No applications have access to your account, {{end}}<strong>{{.User}}</strong>{{if .Clients}}:{{else}}.{{end}}</p>
{{range .Clients}}<section>
<h2>{{.Name}}{{with .Host}} ({{.}}){{end}}</h2>
<p class="soft">Allowed since {{.Since}}. It can:</p>
`+scopeList+`<form method="post">
	<input type="hidden" name="grant" value="{{.Grant}}">
	{{with $.Token}}<input type="hidden" name="`+csrf.Field+`" value="{{.}}">{{end}}
	<div class="buttons"><button class="end">Revoke access<span class="hidden"> of {{.Name}}</span></button></div>
</form>
</section>
{{end}}{{with .Next}}<section><a href="{{.}}">Show older applications</a></section>
{{end}}`)
