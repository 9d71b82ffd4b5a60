package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// #region notes

// Note is a row of our own table, in the same database.
type Note struct {
	ID    int64  `json:"id"`
	Owner string `json:"-" gorm:"index;not null"` // the ID of the account
	Text  string `json:"text" gorm:"not null"`
}

func (n Note) owner() string { return n.Owner }

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
	notes, err := a.notesOf(r)
	if err != nil {
		authn.Respond(w, r, err) // 503 if the database is down
		return
	}
	writeJSON(w, http.StatusOK, notes)
}

func (a *api) notesOf(r *http.Request) ([]Note, error) {
	notes := []Note{}
	owner := authn.FromContext(r.Context()).Subject
	err := a.db.DB(r.Context()).Where("owner = ?", owner).Order("id").Limit(maxNotes).Find(&notes).Error
	return notes, err
}

// maxNotes is how many notes an account can have, so that nobody fills the disk.
const maxNotes = 100

var textField = login.Field{Name: "text", Trim: true, MaxBytes: 4000}

// create adds a note of the caller's.
func (a *api) create(w http.ResponseWriter, r *http.Request) {
	note, err := a.add(w, r)
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, note)
}

func (a *api) add(w http.ResponseWriter, r *http.Request) (Note, error) {
	v, err := login.Read(w, r, textField)
	if err != nil {
		return Note{}, err
	}
	owner := authn.FromContext(r.Context()).Subject
	if err := a.room(r, owner); err != nil {
		return Note{}, err
	}
	note := Note{Owner: owner, Text: v[0]}
	err = a.db.DB(r.Context()).Create(&note).Error
	return note, err
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

// #region object

// load returns the note that the path names. HandleObject calls it after it has authenticated the
// caller, and checks the note's owner before it calls the handler.
func (a *api) load(r *http.Request) (Note, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return Note{}, authn.NotFound("")
	}
	var note Note
	err = a.db.DB(r.Context()).First(&note, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Note{}, authn.NotFound("")
	}
	return note, err
}

func (a *api) show(w http.ResponseWriter, _ *http.Request, note Note) {
	writeJSON(w, http.StatusOK, note)
}

// change replaces the text. The body is JSON.
func (a *api) change(w http.ResponseWriter, r *http.Request, note Note) {
	var in struct{ Text string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Text == "" || len(in.Text) > textField.MaxBytes {
		authn.Respond(w, r, authn.FieldError("text", "Must be a text of 1 to 4000 bytes."))
		return
	}
	// The condition repeats the owner: the row may have changed since it was loaded.
	done := a.db.DB(r.Context()).Model(&Note{}).Where("id = ? AND owner = ?", note.ID, note.Owner).Update("text", in.Text)
	if err := oneRow(done); err != nil {
		authn.Respond(w, r, err)
		return
	}
	note.Text = in.Text
	writeJSON(w, http.StatusOK, note)
}

func (a *api) remove(w http.ResponseWriter, r *http.Request, note Note) {
	done := a.db.DB(r.Context()).Where("id = ? AND owner = ?", note.ID, note.Owner).Delete(&Note{})
	if err := oneRow(done); err != nil {
		authn.Respond(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// oneRow returns 404 if a statement changed no row.
func oneRow(done *gorm.DB) error {
	if done.Error == nil && done.RowsAffected == 0 {
		return authn.NotFound("")
	}
	return done.Error
}

// #endregion object

// #region everywhere

// logoutEverywhere revokes all tokens and sessions of the caller, this one included.
func (a *api) logoutEverywhere(w http.ResponseWriter, r *http.Request) {
	if _, err := storage.LogoutEverywhere(r.Context(), a.db, authn.FromContext(r.Context()).Subject); err != nil {
		authn.Respond(w, r, err) // nothing was revoked
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// #endregion everywhere

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}
