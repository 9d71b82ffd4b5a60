package guides

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/storage"
)

// errNoNote is the error of the application's own store for an unknown ID.
var errNoNote = errors.New("no such note")

type noteStore interface {
	Note(ctx context.Context, id int64) (Note, error)
	Notes(ctx context.Context) ([]Note, error)
}

// #region notes

// Note is an object that belongs to a user.
type Note struct {
	ID          int64
	Owner, Text string
}

func (n Note) owner() string { return n.Owner }

type notes struct{ store noteStore }

func newNotes(auth *authn.Middleware, store noteStore) *authz.Mux {
	n := notes{store}
	mux := authz.NewMux(auth)
	mux.HandleFunc("GET /notes", n.list, authz.IsAuthenticatedOrReadOnly)
	mine := authz.Require(authz.IsAuthenticated, authz.Or(authz.OwnedBy(Note.owner), authz.IsAdmin))
	mux.Handle("GET /notes/{id}", authz.HandleObject(mine, n.load, n.show))
	return mux
}

// load returns the note of the path. Its error decides the status of the response.
func (n notes) load(r *http.Request) (Note, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return Note{}, authn.NotFound("") // 404: no note has such an ID
	}
	note, err := n.store.Note(r.Context(), id)
	if errors.Is(err, errNoNote) {
		return Note{}, authn.NotFound("")
	}
	return note, err // 503 if the database is down, 500 for a bug
}

func (n notes) show(w http.ResponseWriter, _ *http.Request, note Note) {
	writeJSON(w, note)
}

// #endregion notes

func (n notes) list(w http.ResponseWriter, r *http.Request) {
	all, err := n.store.Notes(r.Context())
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	writeJSON(w, all)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// #region custom

// weekdays allows requests from Monday to Friday.
type weekdays struct{ now func() time.Time }

func (p weekdays) Decide(authz.Access) (authz.Decision, error) {
	if d := p.now().Weekday(); d == time.Saturday || d == time.Sunday {
		return authz.Deny, authn.PermissionDenied("Only on weekdays.")
	}
	return authz.Allow, nil
}

func (weekdays) String() string { return "weekdays" } // in the list of routes

// #endregion custom

func mountScopes(auth *authn.Middleware, list, change, me http.HandlerFunc) *authz.Mux {
	// #region scopes
	mux := authz.NewMux(auth).RequireScopes()
	mux.HandleFunc("GET /notes", list, authz.IsAuthenticated, authz.HasScope("notes:read"))
	mux.HandleFunc("POST /password", change, authz.FirstParty)                // no client may do this
	mux.HandleFunc("GET /me", me, authz.IsAuthenticated, authz.NoScopeNeeded) // any client may
	// #endregion scopes
	return mux
}

func mountChat(mux *authz.Mux, chat http.Handler) {
	// #region websocket
	mux.Handle("GET /chat", chat, authz.ByMethod(map[string]authz.Permission{
		"GET":         authz.IsAuthenticated,
		authz.Upgrade: authz.HasPerm("chat.add_message"), // also for the CONNECT of HTTP/2
	}))
	// #endregion websocket
}

// #region grants

// makeEditor puts a user into the group of editors and adds one permission of the user's own.
func makeEditor(ctx context.Context, db storage.Permissions, userID string) error {
	err := db.SetGroupPermissions(ctx, "editors", []string{"notes.add_note", "notes.change_note"})
	if err != nil {
		return err
	}
	if err := db.SetSubjectGroups(ctx, userID, []string{"editors"}); err != nil {
		return err
	}
	return db.SetSubjectPermissions(ctx, userID, []string{"notes.delete_note"})
}

// permissionsOf returns the permissions of a user and of all the user's groups, sorted.
func permissionsOf(ctx context.Context, db storage.Permissions, userID string) ([]string, error) {
	return db.SubjectPermissions(ctx, userID)
}

// #endregion grants

func mountDelete(mux *authz.Mux, remove http.HandlerFunc) {
	// #region hasperm
	mux.HandleFunc("DELETE /notes/{id}", remove, authz.HasPerm("notes.delete_note"))
	// #endregion hasperm
}

// #region roles

// promote replaces the roles of a user. Without roles it removes all of them.
func promote(ctx context.Context, db storage.Accounts, userID string) error {
	return db.SetRoles(ctx, userID, "admin", "editor")
}

// #endregion roles

// #region routes

// printRoutes writes the table of all routes, for a review or a test.
func printRoutes(w io.Writer, mux *authz.Mux) error {
	return authz.WriteRoutes(w, mux.Routes())
}

// audit fails if a route of another router is not guarded. walk yields its routes.
func audit(routes iter.Seq2[string, http.Handler], handler http.Handler) error {
	_, err := authz.Audit(routes, handler)
	if err != nil {
		return fmt.Errorf("unguarded routes: %w", err)
	}
	return nil
}

// #endregion routes
