package authz_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
)

// files is a directory with a public and a secret file.
func files(t testing.TB) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"files/open.txt": "open", "files/a;b.txt": "open", "files/secret/p.txt": "SECRET", "files/x/y.txt": "open"} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func serve(t testing.TB, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.EnableHTTP2 = true
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// send sends a request line unchanged.
func send(t testing.TB, s *httptest.Server, method, target string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: files.example\r\nConnection: close\r\n\r\n", method, target)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// names opens the file that a path value names, as applications do.
func names(dir string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, &http.Request{Method: "GET", URL: &url.URL{Path: "/"}, Header: http.Header{}}, filepath.Join(dir, "files", filepath.FromSlash(path.Clean("/"+r.PathValue("name")))))
	}
}

// quietMux is a mux whose log is discarded.
func quietMux(id authn.Identity) *authz.Mux {
	return authz.NewMux(authn.New(authn.Chain{fixed{"token", id}}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}))
}

// The mux decides about the same path that a file server, a proxy or a path value uses.
func TestPathsHaveOneReading_attack_252(t *testing.T) {
	dir := files(t)
	backend := serve(t, http.FileServer(http.Dir(dir)))
	to, _ := url.Parse(backend.URL)
	for name, route := range map[string]struct {
		open, secret string
		h            http.Handler
	}{
		"file server":      {"/files/", "/files/secret/", http.FileServer(http.Dir(dir))},
		"reverse proxy":    {"/files/", "/files/secret/", httputil.NewSingleHostReverseProxy(to)},
		"path value":       {"/files/{name...}", "/files/secret/{name...}", names(dir)},
		"strip prefix":     {"/files/", "/files/secret/", http.StripPrefix("/files", http.FileServer(http.Dir(filepath.Join(dir, "files"))))},
		"host patterns":    {"files.example/files/", "files.example/files/secret/", http.FileServer(http.Dir(dir))},
		"one path segment": {"/files/{name}", "/files/secret/{name...}", names(dir)},
	} {
		open, inner := quietMux(authn.Identity{}), quietMux(authn.Identity{})
		for _, m := range []*authz.Mux{open, inner} {
			m.Handle(route.open, route.h, authz.AllowAny)
			m.Handle(route.secret, route.h, authz.IsAdmin)
		}
		outer := quietMux(authn.Identity{})
		outer.Handle("/", inner, authz.AllowAny)
		bare := quietMux(authn.Identity{})
		bare.Public(route.open, route.h)
		bare.Handle(route.secret, route.h, authz.IsAdmin)
		for kind, m := range map[string]*authz.Mux{"plain": open, "nested": outer, "bare": bare} {
			s := serve(t, m)
			t.Run("edge_A09/"+name+"/"+kind, func(t *testing.T) {
				if code, body := send(t, s, "GET", "/files/open.txt"); code != 200 || body != "open" {
					t.Fatalf("the open file: %d %s", code, body)
				}
				if code, _ := send(t, s, "GET", "/files/secret/p.txt"); code != 403 {
					t.Fatalf("the secret file: %d", code)
				}
				for _, method := range []string{"GET", "HEAD", "POST", "CONNECT", "OPTIONS", "PROPFIND"} {
					for _, target := range []string{
						"/files/secret%2Fp.txt", "/files/secret%2fp.txt", "/files/x/..%2fsecret/p.txt", "/files/x%2F..%2Fsecret%2Fp.txt", "/files/%2e%2e/files/secret/p.txt", "/files/x/%2e%2e/secret/p.txt",
						"/files/x/.%2e/secret/p.txt", "/files/x/%2E./secret/p.txt", "/files/%2e/secret/p.txt", "/files/x/../secret/p.txt", "/files//secret/p.txt", "/files/./secret/p.txt", "//files/secret/p.txt",
						"/files/secret%5Cp.txt", "/files/secret\\p.txt", "/files/x/..%5csecret%5cp.txt", "/files/x/..;/secret/p.txt", "/files/x/..;a=b/secret/p.txt", "/files/x/..%3B/secret/p.txt",
						"/files/secret%252Fp.txt", "/files/x/%252e%252e/secret/p.txt", "/files/x/%25252e%25252e/secret/p.txt", "/files/secret%255cp.txt",
						"/files/secret%00/p.txt", "/files/secret/p.txt%00.gif", "/files/secret%c0%afp.txt", "/files/x/%c0%ae%c0%ae/secret/p.txt", "/files/secret%0d%0a/p.txt", "/files/secret%2F", "/files/%2Fsecret/p.txt",
						"http://files.example/files/secret%2Fp.txt", "http://other.example//files/secret/p.txt", "http://files.example/files/x/%2e%2e/secret/p.txt", "/files/secret/%2e%2e%2fsecret/p.txt", "/files/x/..%00/secret/p.txt", "/files/x/%2e%2e",
					} {
						code, body := send(t, s, method, target)
						if strings.Contains(body, "SECRET") || code >= 200 && code < 300 {
							t.Errorf("%s %s: %d %s", method, target, code, body)
						}
						if method == "CONNECT" && strings.Contains(target, "/../") && code != 400 && code != 404 && code != 403 {
							t.Errorf("%s %s: %d", method, target, code)
						}
					}
				}
			})
		}
	}
}

// The same over HTTP/2, which has no request line.
func TestPathsHaveOneReadingOverHTTP2(t *testing.T) {
	dir := files(t)
	m := quietMux(authn.Identity{})
	m.Handle("/files/", http.FileServer(http.Dir(dir)), authz.AllowAny)
	m.Handle("/files/secret/", http.FileServer(http.Dir(dir)), authz.IsAdmin)
	s := httptest.NewUnstartedServer(m)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for target, want := range map[string]int{"/files/open.txt": 200, "/files/secret/p.txt": 403, "/files/secret%2Fp.txt": 400, "/files/x/..%2fsecret/p.txt": 400, "/files/x/%2e%2e/secret/p.txt": 400} {
		r, _ := http.NewRequest("GET", s.URL+target, nil)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != want {
			t.Errorf("edge_A09: %s: %s %d, want %d", target, resp.Proto, resp.StatusCode, want)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for target, good := range map[string]bool{
		"/": true, "/a/b": true, "/a/b/": true, "/a.b/..c/...": true, "/.well-known/x": true, "/a%20b": true, "/%C3%A9": true, "/é": true, "/a%2eb": true, "/100%25": true, "/a;b=c/d": false, "/a%3Bb": false, "/admin;": false, "/a%3Ab:c@d": true,
		"/a+b%2Bc": true, "/~u": true, "/%41": true, "/a%25b": true, "/files/%E2%82%AC": true,
		"/a%2Fb": false, "/a%2fb": false, "/a%5Cb": false, "/a%5cb": false, "/..": false, "/.": false, "/a/../b": false, "/a/./b": false, "//": false, "//a": false, "/a//b": false, "/a//": false,
		"/%2e%2e/b": false, "/.%2E/b": false, "/%2e": false, "/a/%2e%2e": false, "/..;x/b": false, "/;x/b": false, "/.;x": false, "/..%3bx": false, "/%252f": false, "/%25252F": false, "/%252e%252e": false, "/%255C": false, "/%2500": false,
		"/%00": false, "/%7f": false, "/%0a": false, "/%1f": false, "/%ff": false, "/%c0%af": false, "/%ed%a0%80": false,
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: "GET", URL: u}
		if err := authz.CheckPath(r); (err == nil) != good {
			t.Errorf("edge_A09: %s: %v, want it taken: %t", target, err, good)
		}
	}
	for name, u := range map[string]*url.URL{
		"RawPath of another path": {Path: "/open", RawPath: "/secret"}, "a RawPath that is no encoding": {Path: "/a", RawPath: "/%zz"}, "Path set by hand": {Path: "/files/secret/p", RawPath: "/files/x"},
		"opaque": {Opaque: "files/secret/p.txt"}, "opaque with a path": {Opaque: "//h/secret", Path: "/open"}, "a backslash": {Path: `/a\b`, RawPath: `/a\b`},
	} {
		if authz.CheckPath(&http.Request{Method: "GET", URL: u}) == nil {
			t.Errorf("edge_A09: %s passes", name)
		}
	}
	for name, u := range map[string]*url.URL{"CONNECT of an authority": {Host: "a:443"}, "after StripPrefix": {Path: "a/b"}, "nothing left": {}, "asterisk": {Path: "*"}} {
		if err := authz.CheckPath(&http.Request{Method: "CONNECT", URL: u}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A route that requires a slash in an identifier gets it with InsecureAllowAnyPath.
func TestInsecureAllowAnyPath(t *testing.T) {
	m := quietMux(alice)
	id := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) })
	m.Handle("GET /items/{id}", authz.InsecureAllowAnyPath(id), authz.IsAuthenticated)
	m.Handle("GET /things/{id}", id, authz.IsAuthenticated)
	m.Handle("GET /guarded/{id}", authz.Require(authz.IsAdmin).Handler(authz.InsecureAllowAnyPath(id)))
	s := serve(t, m)
	for target, want := range map[string]string{"/items/a%2Fb": "200 a/b", "/things/a%2Fb": "400", "/things/ab": "200 ab", "/guarded/a%2Fb": "403"} {
		if code, body := send(t, s, "GET", target); !strings.HasPrefix(fmt.Sprintf("%d %s", code, body), want) {
			t.Errorf("edge_A09: %s: %d %s, want %s", target, code, body, want)
		}
	}
	for _, r := range m.Routes() {
		if r.AnyPath != (r.Pattern != "GET /things/{id}") || r.PlainPath == r.AnyPath {
			t.Errorf("edge_A09: %+v", r)
		}
	}
}

// RequirePlainPath gives another router the same check.
func TestRequirePlainPath(t *testing.T) {
	dir := files(t)
	raw := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a router that matches the path as it is
		if strings.HasPrefix(r.URL.EscapedPath(), "/files/secret/") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	})
	s := serve(t, authz.RequirePlainPath(raw))
	for target, want := range map[string]int{"/files/open.txt": 200, "/files/secret/p.txt": 403, "/files/secret%2Fp.txt": 400, "/files/x/../secret/p.txt": 400, "/files//secret/p.txt": 400, "http:files/secret/p.txt": 400} {
		if code, body := send(t, s, "GET", target); code != want || strings.Contains(body, "SECRET") {
			t.Errorf("edge_A09: %s: %d %s, want %d", target, code, body, want)
		}
	}
}

// A path that passes reads the same escaped, decoded once and decoded twice.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/a%2Fb", "/a/%2e%2e/b", "/a%252fb", "//", "/..;/", "/%5c", "/a%25b", "/%c0%af", "*", "/é/%C3%A9", "/a%3Bb", "/%25%32%46"} {
		f.Add(s, "")
	}
	f.Add("/a/b", "/a%2fb")
	f.Fuzz(func(t *testing.T, target, rawPath string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		if rawPath != "" {
			u.RawPath = rawPath
		}
		if authz.CheckPath(&http.Request{Method: "GET", URL: u}) != nil {
			return
		}
		if u.Path == "" || u.Path == "*" {
			return
		}
		for _, escaped := range []string{u.EscapedPath(), u.RawPath} {
			if escaped == "" {
				continue
			}
			raw, decoded := strings.Split(escaped, "/"), strings.Split(u.Path, "/")
			if len(raw) != len(decoded) {
				t.Fatalf("%q: %q and %q", target, raw, decoded)
			}
			for i := range raw {
				if s, err := url.PathUnescape(raw[i]); err != nil || s != decoded[i] {
					t.Fatalf("%q: segment %q is %q", target, raw[i], decoded[i])
				}
			}
			if clean := path.Clean(escaped); strings.TrimSuffix(escaped, "/") != clean && clean != "/" {
				t.Fatalf("%q: %q is not clean", target, escaped)
			}
		}
		for again := u.Path; ; { // a handler that decodes again
			next, err := url.PathUnescape(again)
			if err != nil || next == again {
				break
			}
			if strings.Count(next, "/") != strings.Count(u.Path, "/") || strings.ContainsAny(next, "\\\x00") {
				t.Fatalf("%q decodes to %q", u.Path, next)
			}
			again = next
		}
	})
}

// byRawPath is a router that matches the path as sent if it differs from the usual encoding, as chi
// and echo do.
func byRawPath(open, closed http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.RawPath
		if p == "" {
			p = r.URL.Path
		}
		if strings.HasPrefix(p, "/files/secret/") || strings.HasPrefix(p, "/files/g\u00e9heim/") {
			closed.ServeHTTP(w, r)
		} else {
			open.ServeHTTP(w, r)
		}
	})
}

// An encoded letter does not lead a router around the closed route to the file that it protects.
func TestEncodedLetters_attack_449(t *testing.T) {
	auth := authn.New(authn.Chain{}, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }) // as a file server reads it
	router := auth.Handler(byRawPath(h, authz.Require(authz.IsAuthenticated).Handler(h)))
	m := quietMux(authn.Identity{})
	m.Handle("/files/", router, authz.AllowAny)
	m.Public("/", router)
	for name, server := range map[string]http.Handler{
		"plain path": authz.RequirePlainPath(router), "path parameters": authz.RequirePlainPath(authz.AllowPathParameters(router)), "mux": m, "stripped": http.StripPrefix("/s", authz.RequirePlainPath(router)),
	} {
		prefix := ""
		if name == "stripped" {
			prefix = "/s"
		}
		s := serve(t, server)
		for target, want := range map[string]string{
			"/files/%6Fpen.txt": "200 /files/open.txt", "/files/a%20b": "200 /files/a b", "/files/100%25": "200 /files/100%",
			"/files/secret/p.txt": "403", "/files/%73ecret/p.txt": "403", "/files/s%65cret/p.txt": "403", "/f%69les/secret/p.txt": "403", "/files/secret%2fp.txt": "400",
			"/files/g%C3%A9heim/p.txt": "403", "/files/g%c3%a9heim/p.txt": "403", "/files/g\u00e9heim/p.txt": "403", "/files/%67%c3%a9heim/p.txt": "403",
		} {
			if code, body := send(t, s, "GET", prefix+target); !strings.HasPrefix(fmt.Sprintf("%d %s", code, body), want) {
				t.Errorf("%s: %s: %d %s, want %s", name, target, code, body, want)
			}
		}
	}
	// A route that says so gets the path as it was sent, and no request is changed for the caller.
	raw := quietMux(authn.Identity{})
	raw.Handle("/files/{id}", authz.InsecureAllowAnyPath(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.EscapedPath()) })), authz.AllowAny)
	if code, body := send(t, serve(t, raw), "GET", "/files/%61%2Fb"); code != 200 || body != "/files/%61%2Fb" {
		t.Errorf("%d %s", code, body)
	}
	r := httptest.NewRequest("GET", "/files/%61", nil)
	m.ServeHTTP(httptest.NewRecorder(), r)
	authz.RequirePlainPath(router).ServeHTTP(httptest.NewRecorder(), r)
	if r.URL.RawPath != "/files/%61" {
		t.Error("the caller's request was changed")
	}
}

// A server behind the mux that drops the text after a semicolon serves the path that the mux
// decided about.
func TestSemicolons_attack_337(t *testing.T) {
	container := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // reads paths as Tomcat does
		var parts []string
		for part := range strings.SplitSeq(r.URL.Path, "/") {
			part, _, _ = strings.Cut(part, ";")
			parts = append(parts, part)
		}
		fmt.Fprint(w, strings.Join(parts, "/"))
	}))
	to, _ := url.Parse(container.URL)
	h := httputil.NewSingleHostReverseProxy(to)
	router := http.NewServeMux()
	router.Handle("/", h)
	router.Handle("/admin/", authz.Require(authz.IsAdmin).Handler(h))
	m := quietMux(authn.Identity{})
	m.Handle("/", h, authz.AllowAny)
	m.Handle("/admin/", h, authz.IsAdmin)
	for name, server := range map[string]http.Handler{"mux": m, "another router": authz.RequirePlainPath(router)} {
		s := serve(t, server)
		for _, target := range []string{"/admin;x/users", "/admin;/users", "/admin%3Bx/users", "/admin%3bx/users"} {
			if code, body := send(t, s, "GET", target); code != 400 {
				t.Errorf("%s: %s: %d, the container serves %s", name, target, code, body)
			}
		}
	}
	t.Run("where it says so", func(t *testing.T) {
		seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
		m := quietMux(authn.Identity{})
		m.Handle("/maps/", authz.AllowPathParameters(seen), authz.AllowAny)
		m.Handle("/other/", seen, authz.AllowAny)
		for name, server := range map[string]http.Handler{"mux": m, "another router": authz.RequirePlainPath(authz.AllowPathParameters(seen))} {
			s := serve(t, server)
			for target, want := range map[string]string{"/maps/a;zoom=3": "200 /maps/a;zoom=3", "/maps/..;a/b": "400", "/maps/;a/b": "400", "/maps/a%2Fb": "400"} {
				if code, body := send(t, s, "GET", target); !strings.HasPrefix(fmt.Sprintf("%d %s", code, body), want) {
					t.Errorf("%s: %s: %d %s, want %s", name, target, code, body, want)
				}
			}
		}
		if code, _ := send(t, serve(t, m), "GET", "/other/a;b"); code != 400 {
			t.Errorf("another route: %d", code)
		}
		var table strings.Builder
		if err := authz.WriteRoutes(&table, m.Routes()); err != nil || !m.Routes()[0].PathParameters || m.Routes()[1].PathParameters || strings.Count(table.String(), "path parameters") != 1 {
			t.Errorf("%v %+v\n%s", err, m.Routes(), table.String())
		}
	})
}
