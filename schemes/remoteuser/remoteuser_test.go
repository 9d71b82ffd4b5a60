package remoteuser_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/schemes/remoteuser"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

const (
	header = "X-Remote-User"
	origin = "https://app.example"
	proxy  = "10.0.0.7:4711"
)

// world is a scheme behind proxies in 10.0.0.0/8, over a store with the accounts alice (active) and
// carol (disabled).
type world struct {
	*remoteuser.Scheme
	users  storage.Users
	calls  atomic.Int64
	mu     sync.Mutex
	events []audit.Event
	fail   error
}

func newWorld(t testing.TB, users storage.Users, opts remoteuser.Options) *world {
	t.Helper()
	w := &world{users: users}
	schemetest.Must(t, users.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true, Roles: []string{"staff"}}))
	schemetest.Must(t, users.CreateUser(t.Context(), storage.User{ID: "id-carol", Name: "carol"}))
	nets, err := authn.NewTrustedProxies("10.0.0.0/8", "2001:db8::/32")
	schemetest.Must(t, err)
	site, err := csrf.New(origin, &csrf.Options{Proxies: nets})
	schemetest.Must(t, err)
	opts.Audit = audit.To(func(_ context.Context, e audit.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	})
	w.Scheme, err = remoteuser.New(header, nets, counted{users, w}, site, &opts)
	schemetest.Must(t, err)
	return w
}

// counted counts lookups by name, and fails on demand.
type counted struct {
	storage.Users
	w *world
}

func (c counted) UserByName(ctx context.Context, name string) (storage.User, error) {
	c.w.calls.Add(1)
	if c.w.fail != nil {
		return storage.User{}, c.w.fail
	}
	return c.Users.UserByName(ctx, name)
}

// request returns a request of the site's own page that comes from the proxy over https. The values
// of names are added as headers.
func request(method string, names ...string) *http.Request {
	r := httptest.NewRequest(method, origin+"/", nil)
	r.RemoteAddr = proxy
	r.TLS = nil
	r.Header.Set("X-Forwarded-Proto", "https")
	if method != "GET" {
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, name := range names {
		r.Header.Add(header, name)
	}
	return r
}

// is returns the result of a request: the subject, "-" for anonymous, or the status.
func (w *world) is(r *http.Request) string {
	id, err := w.Authenticate(r)
	var e *authn.Error
	switch {
	case err == nil:
		return id.Subject
	case errors.As(err, &e):
		return fmt.Sprint(e.Status)
	case errors.Is(err, authn.ErrNoCredentials):
		return "-"
	}
	return "503"
}

func TestAuthenticate(t *testing.T) {
	w := newWorld(t, memory.New(nil), remoteuser.Options{})
	for what, c := range map[string]struct {
		names []string
		want  string
	}{
		"alice": {[]string{"alice"}, "id-alice"}, "none": {nil, "-"}, "empty": {[]string{""}, "-"}, "blank": {[]string{" \t"}, "-"},
		"two": {[]string{"alice", "alice"}, "400"}, "two, one empty": {[]string{"", "alice"}, "400"}, "merged by a proxy": {[]string{"alice,carol"}, "401"},
		"unknown": {[]string{"bob"}, "401"}, "disabled": {[]string{"carol"}, "401"}, "NUL": {[]string{"alice\x00"}, "401"}, "not UTF-8": {[]string{"\xff"}, "401"},
		"long": {[]string{strings.Repeat("a", 151)}, "401"}, "blank around": {[]string{" alice"}, "401"}, "another case": {[]string{"Alice"}, "401"},
		"control": {[]string{"al\x7fice"}, "401"},
	} {
		if got := w.is(request("GET", c.names...)); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	before := w.calls.Load()
	id, err := w.Authenticate(request("GET", "alice"))
	if u, ok := id.User.(*storage.Account); err != nil || id.Scheme != "remoteuser" || len(id.Roles) != 1 || !ok || u.Name != "alice" || w.calls.Load()-before != 1 {
		t.Errorf("%+v, %v, %d queries", id, err, w.calls.Load()-before)
	}
	w.fail = errors.New("down")
	if got := w.is(request("GET", "alice")); got != "503" {
		t.Errorf("the store is down: %s", got)
	}
	w.fail = nil
	_, unknown := w.Authenticate(request("GET", "bob"))
	_, disabled := w.Authenticate(request("GET", "carol"))
	var a, b *authn.Error
	if !errors.As(unknown, &a) || !errors.As(disabled, &b) || a.Detail != b.Detail || a.Code != b.Code || errors.Unwrap(unknown).Error() == errors.Unwrap(disabled).Error() {
		t.Errorf("%v, %v: one detail, two reasons", unknown, disabled)
	}
}

// The header of a peer that is not one of the proxies is ignored, whatever it says.
func TestStrangers(t *testing.T) {
	w := newWorld(t, memory.New(nil), remoteuser.Options{Create: remoteuser.NewUser})
	for _, addr := range []string{"192.0.2.1:1", "[2001:db9::1]:1", "", "@", "junk", "11.0.0.7:1", "127.0.0.1:80", "/run/x.sock"} {
		r := request("GET", "alice")
		r.RemoteAddr = addr
		r.Header.Set("X-Forwarded-For", "10.0.0.7")
		r.Header.Set("Forwarded", "for=10.0.0.7")
		r.Header.Set("X-Real-Ip", "10.0.0.7")
		if got := w.is(r); got != "-" {
			t.Errorf("%q: %s", addr, got)
		}
	}
	if w.calls.Load() != 0 || len(w.events) != 8 || w.events[0].Kind != audit.HeaderIgnored {
		t.Errorf("%d queries, %v", w.calls.Load(), w.events)
	}
	for _, addr := range []string{"[2001:db8::1]:1", "[::ffff:10.1.2.3]:1"} {
		r := request("GET", "alice")
		r.RemoteAddr = addr
		if got := w.is(r); got != "id-alice" {
			t.Errorf("%q: %s", addr, got)
		}
	}
	for _, name := range []string{"X_Remote_User", "X-Remote_User", "x-remote-user"} { // as no canonical header is spelled
		r := request("GET")
		r.Header[name] = []string{"alice"}
		if got := w.is(r); got != "-" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Strip removes the header from requests of other peers, in any spelling.
func TestStrip(t *testing.T) {
	w := newWorld(t, memory.New(nil), remoteuser.Options{})
	var seen http.Header
	h := w.Strip(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	for addr, want := range map[string]string{"192.0.2.1:1": "", proxy: "alice"} {
		r := request("GET", "alice")
		r.RemoteAddr = addr
		others := []string{"X_Remote_User", "X-Remote_user", "X.Remote.User", "X-Remote~User"}
		for _, name := range others {
			r.Header[name] = []string{"mallory"}
		}
		r.Header["X-Other"] = []string{"stays"}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if seen.Get(header) != want || seen.Get("X-Other") != "stays" {
			t.Errorf("%s: %v", addr, seen)
		}
		for _, name := range others {
			if len(seen[name]) != 0 || len(r.Header[name]) == 0 {
				t.Errorf("%s: %s got through, or the request itself was changed", addr, name)
			}
		}
	}
}

// A server behind Strip cannot be made to read further requests that Strip does not see.
func TestStripProtocols(t *testing.T) {
	w := newWorld(t, memory.New(nil), remoteuser.Options{})
	var seen http.Header
	h := w.Strip(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	for upgrade, want := range map[string]bool{"websocket": true, "WebSocket": true, "h2c": false, "websocket, h2c": false, "": false} {
		for _, addr := range []string{"192.0.2.1:1", proxy} {
			t.Run("attack_444_"+upgrade, func(t *testing.T) {
				r := request("GET", "alice")
				r.RemoteAddr = addr
				r.Header.Set("Upgrade", upgrade)
				r.Header.Set("HTTP2-Settings", "AAMAAABk")
				h.ServeHTTP(httptest.NewRecorder(), r)
				if len(seen["Http2-Settings"]) != 0 || (len(seen["Upgrade"]) != 0) != want {
					t.Errorf("%s: %v", addr, seen)
				}
			})
		}
	}
}

// The header works like a cookie: pages of other sites must not be able to use it.
func TestCrossSite(t *testing.T) {
	w := newWorld(t, memory.New(nil), remoteuser.Options{})
	for what, c := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"its own page":      {func(*http.Request) {}, "id-alice"},
		"cross-site":        {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, "403"},
		"by Sec-Fetch-Site": {func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "cross-site") }, "403"},
		"null":              {func(r *http.Request) { r.Header.Set("Origin", "null"); r.Header.Set("Sec-Fetch-Site", "cross-site") }, "403"},
		"edge_B12/null":     {func(r *http.Request) { r.Header.Set("Origin", "null") }, "id-alice"}, // Sec-Fetch-Site says same-origin
		"a form without word": {func(r *http.Request) {
			r.Header.Del("Origin")
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Content-Type", "text/plain")
		}, "403"},
		"JSON without word": {func(r *http.Request) {
			r.Header.Del("Origin")
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Content-Type", "application/json")
		}, "id-alice"},
		"plain http":   {func(r *http.Request) { r.Header.Del("X-Forwarded-Proto") }, "403"},
		"another host": {func(r *http.Request) { r.Host = "evil.example" }, "403"},
		"attack_030_beside": {func(r *http.Request) {
			r.Header.Set("Authorization", "x")
			r.Header.Set("Origin", "https://evil.example")
		}, "403"},
	} {
		t.Run(what, func(t *testing.T) {
			r := request("POST", "alice")
			c.change(r)
			if got := w.is(r); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// token is a scheme with the keyword Bearer that accepts "bob".
type token struct{}

func (token) Headers() []string { return []string{"Authorization"} }
func (token) Authenticate(r *http.Request) (authn.Identity, error) {
	text, err := authn.Credentials(r, "Bearer", "token")
	if err != nil {
		return authn.Identity{}, err
	}
	if text != "bob" {
		return authn.Identity{}, authn.AuthenticationFailed("Invalid token.")
	}
	return authn.Identity{Subject: "id-bob", Scheme: "token"}, nil
}

// An explicit credential takes precedence over the header, valid or not, in any order of the chain.
func TestExplicitGoesFirst(t *testing.T) {
	w := newWorld(t, memory.New(nil), remoteuser.Options{})
	for _, chain := range []authn.Chain{{w.Scheme, token{}}, {token{}, w.Scheme}} {
		h := authn.New(chain, &authn.Options{Logger: schemetest.Quiet}).Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, authn.FromContext(r.Context()).Subject)
		}))
		for auth, want := range map[string]string{"": "200 id-alice", "Bearer bob": "200 id-bob", "Bearer junk": "403 "} {
			r := request("GET", "alice")
			if auth != "" {
				r.Header.Set("Authorization", auth)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if got := fmt.Sprint(rec.Code, " ", rec.Body); !strings.HasPrefix(got, want) {
				t.Errorf("attack_022 %q: %s, want %s", auth, got, want)
			}
			if auth == "" && (!slices.Contains(rec.Header()["Vary"], header) || rec.Header().Get("Cache-Control") != "no-store") {
				t.Errorf("%v", rec.Header())
			}
		}
	}
}

// Of many concurrent first requests one creates the account, and all are authenticated.
func TestCreate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, users storagetest.Store) {
		w := newWorld(t, users, remoteuser.Options{Create: remoteuser.NewUser, Canonical: func(name string) (string, error) { return strings.ToLower(name), nil }})
		var wg sync.WaitGroup
		var ids sync.Map
		for range 64 {
			wg.Go(func() { ids.Store(w.is(request("GET", "Dave")), true) })
		}
		wg.Wait()
		n := 0
		ids.Range(func(id, _ any) bool { n++; t.Log(id); return true })
		created := 0
		for _, e := range w.events {
			if e.Kind == audit.AccountCreated {
				created++
			}
		}
		u, err := w.users.UserByName(t.Context(), "dave")
		if n != 1 || created != 1 || err != nil || !u.Active {
			t.Errorf("%d answers, %d created, %+v, %v", n, created, u, err)
		}
		if got := w.is(request("GET", "carol")); got != "401" {
			t.Errorf("a disabled account: %s", got)
		}
	})
	refused := errors.New("no")
	for what, c := range map[string]struct {
		create func(context.Context, string) (storage.User, error)
		want   string
	}{
		"a refusal": {func(context.Context, string) (storage.User, error) { return storage.User{}, authn.PermissionDenied("") }, "403"},
		"a fault":   {func(context.Context, string) (storage.User, error) { return storage.User{}, refused }, "503"},
		"another name": {func(context.Context, string) (storage.User, error) {
			return storage.User{ID: "x", Name: "y", Active: true}, nil
		}, "503"},
		"an ID of another": {func(_ context.Context, name string) (storage.User, error) {
			return storage.User{ID: "id-alice", Name: name, Active: true}, nil
		}, "503"},
		"disabled at once": {func(_ context.Context, name string) (storage.User, error) {
			return storage.User{ID: "d", Name: name}, nil
		}, "401"},
	} {
		w := newWorld(t, memory.New(nil), remoteuser.Options{Create: c.create})
		if got := w.is(request("GET", "dave")); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

// Connections over a Unix socket have no address.
func TestUnixSocket(t *testing.T) {
	users := memory.New(nil)
	schemetest.Must(t, users.CreateUser(t.Context(), storage.User{ID: "id-alice", Name: "alice", Active: true}))
	site, err := csrf.New(origin, nil)
	schemetest.Must(t, err)
	for on, want := range map[bool]string{true: "id-alice", false: ""} {
		list := []string{"10.0.0.0/8"}
		if on {
			list = []string{authn.UnixSocket}
		}
		nets, err := authn.NewTrustedProxies(list...)
		schemetest.Must(t, err)
		s, err := remoteuser.New(header, nets, users, site, nil)
		schemetest.Must(t, err)
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		schemetest.Must(t, err)
		server := &http.Server{Handler: authn.New(s, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, authn.FromContext(r.Context()).Subject)
		}))}
		go server.Serve(l)
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}
		r, err := http.NewRequest("GET", "http://x/", nil)
		schemetest.Must(t, err)
		r.Header.Set(header, "alice")
		res, err := client.Do(r)
		schemetest.Must(t, err)
		var body [20]byte
		n, _ := res.Body.Read(body[:])
		res.Body.Close()
		server.Close()
		if got := string(body[:n]); got != want {
			t.Errorf("%t: %q, want %q", on, got, want)
		}
		// A network connection never counts as one over a Unix socket, whatever its address was set
		// to.
		for _, peer := range []string{"", "@", "/run/x", "junk"} {
			r := request("GET", "alice")
			r.RemoteAddr = peer
			if id, err := s.Authenticate(r); err != authn.ErrNoCredentials {
				t.Errorf("edge_C09: peer %q over a network: %q, %v", peer, id.Subject, err)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	users := memory.New(nil)
	site, err := csrf.New(origin, nil)
	schemetest.Must(t, err)
	nets := func(list ...string) authn.TrustedProxies {
		p, err := authn.NewTrustedProxies(list...)
		schemetest.Must(t, err)
		return p
	}
	for _, name := range []string{"", "x-remote-user", "X_Remote_User", "Authorization", "Cookie", "X-Forwarded-For", "Sec-Fetch-Site", "Content-Type", "Host", "X Remote", "X-Rémote"} {
		if _, err := remoteuser.New(name, nets("10.0.0.1"), users, site, nil); err == nil {
			t.Errorf("header %q: taken", name)
		}
	}
	if _, err := remoteuser.New(header, nets(), users, site, nil); err == nil {
		t.Error("no proxies: taken")
	}
	if _, err := remoteuser.New(header, nets("10.0.0.1"), nil, site, nil); err == nil {
		t.Error("no users: taken")
	}
	if _, err := remoteuser.New(header, nets("10.0.0.1"), users, nil, nil); err == nil {
		t.Error("no site: taken")
	}
	for _, list := range [][]string{{"10.0.0.0/8"}, {"fc00::/7"}, {"127.0.0.1"}} {
		if _, err := remoteuser.New("X-Forwarded-User", nets(list...), users, site, nil); err != nil {
			t.Errorf("networks %q: %v", list, err)
		}
	}
}
