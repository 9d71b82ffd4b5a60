package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
)

//go:embed page.html
var pageHTML string

// html/template escapes the notes, so that a note cannot contain a script.
var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// #region page

// page shows the notes of the user who is logged in.
func (a *api) page(w http.ResponseWriter, r *http.Request) {
	notes, err := a.notesOf(r)
	if err != nil {
		authn.RespondPage(w, r, err)
		return
	}
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	data := map[string]any{"User": user.Name, "Notes": notes, "CSRF": session.Token(authn.FromContext(r.Context()))}
	var body bytes.Buffer // so that an error of the template becomes a 500, not half a page
	if err := pageTemplate.Execute(&body, data); err != nil {
		authn.RespondPage(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // the Back button shows nothing after a logout
	if _, err := body.WriteTo(w); err != nil {
		slog.Debug("page not sent", "error", err) // the client has gone
	}
}

// createFromPage adds a note and shows the page again.
func (a *api) createFromPage(w http.ResponseWriter, r *http.Request) {
	if _, err := a.add(w, r); err != nil {
		authn.RespondPage(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// #endregion page
