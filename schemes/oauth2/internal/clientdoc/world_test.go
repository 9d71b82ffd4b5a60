package clientdoc_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/oauthtest"
	"github.com/vestibule-auth/vestibule/internal/publicfetch/fetchtest"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const redirect = "https://app.example/cb"

// world is a server that accepts documents, and a site that has some.
type world struct {
	*oauthtest.World
	net    *fetchtest.Net
	origin string

	mu    sync.Mutex
	files map[string]string // by path; absent is 404
	hits  map[string]int
	age   string
	gate  chan struct{} // if not nil, answers wait for it
}

func newWorld(t *testing.T, change func(*oauthtest.Options)) *world {
	t.Helper()
	return newWorldOn(t, memory.New(nil), change)
}

func newWorldOn(t *testing.T, s oauthtest.Store, change func(*oauthtest.Options)) *world {
	t.Helper()
	w := &world{net: fetchtest.New(t), files: map[string]string{}, hits: map[string]int{}}
	w.origin = w.net.Serve("app.example", http.HandlerFunc(w.serve), nil)
	w.World = oauthtest.NewWorld(t, s, func(o *oauthtest.Options) {
		oauthtest.WithSessions(o)
		o.ClientDocuments = &server.ClientDocuments{Scopes: []string{"read"}}
		o.Fetching = server.Fetching{Addresses: []netip.Prefix{fetchtest.Home}, Roots: w.net.Roots, Resolver: w.net, InsecureLoopback: true}
		if change != nil {
			change(o)
		}
	})
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.hits[r.URL.Path]++
	text, ok := w.files[r.URL.Path]
	age, gate := w.age, w.gate
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	rw.Header().Set("Content-Type", "application/json")
	if age != "" {
		rw.Header().Set("Cache-Control", age)
	}
	if !ok {
		rw.WriteHeader(404)
	}
	_, _ = rw.Write([]byte(text))
}

// put publishes a document with changed members; nil takes one away. It returns the client ID.
func (w *world) put(path string, change map[string]any) string {
	id := w.origin + path
	d := map[string]any{"client_id": id, "client_name": "App", "redirect_uris": []string{redirect}, "grant_types": []string{"authorization_code", "refresh_token"}}
	maps.Copy(d, change)
	maps.DeleteFunc(d, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(d)
	oauthtest.Must(w.T, err)
	w.raw(path, string(text))
	return id
}

func (w *world) raw(path, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[path] = text
}

func (w *world) remove(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.files, path)
}

// fetched returns how often paths that begin with prefix were fetched.
func (w *world) fetched(prefix string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, hits := range w.hits {
		if strings.HasPrefix(path, prefix) {
			n += hits
		}
	}
	return n
}

// query is a good request of a client.
func query(id string, pairs ...string) string {
	return oauthtest.Query(id, append([]string{"redirect_uri", redirect, "scope", "read"}, pairs...)...)
}

// asks sends the request as alice and describes the answer: "page" for the consent page, "code",
// "error CODE" for an error page, "sent CODE" for an error at the redirect URI.
func (w *world) asks(query string) string {
	w.T.Helper()
	rec := w.Authorizes(w.Alice("s"), "GET", query, "")
	body := rec.Body.String()
	to, err := url.Parse(rec.Header().Get("Location"))
	oauthtest.Must(w.T, err)
	switch {
	case rec.Code == 200 && strings.Contains(body, `name="handle"`):
		return "page"
	case rec.Code == 303 && to.Query().Get("code") != "":
		return "code"
	case rec.Code == 303 && to.Query().Get("error") != "":
		return "sent " + to.Query().Get("error")
	}
	_, code, _ := strings.Cut(body, "Error: ")
	code, _, _ = strings.Cut(code, "<")
	return fmt.Sprintf("error %s", code)
}

// count returns how many clients have records.
func (w *world) count() int {
	w.T.Helper()
	list, err := w.DB.ListClients(w.T.Context(), "", 1000)
	oauthtest.Must(w.T, err)
	return len(list)
}
