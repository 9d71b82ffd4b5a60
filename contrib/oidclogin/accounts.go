package oidclogin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

// caller returns the identity of the request's session. It ignores the Authorization header.
func (l *Login) caller(r *http.Request) (authn.Identity, error) {
	id, err := l.sessions.Authenticate(r)
	switch {
	case errors.Is(err, authn.ErrNoCredentials):
		return authn.Identity{}, authn.NotAuthenticated()
	case err != nil:
		return authn.Identity{}, err
	case !id.Authenticated():
		return authn.Identity{}, authn.NotAuthenticated()
	}
	return id, login.FirstParty(id)
}

// recent returns the caller if the session is a recent login. So another person who uses a browser
// that was left logged in cannot add a login to the account.
func (l *Login) recent(r *http.Request) (authn.Identity, error) {
	if err := l.fromOwnPage(r); err != nil {
		return authn.Identity{}, err
	}
	id, err := l.caller(r)
	if err != nil {
		return authn.Identity{}, err
	}
	if l.opts.Clock().Sub(id.AuthTime) > l.opts.Fresh {
		return authn.Identity{}, authn.InsufficientAuthentication(authn.StepUp{MaxAge: l.opts.Fresh})
	}
	return id, nil
}

// beginLink sends the browser of a recent session to the provider, to link its user.
func (l *Login) beginLink(w http.ResponseWriter, r *http.Request, p *provider) error {
	id, err := l.recent(r)
	if err != nil {
		return err
	}
	sessionID, epoch, ok := l.sessions.FromIdentity(id)
	if !ok {
		return authn.NotAuthenticated()
	}
	return l.send(w, r, p, flow{
		Next: session.SafeNext(form(w, r, "next"), l.opts.Next), Subject: id.Subject, Session: sessionID, Epoch: epoch,
	})
}

// finishLink links the user of the ID token to the account of the session that began the flow. The
// browser must still have that session.
func (l *Login) finishLink(w http.ResponseWriter, r *http.Request, p *provider, f flow, t verified) error {
	id, err := l.caller(r)
	if err != nil {
		return err
	}
	sessionID, epoch, ok := l.sessions.FromIdentity(id)
	if !ok || sessionID != f.Session || id.Subject != f.Subject || epoch != f.Epoch {
		return failed(errors.New("the session is not the one that began to link"))
	}
	switch _, err := l.accounts.Link(audit.Context(r), f.Subject, f.Epoch, p.Issuer, t.Subject); {
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrLimit), errors.Is(err, storage.ErrStale):
		e := &authn.Error{Status: http.StatusConflict, Code: "not_linked", Detail: "This login was not linked. It may be linked already, to this account or another one."}
		return e.WithCause(err)
	case err != nil:
		return err
	}
	http.Redirect(w, r, f.Next, http.StatusSeeOther)
	return nil
}

// listedLink is a link in the response of links.
type listedLink struct {
	ID       string `json:"id"`
	Provider string `json:"provider"` // "" for an issuer that is not configured
	Issuer   string `json:"issuer"`
	Created  string `json:"created"`
}

// links lists the links of the session's account.
func (l *Login) links(w http.ResponseWriter, r *http.Request) error {
	id, err := l.caller(r)
	if err != nil {
		return err
	}
	list, err := l.accounts.Links(r.Context(), id.Subject)
	if err != nil {
		return err
	}
	out := make([]listedLink, len(list))
	for i, v := range list {
		out[i] = listedLink{ID: v.ID, Issuer: v.Issuer, Created: v.Created.UTC().Format(time.RFC3339)}
		for _, p := range l.providers {
			if p.Issuer == v.Issuer {
				out[i].Provider = p.Name
			}
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(body)
	return err
}

// unlink deletes a link and logs the account out everywhere, except from the session of the
// request.
func (l *Login) unlink(w http.ResponseWriter, r *http.Request) error {
	id, err := l.recent(r)
	if err != nil {
		return err
	}
	which := form(w, r, "id")
	next := session.SafeNext(form(w, r, "next"), l.opts.Next)
	err = l.sessions.Keep(w, r, func() (authn.Login, error) {
		if err := l.accounts.Unlink(audit.Context(r), id.Subject, which); err != nil {
			return authn.Login{}, err
		}
		epoch, err := l.accounts.Epoch(r.Context(), id.Subject)
		return authn.Login{Subject: id.Subject, Epoch: epoch, AuthTime: id.AuthTime, ACR: id.ACR, AMR: id.AMR}, err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return &authn.Error{Status: http.StatusNotFound, Code: "not_found", Detail: "There is no such link."}
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}
