package main

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// #region notes

// Note is a row of our own table, in the same database.
type Note struct {
	ID    int64  `json:"id"`
	Owner string `json:"-" gorm:"index;not null"` // the ID of the account
	Text  string `json:"text" gorm:"not null"`
}

type api struct {
	db        *gormstore.Store
	passwords *password.Checker
}

// register creates an account.
func (a *api) register(w http.ResponseWriter, r *http.Request) {
	v, err := login.Read(w, r, login.Username, login.Password) // from JSON or a form
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	user, err := a.passwords.Register(r.Context(), password.NewUser{Name: v[0], Password: v[1]})
	if err != nil {
		authn.Respond(w, r, err) // 400 for a name that is taken or a weak password
		return
	}
	writeJSON(w, http.StatusCreated, map[string]string{"username": user.Name})
}

// list returns the caller's notes.
func (a *api) list(w http.ResponseWriter, r *http.Request) {
	notes := []Note{}
	owner := authn.FromContext(r.Context()).Subject
	if err := a.db.DB(r.Context()).Where("owner = ?", owner).Order("id").Limit(maxNotes).Find(&notes).Error; err != nil {
		authn.Respond(w, r, err) // 503 if the database is down
		return
	}
	writeJSON(w, http.StatusOK, notes)
}

// maxNotes is how many notes an account can have, so that nobody fills the disk.
const maxNotes = 100

var textField = login.Field{Name: "text", Trim: true, MaxBytes: 4000}

// create adds a note of the caller's.
func (a *api) create(w http.ResponseWriter, r *http.Request) {
	v, err := login.Read(w, r, textField)
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	owner := authn.FromContext(r.Context()).Subject
	if err := a.room(r, owner); err != nil {
		authn.Respond(w, r, err)
		return
	}
	note := Note{Owner: owner, Text: v[0]}
	if err := a.db.DB(r.Context()).Create(&note).Error; err != nil {
		authn.Respond(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, note)
}

// room returns 403 if the account has maxNotes notes. Requests at the same time can add a few more.
func (a *api) room(r *http.Request, owner string) error {
	var n int64
	err := a.db.DB(r.Context()).Model(&Note{}).Where("owner = ?", owner).Count(&n).Error
	if err == nil && n >= maxNotes {
		err = authn.PermissionDenied("You have 100 notes already.")
	}
	return err
}

// #endregion notes

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}
