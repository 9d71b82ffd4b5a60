package benchmarks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// compareServer is examples/compare on a SQLite file with size users.
type compareServer struct {
	addr string
	// headers are alice's credentials.
	headers map[string]string
}

// buildCompare builds the example server of the module that this one is nested in.
func (e *Env) buildCompare() (path string, err error) {
	dir, err := e.Dir()
	if err != nil {
		return "", err
	}
	root, err := exec.CommandContext(e, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/vestibule-auth/vestibule").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	path = filepath.Join(dir, "compare")
	cmd := exec.CommandContext(e, "go", "build", "-o", path, "./examples/compare")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
}

// seed fills a database, so that its tables have a size.
func seed(ctx context.Context, path string) error {
	db, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		return err
	}
	tokens, err := token.New(db, ring, nil)
	if err != nil {
		return err
	}
	devices, err := knox.New(db, nil)
	if err != nil {
		return err
	}
	return db.InTx(ctx, func(ctx context.Context) error {
		for i := range size {
			id := fmt.Sprint("id-", i)
			if err := db.CreateUser(ctx, storage.User{ID: id, Name: fmt.Sprint("user", i), Active: true}); err != nil {
				return err
			}
			if _, err := tokens.GetOrCreate(ctx, id, 0); err != nil {
				return err
			}
			if _, _, err := devices.Issue(ctx, id, 0, knox.Token{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// startCompare starts it with that -cache, and logs alice in. Its JWTs are signed by HS256, as
// those of Django and of ours alone are: else the signature would be most of what is measured.
func (e *Env) startCompare(binary, cache string) (*compareServer, error) {
	dir, err := e.Dir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "db")
	if err := seed(e, path); err != nil {
		return nil, err
	}
	line, err := e.start(exec.CommandContext(e, binary, "-addr", "127.0.0.1:0", "-db", "sqlite:"+path, "-cache", cache, "-login-rate", "off",
		"-knox-ttl", "24h", "-jwt-access-ttl", "2h", "-jwt-alg", "HS256", "-demo", "-user", "alice:wonderland-42")) // -demo: the database has others
	if err != nil {
		return nil, err
	}
	s := &compareServer{headers: make(map[string]string)}
	var ok bool
	if s.addr, ok = strings.CutPrefix(line, "listening on http://"); !ok {
		return nil, fmt.Errorf("compare says %q", line)
	}
	return s, s.logIn(e)
}

func (s *compareServer) logIn(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	c := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	base := "http://" + s.addr
	do := func(method, path, form string, set func(*http.Request)) (*http.Response, string, error) {
		r, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(form))
		if err != nil {
			return nil, "", err
		}
		if form != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", base)
		}
		if set != nil {
			set(r)
		}
		resp, err := c.Do(r)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode >= 400 {
			err = fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
		}
		return resp, string(text), err
	}
	form := func(path, form, field string, set func(*http.Request)) (string, error) {
		_, text, err := do("POST", path, form, set)
		if err != nil {
			return "", err
		}
		var body map[string]any
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			return "", err
		}
		value, ok := body[field].(string)
		if !ok {
			return "", fmt.Errorf("POST %s: no %q", path, field)
		}
		return value, nil
	}
	for scheme, at := range map[string][3]string{"token": {"/token/login", "token", "Token "}, "knox": {"/knox/login", "token", "Knox "}, "jwt": {"/jwt/token", "access", "Bearer "}} {
		text, err := form(at[0], loginForm, at[1], nil)
		if err != nil {
			return err
		}
		s.headers[scheme] = "Authorization: " + at[2] + text
	}
	s.headers["basic"] = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wonderland-42"))
	if _, _, err := do("POST", "/session/login", loginForm, nil); err != nil {
		return err
	}
	u, _ := url.Parse(base)
	for _, k := range jar.Cookies(u) {
		if k.Name == "session" {
			s.headers["session"] = "Cookie: session=" + k.Value
		}
	}
	const callback = "http://127.0.0.1/callback"
	query := "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"demo-public"}, "redirect_uri": {callback}, "scope": {"profile"}, "state": {"s"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode()
	_, page, err := do("GET", query, "", nil)
	if err != nil {
		return err
	}
	handle := regexp.MustCompile(`name="handle" value="([^"]+)"`).FindStringSubmatch(page)
	csrf := regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`).FindStringSubmatch(page)
	if handle == nil || csrf == nil {
		return fmt.Errorf("no consent page: %s", page)
	}
	resp, _, err := do("POST", query, url.Values{"handle": {handle[1]}, "csrfmiddlewaretoken": {csrf[1]}, "decision": {"allow"}}.Encode(), nil)
	if err != nil {
		return err
	}
	to, err := resp.Location()
	if err != nil {
		return err
	}
	access, err := form("/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"demo-public"}, "redirect_uri": {callback}, "code": {to.Query().Get("code")},
		"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	}.Encode(), "access_token", nil)
	s.headers["oauth2"] = "Authorization: Bearer " + access
	return err
}

// targets are the open path and the profile by each scheme, through the chain of all six.
func (s *compareServer) targets(group string, basic bool) []asked {
	sample := func(name string) *Sample {
		return &Sample{Section: "servers", Group: group, Name: name, Unit: "req/s", Allocs: -1, Bytes: -1, Cached: basic}
	}
	list := []asked{{&Target{Addr: s.addr, Path: "/api/open", Want: "username"}, sample(Open)}}
	for _, name := range Schemes {
		if name == "basic" && !basic {
			continue // each request would be a password hash
		}
		list = append(list, asked{&Target{Addr: s.addr, Path: "/api/profile", Header: s.headers[name], Want: "alice"}, sample(name)})
	}
	return list
}

// Groups of the section "servers".
const (
	CompareCached   = "compare -cache 30s"
	CompareUncached = "compare -cache off"
	DjangoServer    = "Django REST Framework"
)
