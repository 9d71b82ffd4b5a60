package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// note is the object that the permissions are about.
type note struct {
	ID      int64  `json:"id"`
	Text    string `json:"text"`
	Owner   string `json:"owner"`
	subject string
}

// notes is a small store of notes in memory: what a handler works with once
// somebody else has seen to who may.
type notes struct {
	mu   sync.Mutex
	last int64
	byID map[int64]note
	// owned counts the notes of each account. The notes of clients count together.
	owned map[string]int
}

func newNotes() *notes { return &notes{byID: make(map[int64]note), owned: make(map[string]int)} }

// maxNotes is how many notes an account can have, because they are in memory.
const maxNotes = 1000

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	all := make([]note, 0, len(n.byID))
	for _, x := range n.byID {
		all = append(all, x)
	}
	n.mu.Unlock()
	slices.SortFunc(all, func(a, b note) int { return int(a.ID - b.ID) })
	writeJSON(w, http.StatusOK, all)
}

func (n *notes) create(w http.ResponseWriter, r *http.Request) {
	text, err := readText(w, r)
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	x, err := n.add(note{Text: text, Owner: displayName(r), subject: authn.FromContext(r.Context()).Subject})
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, x)
}

// add stores a note with the next ID. It returns 403 if its owner has maxNotes notes.
func (n *notes) add(x note) (note, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owned[x.subject] >= maxNotes {
		return note{}, authn.PermissionDenied("You have 1000 notes already: delete one first.")
	}
	n.owned[x.subject]++
	n.last++
	x.ID = n.last
	n.byID[x.ID] = x
	return x, nil
}

// load is the loader of authz.HandleObject.
func (n *notes) load(r *http.Request) (note, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return note{}, authn.NotFound("")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	x, ok := n.byID[id]
	if !ok {
		return note{}, authn.NotFound("")
	}
	return x, nil
}

func (n *notes) get(w http.ResponseWriter, _ *http.Request, x note) {
	writeJSON(w, http.StatusOK, x)
}

func (n *notes) put(w http.ResponseWriter, r *http.Request, x note) {
	text, err := readText(w, r)
	if err != nil {
		authn.Respond(w, r, err)
		return
	}
	n.mu.Lock()
	_, there := n.byID[x.ID]
	if there {
		x.Text = text
		n.byID[x.ID] = x
	}
	n.mu.Unlock()
	if !there {
		authn.Respond(w, r, authn.NotFound(""))
		return
	}
	writeJSON(w, http.StatusOK, x)
}

func (n *notes) delete(w http.ResponseWriter, _ *http.Request, x note) {
	n.mu.Lock()
	if _, there := n.byID[x.ID]; there {
		delete(n.byID, x.ID)
		n.owned[x.subject]--
	}
	n.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// routes registers the notes: everybody reads, who is authenticated writes, and
// the owner or an administrator changes. Over OAuth2 the scopes are needed too.
func (n *notes) routes(mux *authz.Mux) {
	read := authz.Or(authz.HasScope("notes:read"), authz.Not(authz.IsAuthenticated))
	write := authz.And(authz.IsAuthenticated, authz.HasScope("notes:write"))
	change := authz.Require(write, authz.Or(authz.OwnedBy(func(x note) string { return x.subject }), authz.IsAdmin))
	mux.HandleFunc("GET /api/notes", n.list, read)
	mux.HandleFunc("POST /api/notes", n.create, write)
	mux.Handle("GET /api/notes/{id}", authz.HandleObject(authz.Require(read), n.load, n.get))
	mux.Handle("PUT /api/notes/{id}", authz.HandleObject(change, n.load, n.put))
	mux.Handle("DELETE /api/notes/{id}", authz.HandleObject(change, n.load, n.delete))
}

// readText reads {"text": "…"} or a form with that field.
func readText(w http.ResponseWriter, r *http.Request) (string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	var text *string
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.ToLower(strings.TrimSpace(kind)) {
	case "", "application/json":
		var body struct {
			Text *string `json:"text"`
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil || !utf8.Valid(raw) || json.Unmarshal(raw, &body) != nil {
			return "", authn.BadRequest("Malformed request: the body is not a JSON object with a text.")
		}
		text = body.Text
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return "", authn.BadRequest("Malformed request: the body is no form.")
		}
		if r.PostForm.Has("text") {
			v := r.PostForm.Get("text")
			text = &v
		}
	default:
		return "", &authn.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "Unsupported media type in request."}
	}
	switch {
	case text == nil:
		return "", authn.FieldError("text", "This field is required.")
	case !utf8.ValidString(*text):
		return "", authn.FieldError("text", "This field is not UTF-8.")
	case strings.TrimSpace(*text) == "":
		return "", authn.FieldError("text", "This field may not be blank.")
	}
	return *text, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
