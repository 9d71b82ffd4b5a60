package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/vestibule-auth/vestibule/authn"
)

// #region handlers

// Note belongs to the account with the ID Owner.
type Note struct {
	ID    int    `json:"id"`
	Owner string `json:"-"`
	Text  string `json:"text"`
}

func (n Note) owner() string { return n.Owner }

type app struct {
	auth  *authn.Middleware
	login http.Handler
	notes []Note // never changed
}

// list returns the caller's notes.
func (a *app) list(w http.ResponseWriter, r *http.Request) {
	mine := []Note{}
	for _, n := range a.notes {
		if n.Owner == authn.FromContext(r.Context()).Subject {
			mine = append(mine, n)
		}
	}
	writeJSON(w, mine)
}

// load returns the note that the path names; HandleObject then checks its owner.
func (a *app) load(r *http.Request) (Note, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(a.notes) {
		return Note{}, authn.NotFound("")
	}
	return a.notes[id-1], nil
}

func (a *app) show(w http.ResponseWriter, _ *http.Request, n Note) { writeJSON(w, n) }

func health(w http.ResponseWriter, _ *http.Request) {
	if _, err := w.Write([]byte("ok\n")); err != nil {
		slog.Debug("response not sent", "error", err)
	}
}

// #endregion handlers

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}
