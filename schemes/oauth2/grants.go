package oauth2

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// maxListed is how many grants of a user are shown, manyGrants how many are looked at.
	maxListed  = 100
	manyGrants = 10_000
)

// Withdrawn: a user ended a grant.
const Withdrawn EventKind = "withdrawn"

// Grants returns the endpoint that lists what the caller allowed to clients: GET, answered
// with a list of {"id", "client", "name", "scopes", "created", "expiry"}, the last given
// first, at most 100. Nothing in it is a secret.
//
// The caller is who the chain in front of it found: the account itself, by whatever scheme. A
// client that acts for it, or what else is limited to scopes, is refused with 403 (RULES C7).
func (s *Server) Grants() http.Handler {
	type item struct {
		ID      string   `json:"id"`
		Client  string   `json:"client"`
		Name    string   `json:"name"`
		Scopes  []string `json:"scopes"`
		Created string   `json:"created"`
		Expiry  string   `json:"expiry"`
	}
	return s.owners(http.MethodGet, func(w http.ResponseWriter, r *http.Request, subject string) error {
		list, err := s.grants(r.Context(), subject, maxListed)
		if err != nil {
			return err
		}
		items := make([]item, len(list))
		for i, f := range list {
			items[i] = item{f.ID, f.Client, f.Name, append([]string{}, f.Scopes...), wireTime(f.Created), wireTime(f.Expires)}
		}
		write(w, http.StatusOK, items)
		return nil
	})
}

// RevokeGrant returns the endpoint that ends one of the caller's grants, with all its tokens:
// DELETE of a path whose {id} names it, answered with 204, or with 404 where the caller gave
// no such grant. Codes and approved device codes that the client has not redeemed end too. The
// caller is found as for Grants. A 503 says that it has not ended.
//
//	mux.Handle("DELETE /oauth2/grants/{id}", server.RevokeGrant(), authz.FirstParty)
func (s *Server) RevokeGrant() http.Handler {
	return s.owners(http.MethodDelete, func(w http.ResponseWriter, r *http.Request, subject string) error {
		err := s.withdraw(r.Context(), subject, r.PathValue("id"), false)
		if errors.Is(err, storage.ErrNotFound) {
			return authn.NotFound("")
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	})
}

// owners serves requests of one method for accounts themselves.
func (s *Server) owners(method string, f func(w http.ResponseWriter, r *http.Request, subject string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		var err error
		switch {
		case r.Method != method && !(r.Method == http.MethodHead && method == http.MethodGet):
			w.Header().Set("Allow", method)
			err = authn.MethodNotAllowed(r.Method)
		case !id.Authenticated():
			err = authn.NotAuthenticated()
		case id.Subject == "" || id.Issuer != "" || id.Delegated():
			err = authn.PermissionDenied("")
		default:
			err = f(w, r, id.Subject)
		}
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
		}
	})
}

// grants returns up to limit live grants of the subject, the last first.
func (s *Server) grants(ctx context.Context, subject string, limit int) ([]storage.Family, error) {
	list, err := s.store.ListFamilies(ctx, s.purpose, subject, limit)
	now, live := s.now(), list[:0]
	for _, f := range list {
		if now.Before(f.Expires) {
			live = append(live, f)
		}
	}
	return live, err
}

// withdraw ends one of the subject's grants, or all of its client, forgets the consent to the
// client, and drops what the client could still redeem: codes, and device grants that the user
// approved. Otherwise they would become grants after the user took everything back.
// storage.ErrNotFound where there is none such.
func (s *Server) withdraw(ctx context.Context, subject, id string, all bool) error {
	list, err := s.grants(ctx, subject, manyGrants)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(f storage.Family) bool { return f.ID == id })
	if i < 0 {
		return storage.ErrNotFound
	}
	client := list[i].Client
	list = list[i : i+1]
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.DropConsent(ctx, subject, client); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if err := s.store.DropCodes(ctx, subject, client); err != nil {
			return err
		}
		if err := s.store.DropDeviceGrants(ctx, subject, client); err != nil {
			return err
		}
		if all { // with what was redeemed until a moment ago
			if list, err = s.grants(ctx, subject, manyGrants); err != nil {
				return err
			}
			list = slices.DeleteFunc(list, func(f storage.Family) bool { return f.Client != client })
		}
		for _, f := range list {
			if err := s.rotator.EndFamily(ctx, f.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, f := range list {
			s.tell(ctx, Event{Withdrawn, client, subject, f.ID})
		}
	}
	return err
}

// wireTime is RFC 3339 with microseconds, in UTC.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// GrantsPage returns the page where users see what they allowed to clients, and take it back:
// GET shows it, POST of its form ends all grants of a client and comes back (303). Like Authorize it goes
// behind the chain, takes users of a session alone, sends others to the page at login, and
// needs Options.Session. That its form was sent by this page the chain's session scheme sees
// .
func (s *Server) GrantsPage(login string) http.Handler {
	if s.opts.Session == nil {
		panic("oauth2: GrantsPage without Options.Session")
	}
	return authn.Page(login, s.pages(func(w http.ResponseWriter, r *http.Request) error { return s.showGrants(w, r, login) }, s.postGrants))
}

// grantee is a client on the page, with one of its grants, which names it in the form.
type grantee struct {
	Grant, Name, Since string
	Scopes             []Scope
}

func (s *Server) showGrants(w http.ResponseWriter, r *http.Request, login string) error {
	u, ok := s.who(r)
	if !ok {
		return s.toLogin(w, r, login, request{MaxAge: -1})
	}
	list, err := s.grants(r.Context(), u.subject, maxListed)
	if err != nil {
		return err
	}
	page := struct {
		User, Token string
		Clients     []grantee
	}{User: u.name}
	if s.opts.Token != nil {
		page.Token = s.opts.Token(authn.FromContext(r.Context()))
	}
	at := map[string]int{} // of clients in page.Clients
	for _, f := range list {
		i, there := at[f.Client]
		if !there {
			i = len(page.Clients)
			at[f.Client] = i
			page.Clients = append(page.Clients, grantee{Grant: f.ID, Name: cmp.Or(f.Name, f.Client)})
		}
		g := &page.Clients[i]
		g.Since = f.Created.UTC().Format(time.DateOnly)
		for _, name := range f.Scopes {
			if sc := (Scope{name, s.opts.Scopes[name]}); !slices.Contains(g.Scopes, sc) {
				g.Scopes = append(g.Scopes, sc)
			}
		}
	}
	pageHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = grantsTemplate.Execute(w, page)
	return nil
}

func (s *Server) postGrants(w http.ResponseWriter, r *http.Request) error {
	f, err := readBody(w, r)
	if err != nil {
		return err
	}
	u, ok := s.who(r)
	if !ok {
		return forbidden("Log in first.")
	}
	err = s.withdraw(r.Context(), u.subject, f.get("grant"), true)
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // where it is gone already the page says so
		return err
	}
	redirect(w, "?") // to this very page
	return nil
}

var grantsTemplate = template.Must(template.New("grants").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Applications</title>
` + pageStyle + `
<h1>Applications</h1>
<p>These act for you, {{.User}}:</p>
{{range .Clients}}
<h2>{{.Name}}</h2>
<p>since {{.Since}}, and may:</p>
<ul>{{range .Scopes}}
	<li>{{if .Description}}{{.Description}}{{else}}{{.Name}}{{end}}</li>{{else}}
	<li>nothing but know that it is you</li>{{end}}
</ul>
<form method="post">
	<input type="hidden" name="grant" value="{{.Grant}}">
	{{with $.Token}}<input type="hidden" name="` + csrf.Field + `" value="{{.}}">{{end}}
	<button>Revoke</button>
</form>
{{else}}
<p>None.</p>
{{end}}
</html>
`))
