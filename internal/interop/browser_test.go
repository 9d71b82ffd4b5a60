//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// knows lets in who knows "right".
type knows struct{ storage.Users }

func (k knows) CheckPassword(r *http.Request, name, text string) (authn.Login, error) {
	u, err := k.UserByName(r.Context(), name)
	if err != nil || text != "right" {
		return authn.Login{}, authn.InvalidLogin()
	}
	return authn.Login{Subject: u.ID, Name: u.Name, User: u.WithPermissions(nil), Epoch: u.Epoch}, nil
}

// cause is a page with a form that sends the browser elsewhere.
var cause = template.Must(template.New("").Parse(`<!doctype html><title>a page</title><form method="post" action="{{.Get "to"}}">
<input name="username" value="{{.Get "username"}}"><input name="password" value="{{.Get "password"}}"><button name="go">go</button></form>`))

func page(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		h(w, r)
	})
}

// pages is the site, and counts the changes that came through.
type pages struct {
	http.Handler
	changes atomic.Int64
	sockets atomic.Int64
	mu      sync.Mutex
	events  []string
}

func newPages(t *testing.T, site *csrf.Site) *pages {
	t.Helper()
	db := memory.New(nil)
	for _, name := range []string{"alice", "mallory"} {
		if err := db.CreateUser(t.Context(), storage.User{ID: "id-" + name, Name: name, Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	p := &pages{}
	s, err := session.New(db, site, &session.Options{Audit: audit.To(func(_ context.Context, e audit.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, e.Reason)
	})})
	if err != nil {
		t.Fatal(err)
	}
	mux := authz.NewMux(authn.New(authn.Chain{s}, nil))
	mux.Public("/login", s.LoginForm(knows{db}, nil))
	mux.Public("/logout", s.LogoutForm("/bye"))
	mux.Handle("GET /me", page(func(w http.ResponseWriter, r *http.Request) {
		u, _ := authn.UserFrom[*storage.Account](r.Context())
		fmt.Fprintf(w, `<!doctype html><title>me</title><p>Hello %s</p><form method="post" action="/logout"><button name="logout">log out</button></form>`, u.Name)
	}), authz.IsAuthenticated)
	mux.Handle("POST /change", page(func(w http.ResponseWriter, _ *http.Request) {
		p.changes.Add(1)
		fmt.Fprint(w, "changed")
	}), authz.IsAuthenticated)
	mux.Handle("GET /cause", page(func(w http.ResponseWriter, r *http.Request) { _ = cause.Execute(w, r.URL.Query()) }), authz.AllowAny)
	quiet := page(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "no-referrer")
		_ = cause.Execute(w, r.URL.Query())
	})
	mux.Handle("GET /quiet", quiet, authz.AllowAny)
	mux.HandleFunc("GET /socket", p.shake, authz.IsAuthenticated)
	mux.Handle("GET /empty", page(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "empty") }), authz.AllowAny)
	mux.Handle("GET /bye", page(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "bye") }), authz.AllowAny)
	p.Handler = dropUpgrade(mux)
	return p
}

// dropUpgrade does what gateways do, which pass on what belongs to no single connection.
func dropUpgrade(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		next.ServeHTTP(w, r)
	})
}

// shake notes that a handshake came through, which it does not answer as a WebSocket does.
func (p *pages) shake(w http.ResponseWriter, _ *http.Request) {
	p.sockets.Add(1)
	w.WriteHeader(http.StatusNotImplemented)
}

// #region cors

// cors lets scripts of the front end, on a host of its own, use the session cookie.
func cors(origins []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		h.Add("Vary", "Origin")
		if slices.Contains(origins, origin) { // the very origins: never what the request says, never "*"
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
				h.Set("Access-Control-Allow-Headers", "Content-Type, X-CSRFToken")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// #endregion cors

// A real browser logs in by the form, sees its name, may change something from the
// site's own pages and from no other's, logs out, and goes back to see nothing.
func TestBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is needed: apt-get install chromium")
	}
	var ours *pages
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ours.ServeHTTP(w, r) }))
	server.StartTLS()
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	at := func(host string) string { return "https://" + host + ":" + port }
	front := at("front.app.example")
	site, err := csrf.New(at("app.example"), &csrf.Options{TrustedOrigins: []string{front}})
	if err != nil {
		t.Fatal(err)
	}
	// The other hosts are served by the same pages: they are other sites to the browser
	// and to the check all the same.
	ours = newPages(t, site)
	ours.Handler = cors([]string{front}, ours.Handler)
	local := newPages(t, csrf.Loopback())
	plain := httptest.NewServer(local)
	defer plain.Close()

	client, err := filepath.Abs("browser.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", client, chromium, at("app.example"), at("evil.example"), at("sibling.app.example"), front, plain.URL)
	cmd.Dir = os.Getenv("VESTIBULE_INTEROP")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	var seen map[string]any
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	step := func(name string) string {
		t.Helper()
		v, ok := seen[name]
		if !ok {
			t.Fatalf("step %s was not walked", name)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct{ attack, step, want string }{
		{"", "wrong_password", "[401,"},
		{"", "login", `[200,"` + at("app.example") + `/me","Hello alice`},
		{"", "script_sees_cookies", `""`},
		{"", "cookies", `[{"domain":"app.example","httpOnly":true,"name":"__Host-session","path":"/","sameSite":"Lax","secure":true}]`},
		{"", "change", `[200,"changed"]`},
		{"edge_B12", "change_without_referrer", `[200,"changed"]`},
		{"edge_B12", "change_without_referrer_from_sibling", "[403,"},
		{"attack_124", "change_from_evil", "[401,"}, // without a cookie: SameSite
		{"attack_124", "change_from_sibling", "[403,"},
		{"attack_124", "fetch_from_sibling", `"sent"`},
		{"", "fetch_from_front", `[200,"changed"]`},
		{"attack_124", "fetch_from_evil", `"TypeError"`},
		{"attack_124", "fetch_json_from_sibling", `"TypeError"`},
		{"attack_125", "login_from_evil", "[403,"},
		{"attack_126", "planted_by_sibling", `[200,"Hello alice`},
		{"", "logout", `[200,"` + at("app.example") + `/bye"]`},
		{"", "after_logout", "[401,"},
		{"", "loopback_login", `[200,"Hello alice`},
		{"attack_018", "two_cookies", "[401,"},
	} {
		t.Run(strings.TrimPrefix(c.attack+"_"+c.step, "_"), func(t *testing.T) {
			if got := step(c.step); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s…", got, c.want)
			}
		})
	}
	t.Run("back", func(t *testing.T) {
		if got := step("back"); strings.Contains(got, "alice") {
			t.Errorf("the way back shows %s", got)
		}
	})
	if n := ours.changes.Load(); n != 3 {
		t.Errorf("%d changes came through, want the site's own two and its front end's", n)
	}
	if n := ours.sockets.Load(); n != 1 {
		t.Errorf("edge_A04: %d handshakes of WebSockets came through, want the site's own", n)
	}
	if !slices.Contains(local.events, "several_cookies") {
		t.Errorf("events %q", local.events)
	}
}
