package consent

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// maxListed is how many grants of a user are listed at once.
const maxListed = 100

// listAfter is the parameter that names the grant which a list continues after.
const listAfter = "after"

// errPlace: the parameter is not one that a list gave.
var errPlace = errors.New("not a place in the list")

// placeOf reads the parameter, which may be absent.
func placeOf(r *http.Request) (storage.FamilyPlace, error) {
	text := r.URL.Query().Get(listAfter)
	if text == "" {
		return storage.FamilyPlace{}, nil
	}
	created, id, _ := strings.Cut(text, ".")
	nano, err := strconv.ParseInt(created, 10, 64)
	if err != nil || storage.CheckID("grant", id) != nil {
		return storage.FamilyPlace{}, errPlace
	}
	return storage.FamilyPlace{Created: time.Unix(0, nano).UTC(), ID: id}, nil
}

// nextPage returns the relative address where a list continues, "" if it does not.
func nextPage(p storage.FamilyPlace) string {
	if p.IsZero() {
		return ""
	}
	return "?" + url.Values{listAfter: {strconv.FormatInt(p.Created.UnixNano(), 10) + "." + p.ID}}.Encode()
}

// Grants returns the endpoint that lists the caller's grants. It accepts a GET and responds with a
// list of {"id", "client", "name", "scopes", "created", "expiry", "resource"}, newest first. The
// list holds no secret and at most 100 entries. If there are more, the response has the header
// "Link: <?after=…>; rel="next"" (RFC 8288) with the relative address of the next entries. An
// "after" that is not from such a link gets 400.
//
// The caller is the account that the chain authenticated, by any scheme; see Options.Own for chains
// with accounts of several tables. A client that acts for the account, or any other scope-limited
// identity, gets 403.
func (p *Pages) Grants() http.Handler {
	type item struct {
		ID      string   `json:"id"`
		Client  string   `json:"client"`
		Name    string   `json:"name"`
		Scopes  []string `json:"scopes"`
		Created string   `json:"created"`
		Expiry  string   `json:"expiry"`
		// Resource lists the APIs (RFC 8707); empty for a server without an Audience.
		Resource []string `json:"resource"`
	}
	return p.accounts(http.MethodGet, func(w http.ResponseWriter, r *http.Request, subject string) error {
		after, err := placeOf(r)
		if err != nil {
			return authn.BadRequest("").WithCause(err)
		}
		list, next, err := p.server.Grants(r.Context(), subject, after, maxListed)
		if err != nil {
			return err
		}
		if next := nextPage(next); next != "" {
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
		}
		items := make([]item, len(list))
		for i, f := range list {
			items[i] = item{f.ID, f.Client, f.Name, append([]string{}, f.Scopes...), wireTime(f.Created), wireTime(f.Expires), append([]string{}, f.Resource...)}
		}
		oauth2.WriteJSON(w, http.StatusOK, items)
		return nil
	})
}

// RevokeGrant returns the endpoint that revokes one of the caller's grants, with all its tokens. It
// accepts a DELETE for a path in which {id} is the grant's ID. The response is 204, or 404 if the
// caller has no such grant. It also revokes codes and approved device codes that the client has not
// redeemed. The caller is determined as in Grants. After a 503 the grant is still valid.
func (p *Pages) RevokeGrant() http.Handler {
	return p.accounts(http.MethodDelete, func(w http.ResponseWriter, r *http.Request, subject string) error {
		err := p.server.RevokeGrant(r.Context(), subject, r.PathValue("id"), false)
		if errors.Is(err, storage.ErrNotFound) {
			return authn.NotFound("")
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	})
}

// accounts serves requests of one method for accounts themselves.
func (p *Pages) accounts(method string, f func(w http.ResponseWriter, r *http.Request, subject string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(audit.Context(r))
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
			var own bool
			if own, err = p.own(id); err == nil && !own {
				err = authn.PermissionDenied("")
			}
			if err == nil {
				err = f(w, r, id.Subject)
			}
		}
		if err != nil {
			authn.Respond(w, r, authn.Undecided(err))
		}
	})
}

// wireTime is RFC 3339 with microseconds, in UTC.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
