package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// #region people

type people struct {
	db        *gormstore.Store
	passwords *password.Checker
}

// person loads the whole row of an account, for handlers that need more than its name.
func person(db *gormstore.Store) func(context.Context, storage.Account) (authn.User, error) {
	return func(ctx context.Context, a storage.Account) (authn.User, error) {
		var p Person
		err := db.DB(ctx).First(&p, "id = ?", a.UserID()).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, authn.AuthenticationFailed("Invalid token.").WithCause(err) // deleted at this moment
		}
		return &p, err
	}
}

// register inserts a person. Vestibule checks the password against its policy and hashes it.
func (p *people) register(w http.ResponseWriter, r *http.Request) {
	v, err := login.Read(w, r, login.Field{Name: "email", Trim: true}, login.Password)
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	email, err := canonical(v[0])
	if err != nil {
		authn.Respond(w, r, authn.FieldError("email", err.Error()))
		return
	}
	hash, err := p.passwords.NewHash(r.Context(), storage.User{Name: email, Email: email}, v[1])
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	row := Person{Email: email, PasswordHash: string(hash), Plan: "free"}
	// The unique index decides, also if two requests register one address at the same time.
	done := p.db.DB(r.Context()).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if done.Error == nil && done.RowsAffected == 0 {
		done.Error = authn.FieldError("email", "This address is registered already.")
	}
	if done.Error != nil {
		authn.Respond(w, r, done.Error)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	write(w, &row)
}

func (p *people) me(w http.ResponseWriter, r *http.Request) {
	me, _ := authn.UserFrom[*Person](r.Context())
	w.Header().Set("Content-Type", "application/json")
	write(w, me)
}

// remove marks the person as deleted and revokes all tokens, in one transaction. The address is
// free again; the ID is not.
func (p *people) remove(w http.ResponseWriter, r *http.Request) {
	me, _ := authn.UserFrom[*Person](r.Context())
	err := p.db.InTx(r.Context(), func(ctx context.Context) error {
		changes := map[string]any{"deleted_at": time.Now().UTC(), "email": fmt.Sprintf("deleted-%d", me.ID)}
		if err := p.db.DB(ctx).Model(&Person{}).Where("id = ?", me.ID).Updates(changes).Error; err != nil {
			return err
		}
		return p.db.DeleteSubject(ctx, authn.FromContext(ctx).Subject)
	})
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// #endregion people

func write(w http.ResponseWriter, p *Person) {
	if err := json.NewEncoder(w).Encode(map[string]string{"email": p.Email, "plan": p.Plan}); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}
