package authn_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/token"
)

// Section A of the catalogue: header and request parsing.
func TestAttacksOnHeaders(t *testing.T) {
	w := newWorld(t)
	chain := authn.Chain{cookies{"sid"}, w.bearer, w.token, w.basic}
	mux := w.mux(chain)
	server := serve(t, mux)

	t.Run("attack_001_two_authorization_headers", func(t *testing.T) {
		asked := false
		spy := authn.Func(func(*http.Request) (authn.Identity, error) {
			asked = true
			return authn.Identity{}, authn.ErrNoCredentials
		})
		s := serve(t, w.mux(authn.Chain{spy, w.bearer, w.token, w.basic}))
		good, bad := "Authorization: Bearer "+w.good, "Authorization: Bearer junk"
		for _, headers := range [][]string{{good, bad}, {bad, good}, {good, good}, {good, "authorization: Basic YTpi"}} {
			for _, path := range []string{"/closed", "/open"} {
				if resp := raw(t, s, get(path, headers...)); resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%q on %s: %s", headers, path, resp.Status)
				}
			}
		}
		if asked {
			t.Error("a scheme was asked")
		}
	})
	t.Run("attack_002_malformed_bearer", func(t *testing.T) {
		for _, value := range []string{"Bearer", "Bearer ", "Bearer\t" + w.good, "Bearer \t" + w.good, "Bearer " + w.good + " ", "Bearer " + w.good + " x", "Bearer ====", "Bearer a=b", "Bearer " + w.good + ","} {
			got := ask(mux, "GET", "/closed", "Authorization: "+value)
			if got.Code != http.StatusBadRequest {
				t.Errorf("%q: %d", value, got.Code)
			}
		}
		// With the keyword Token, white space is handled like in Django REST Framework.
		for value, want := range map[string]string{
			"Token": `{"detail":"Invalid token header. No credentials provided."}`, "Token \t": `{"detail":"Invalid token header. No credentials provided."}`,
			"Token a b":  `{"detail":"Invalid token header. Token string should not contain spaces."}`,
			"Token \xff": `{"detail":"Invalid token header. Token string should not contain invalid characters."}`,
			"Token junk": `{"detail":"Invalid token."}`,
		} {
			if got := ask(mux, "GET", "/closed", "Authorization: "+value); got.Code != 401 || got.Body.String() != want {
				t.Errorf("%q: %d %s", value, got.Code, got.Body)
			}
		}
		if got := ask(mux, "GET", "/closed", "Authorization:  \t Token \t "+w.good+" "); got.Code != 200 {
			t.Errorf("white space around a token: %d", got.Code)
		}
	})
	t.Run("attack_003_keyword_in_any_case", func(t *testing.T) {
		pair := base64.StdEncoding.EncodeToString([]byte("alice:wonderland-42"))
		for _, value := range []string{"bEaReR " + w.good, "BEARER " + w.good, "TOKEN " + w.good, "token " + w.good, "bASIC " + pair} {
			if got := ask(mux, "GET", "/closed", "Authorization: "+value); got.Code != 200 {
				t.Errorf("%.10q: %d", value, got.Code)
			}
		}
	})
	t.Run("attack_004_comma_list", func(t *testing.T) {
		for value, want := range map[string]int{
			"Bearer " + w.good + ", Basic abc": 400, "Bearer " + w.good + ",Basic abc": 400, "Token " + w.good + ", Basic abc": 401, "Token " + w.good + ",": 401,
		} {
			if got := ask(mux, "GET", "/closed", "Authorization: "+value); got.Code != want {
				t.Errorf("%d, want %d", got.Code, want)
			}
		}
	})
	t.Run("attack_005_strange_characters", func(t *testing.T) {
		log := new(strings.Builder)
		m := authz.NewMux(authn.New(chain, &authn.Options{Logger: textLog(log)}))
		m.HandleFunc("/closed", who, authz.IsAuthenticated)
		s := serve(t, m)
		for _, x := range []string{"\x00", "\r", "\n", "\r\nX-Injected: 1", "\x7f", "\ufeff", "\u200b", "\uff21", "\u202e", "\x1b[31m"} {
			for _, keyword := range []string{"Bearer ", "Token ", "Basic "} {
				log.Reset()
				resp := raw(t, s, get("/closed", "Authorization: "+keyword+w.good+x))
				if resp.StatusCode != 400 && resp.StatusCode != 401 {
					// A bare line break ends the header: what comes before it is the value.
					if !strings.HasPrefix(x, "\r\n") && x != "\n" || resp.StatusCode != 200 {
						t.Errorf("%q: %s", keyword+x, resp.Status)
					}
				}
				for line := range strings.SplitSeq(strings.TrimSpace(log.String()), "\n") {
					if line != "" && !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x00\x1b\x7f\u202e") {
						t.Errorf("%q broke the log: %q", x, line)
					}
				}
			}
		}
	})
	t.Run("attack_006_huge_header", func(t *testing.T) {
		for _, size := range []int{64 << 10, 1 << 20} {
			value := strings.Repeat("A", size)
			for _, keyword := range []string{"Bearer ", "Token ", "Basic "} {
				if n := allocated(mux, keyword+value); n > 64<<10 {
					t.Errorf("%s%d bytes: %d allocated", keyword, size, n)
				}
				if got := ask(mux, "GET", "/open", "Authorization: "+keyword+value); got.Code != 401 {
					t.Errorf("%s%d bytes: %d", keyword, size, got.Code)
				}
			}
		}
		if resp := raw(t, server, get("/closed", "Authorization: Bearer "+strings.Repeat("A", 2<<20))); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("2 MiB through net/http: %s", resp.Status)
		}
	})
	t.Run("attack_007_ten_thousand_dots", func(t *testing.T) {
		for _, value := range []string{"Bearer " + strings.Repeat("a.", 5000), "Bearer " + strings.Repeat(".", 10_000), "Token " + strings.Repeat(".", 10_000)} {
			if n := allocated(mux, value); n > 4<<10 {
				t.Errorf("%.10q…: %d bytes allocated", value, n)
			}
			if got := ask(mux, "GET", "/open", "Authorization: "+value); got.Code != 401 {
				t.Errorf("%.10q…: %d", value, got.Code)
			}
		}
	})
	t.Run("attack_008_spaces_before_a_token", func(t *testing.T) {
		for value, want := range map[string]int{"Bearer " + strings.Repeat(" ", 100_000) + "bad": 401, "Token " + strings.Repeat(" ", 10_000) + "bad": 401, "Bearer " + strings.Repeat(" ", 10_000) + "bad": 401, strings.Repeat(" ", 10_000) + "Token bad": 401} {
			if n := allocated(mux, value); n > 4<<10 {
				t.Errorf("%.10q…: %d bytes allocated", value, n)
			}
			if got := ask(mux, "GET", "/open", "Authorization: "+value); got.Code != want {
				t.Errorf("%.10q…: %d, want %d", value, got.Code, want)
			}
		}
	})
	t.Run("attack_009_malformed_basic", func(t *testing.T) {
		b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
		for value, want := range map[string]string{
			"Basic":                             "Invalid basic header. No credentials provided.",
			"Basic a b":                         "Invalid basic header. Credentials string should not contain spaces.",
			"Basic !!!!":                        "Invalid basic header. Credentials not correctly base64 encoded.",
			"Basic " + b64("nocolon"):           "Invalid basic header. Credentials not correctly base64 encoded.",
			"Basic " + b64(":"):                 "Invalid username/password.",
			"Basic " + b64("alice:wonderland:"): "Invalid username/password.",
			"Basic " + b64("\xff\xfe:\xff"):     "Invalid username/password.",
			"Basic " + b64("a\x00b:c"):          "Invalid username/password.",
		} {
			got := ask(mux, "GET", "/closed", "Authorization: "+value)
			if got.Code != 401 || got.Body.String() != `{"detail":"`+want+`"}` || got.Header().Get("WWW-Authenticate") != `Basic realm="api", charset="UTF-8"` {
				t.Errorf("%q: %d %s %s", value, got.Code, got.Body, got.Header())
			}
		}
	})
	t.Run("attack_010_attack_011_attack_012_tokens_outside_the_header", func(t *testing.T) {
		const form = "application/x-www-form-urlencoded"
		for _, x := range []struct{ method, path, kind, body string }{
			{"GET", "/closed?access_token=" + w.good, "", ""},
			{"GET", "/closed", form, "access_token=" + w.good},
			{"POST", "/closed", form, "access_token=" + w.good},
			{"POST", "/closed", form + "; charset=x", "access_token=" + w.good},
			{"POST", "/closed", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\n" + w.good + "\r\n--b--\r\n"},
		} {
			r := httptest.NewRequest(x.method, x.path, strings.NewReader(x.body))
			r.Header.Set("Content-Type", x.kind)
			got := httptest.NewRecorder()
			mux.ServeHTTP(got, r)
			if got.Code != 401 || strings.Contains(strings.Join(got.Header()["Www-Authenticate"], " "), "error=") || r.PostForm != nil {
				t.Errorf("%s %s: %d %v", x.method, x.kind, got.Code, got.Header())
			}
		}
	})
	t.Run("attack_013_smuggled_names", func(t *testing.T) {
		for _, name := range []string{"X-Authorization", "Authorization_", "Authorization-", "X_FORWARDED_USER", "X-Forwarded-User", "Proxy-Authorization", "REMOTE_USER", "Remote-User"} {
			if resp := raw(t, server, get("/closed", name+": Token "+w.good)); resp.StatusCode != 401 {
				t.Errorf("%s: %s", name, resp.Status)
			}
		}
	})
	t.Run("attack_014_hop_by_hop_removal", func(t *testing.T) {
		target, err := url.Parse(server.URL)
		must(t, err)
		proxy := serve(t, httputil.NewSingleHostReverseProxy(target))
		if resp := raw(t, proxy, get("/closed", "Authorization: Token "+w.good)); resp.StatusCode != 200 {
			t.Fatalf("through the proxy: %s", resp.Status)
		}
		request := strings.Replace(get("/open", "Authorization: Token "+w.good), "Connection: close", "Connection: close, Authorization", 1)
		resp := raw(t, proxy, request)
		if body := read(resp); resp.StatusCode != 200 || body != "/" {
			t.Errorf("a removed header: %s %q, want an anonymous request", resp.Status, body)
		}
	})
	t.Run("attack_015_look_alike_keyword", func(t *testing.T) {
		for _, keyword := range []string{"\uff22earer", "Toke\u0578", "To\u212aen", "Ba\u017fic", "Bearer\u00a0x"} {
			if got := ask(mux, "GET", "/closed", "Authorization: "+keyword+" "+w.good); got.Code != 401 {
				t.Errorf("%q: %d", keyword, got.Code)
			}
		}
	})
	t.Run("attack_016_realm_with_a_quote", func(t *testing.T) {
		for _, realm := range []string{`a"b`, `a\b`, "a\rb", "a\nb", "a\x00b", "é"} {
			if _, err := basic.New(passwords{}, &basic.Options{Realm: realm}); err == nil {
				t.Errorf("basic took realm %q", realm)
			}
			if _, err := token.New(w.store, ringOf(t), &token.Options{Realm: realm}); err == nil {
				t.Errorf("token took realm %q", realm)
			}
		}
	})
	t.Run("attack_019_every_method", func(t *testing.T) {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "FOO"} {
			if got := ask(mux, method, "/closed"); got.Code != 401 {
				t.Errorf("%s: %d", method, got.Code)
			}
		}
		if resp := raw(t, server, strings.Replace(get("/closed", "Upgrade: websocket", "Sec-WebSocket-Version: 13"), "Connection: close", "Connection: Upgrade, close", 1)); resp.StatusCode != 401 {
			t.Errorf("WebSocket: %s", resp.Status)
		}
	})
	t.Run("attack_020_path_tricks", func(t *testing.T) {
		for _, path := range []string{"/admin", "//admin", "/x/../admin", "/./admin", "/admin%2f", "/admin;x", "/admin/", "/admin/.", "/ADMIN", "/%61dmin", "/open/../admin", "/open%2f..%2fadmin", "/open?/admin", "/open/%2e%2e/admin"} {
			resp := raw(t, server, get(path))
			if body := read(resp); resp.StatusCode == 200 && !strings.HasPrefix(path, "/open?") {
				t.Errorf("%s reached a handler: %q", path, body)
			}
		}
	})
}

// allocated returns the number of bytes that one request with that Authorization allocates in the
// middleware, without the header itself and the recorder.
func allocated(h http.Handler, authorization string) uint64 {
	const runs = 20
	requests := make([]*http.Request, runs)
	for i := range requests {
		requests[i] = httptest.NewRequest("GET", "/open", nil)
		requests[i].Header["Authorization"] = []string{authorization}
	}
	w := &discard{h: make(http.Header)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, r := range requests {
		h.ServeHTTP(w, r)
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func TestToken68(t *testing.T) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	for c := range 256 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{"Bearer a" + string([]byte{byte(c)}) + "b"}
		_, err := authn.Credentials(r, "Bearer", "token")
		if want := strings.IndexByte(allowed, byte(c)) >= 0; err == nil != want {
			t.Errorf("%#x: %v", c, err)
		}
	}
}
