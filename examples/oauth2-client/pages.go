package main

import (
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Cookies know no ports: another server of this machine sees them, so they have names of
// their own.
const (
	sessionCookie = "oauth2_client_session"
	tripCookie    = "oauth2_client_trip"
)

// trip is what a browser keeps while it is away at the server: the answer must fit it.
type trip struct{ State, Verifier, Nonce string }

func (t trip) String() string { return t.State + "." + t.Verifier + "." + t.Nonce }

func readTrip(r *http.Request) trip {
	c, err := r.Cookie(tripCookie)
	if err != nil {
		return trip{}
	}
	parts := strings.Split(c.Value, ".")
	if len(parts) != 3 {
		return trip{}
	}
	return trip{parts[0], parts[1], parts[2]}
}

func setCookie(w http.ResponseWriter, name, value, path string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: path, MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>A client</title>
<h1>A client</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
{{if .In}}{{with .User}}<p>Logged in as <b id="user">{{.}}</b></p>{{end}}
<p>The API says {{.Status}}:</p><pre id="answer">{{.Body}}</pre>
<form method="post" action="/refresh"><button>Renew the token</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
{{else}}<form method="post" action="/login"><button>Log in at {{.Issuer}}</button></form>{{end}}</html>`))

type view struct {
	Issuer, Problem, User, Body string
	In                          bool
	Status                      int
}

func show(w http.ResponseWriter, status int, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the callback's address holds a code
	w.WriteHeader(status)
	if err := page.Execute(w, v); err != nil {
		slog.Debug("page not sent", "error", err) // the browser has gone
	}
}

// routes are the application's pages. What changes something is POST, from its own pages.
func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.home(w, r, false) })
	mux.HandleFunc("POST /refresh", func(w http.ResponseWriter, r *http.Request) { a.home(w, r, true) })
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	t := trip{random(), oauth2.GenerateVerifier(), random()}
	setCookie(w, tripCookie, t.String(), "/callback", 600)
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(t.Verifier)}
	if a.idents != nil {
		options = append(options, oidc.Nonce(t.Nonce))
	}
	http.Redirect(w, r, a.oauth.AuthCodeURL(t.State, options...), http.StatusSeeOther)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	went := readTrip(r)
	setCookie(w, tripCookie, "", "/callback", -1) // one answer to a question
	s, err := a.finish(r.Context(), r.URL.Query(), went)
	if err != nil {
		show(w, http.StatusBadRequest, view{Issuer: a.Issuer, Problem: err.Error()})
		return
	}
	id := random()
	a.mu.Lock()
	a.sessions[id] = s
	a.mu.Unlock()
	setCookie(w, sessionCookie, id, "/", 0)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *app) session(r *http.Request) (id string, s *session) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return c.Value, a.sessions[c.Value]
}

func (a *app) home(w http.ResponseWriter, r *http.Request, renew bool) {
	_, s := a.session(r)
	if s == nil {
		show(w, http.StatusOK, view{Issuer: a.Issuer})
		return
	}
	status, body, err := a.call(r.Context(), s, renew)
	v := view{Issuer: a.Issuer, In: true, User: s.user, Status: status, Body: body}
	if err != nil {
		v.Problem = err.Error()
	}
	show(w, http.StatusOK, v)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	id, s := a.session(r)
	v := view{Issuer: a.Issuer}
	if s != nil {
		a.mu.Lock()
		delete(a.sessions, id)
		a.mu.Unlock()
		if err := a.revoke(r.Context(), s); err != nil {
			v.Problem = err.Error()
		}
	}
	setCookie(w, sessionCookie, "", "/", -1)
	show(w, http.StatusOK, v)
}
