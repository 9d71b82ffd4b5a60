package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/storage"
)

// notes are those of each account, in memory.
type notes struct {
	mu      sync.Mutex
	byOwner map[string][]string
}

func (n *notes) list(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	list := append([]string{}, n.byOwner[authn.FromContext(r.Context()).Subject]...)
	n.mu.Unlock()
	writeJSON(w, list)
}

func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	v, err := login.Read(w, r, login.Field{Name: "text", Trim: true, MaxBytes: 4000})
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	owner := authn.FromContext(r.Context()).Subject
	n.mu.Lock()
	full := len(n.byOwner[owner]) >= 100
	if !full {
		n.byOwner[owner] = append(n.byOwner[owner], v[0])
	}
	n.mu.Unlock()
	if full {
		authn.Respond(w, r, authn.PermissionDenied("You have 100 notes already."))
		return
	}
	n.list(w, r)
}

func me(w http.ResponseWriter, r *http.Request) {
	user, _ := authn.UserFrom[*storage.Account](r.Context())
	writeJSON(w, map[string]string{"username": user.Name})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.Debug("response not sent", "error", err) // the client has gone
	}
}
