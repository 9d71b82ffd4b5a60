//go:build linux

package hydra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks/postgres/machine"
)

// cheapIterations replaces Hydra's 25,000 PBKDF2 iterations for a second client, whose secret costs
// as little to check as a digest.
const cheapIterations = 1

// hydra is a running Ory Hydra.
type hydra struct {
	file, dir, dsn string
	public, admin  string
	process        *machine.Process
}

// settings are the environment of Hydra. All others have their defaults.
func (h *hydra) settings(iterations int) []string {
	_, public, _ := strings.Cut(h.public, ":")
	_, admin, _ := strings.Cut(h.admin, ":")
	env := []string{
		"DSN=" + h.dsn, "SERVE_PUBLIC_HOST=127.0.0.1", "SERVE_PUBLIC_PORT=" + public, "SERVE_ADMIN_HOST=127.0.0.1", "SERVE_ADMIN_PORT=" + admin,
		"URLS_SELF_ISSUER=http://" + h.public, "URLS_LOGIN=http://127.0.0.1:1/login", "URLS_CONSENT=http://127.0.0.1:1/consent",
		"SECRETS_SYSTEM=a-system-secret-of-the-benchmark", "LOG_LEVEL=error", "SQA_OPT_OUT=true", "HOME=" + h.dir, "PATH=" + os.Getenv("PATH"),
	}
	if iterations > 0 {
		env = append(env, "OAUTH2_HASHERS_PBKDF2_ITERATIONS="+strconv.Itoa(iterations))
	}
	return env
}

// startHydra migrates the database and returns Hydra as two servers: one client has a secret with
// the default hash, the other one with a cheap hash.
func startHydra(ctx context.Context, file, dir, dsn, database string) (h *hydra, list []*server, err error) {
	h = &hydra{file: file, dir: dir, dsn: dsn + "&max_conns=20&max_idle_conns=20"}
	for _, addr := range []*string{&h.public, &h.admin} {
		port, err := machine.FreePort()
		if err != nil {
			return nil, nil, err
		}
		*addr = "127.0.0.1:" + strconv.Itoa(port)
	}
	migrate := exec.CommandContext(ctx, file, "migrate", "sql", "-e", "--yes")
	migrate.Env = h.settings(0)
	if _, err := output(migrate); err != nil {
		return nil, nil, err
	}
	for _, x := range []struct {
		name, note string
		iterations int
	}{
		{"hydra, cheap hash", fmt.Sprintf("%d PBKDF2 iteration for the client's secret", cheapIterations), cheapIterations},
		{"hydra", "25,000 PBKDF2 iterations for the client's secret (its default)", 0},
	} {
		if err := h.start(ctx, x.iterations); err != nil {
			return nil, nil, errors.Join(err, h.close())
		}
		s := &server{
			name: x.name, note: x.note, database: database, public: h.public, token: "/oauth2/token", userinfo: "/userinfo", authorize: "/oauth2/auth",
			introspectAddr: h.admin, introspect: "/admin/oauth2/introspect", login: h.login,
		}
		if s.clientID, s.secret, err = h.register(); err != nil {
			return nil, nil, errors.Join(err, h.close())
		}
		list = append(list, s)
		if x.iterations != 0 { // the hash of a secret is made when the client is registered
			h.process.Stop(syscall.SIGTERM)
		}
	}
	for _, s := range list {
		s.process = h.process
	}
	return h, list, nil
}

func (h *hydra) start(ctx context.Context, iterations int) error {
	serve := exec.Command(h.file, "serve", "all", "--dev")
	serve.Env = h.settings(iterations)
	var err error
	if h.process, err = machine.Start(serve, filepath.Join(h.dir, "hydra.log")); err != nil {
		return err
	}
	c := newClient()
	defer c.close()
	return h.process.Until(ctx, 2*time.Minute, func(context.Context) error {
		a, err := c.do(request{Addr: h.admin, Path: "/health/ready"})
		if err == nil {
			err = a.want(200, "ready")
		}
		return err
	})
}

func (h *hydra) close() error {
	if h.process != nil {
		h.process.Stop(syscall.SIGTERM)
	}
	return nil
}

// register registers the client through the admin API.
func (h *hydra) register() (id, secret string, err error) {
	c := newClient()
	defer c.close()
	body, err := json.Marshal(map[string]any{
		"client_name": "Benchmark", "token_endpoint_auth_method": "client_secret_basic", "redirect_uris": []string{redirectURI}, "scope": scopes,
		"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "response_types": []string{"code"},
	})
	if err != nil {
		return "", "", err
	}
	a, err := c.do(request{Addr: h.admin, Path: "/admin/clients", JSON: string(body), Post: true})
	if err == nil {
		err = a.want(http.StatusCreated, "register")
	}
	var got struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err == nil {
		err = json.Unmarshal(a.Body, &got)
	}
	return got.ID, got.Secret, err
}

// login goes through Hydra's flow as a browser. The application that shows Hydra's login and consent
// pages is replaced by two calls of the admin API, which accept what is asked.
func (h *hydra) login(c *client, s *server, user int, query string) (string, error) {
	jar := cookies{}
	path := s.authorize + "?" + query
	for _, step := range []string{"login", "consent"} {
		to, err := h.follow(c, jar, path)
		if err != nil {
			return "", err
		}
		challenge := to.Query().Get(step + "_challenge")
		if challenge == "" {
			return "", fmt.Errorf("no %s challenge in the redirect to %.300s", step, to)
		}
		answer := map[string]any{"subject": userID(user)}
		if step == "consent" {
			answer = map[string]any{"grant_scope": strings.Fields(scopeOf(query))}
		}
		body, err := json.Marshal(answer)
		if err != nil {
			return "", err
		}
		a, err := c.do(request{Addr: h.admin, Path: "/admin/oauth2/auth/requests/" + step + "/accept?" + step + "_challenge=" + url.QueryEscape(challenge), JSON: string(body)})
		if err == nil {
			err = a.want(200, "accept the "+step)
		}
		var next struct {
			To string `json:"redirect_to"`
		}
		if err == nil {
			err = json.Unmarshal(a.Body, &next)
		}
		if err != nil {
			return "", err
		}
		u, err := url.Parse(next.To)
		if err != nil {
			return "", err
		}
		path = u.RequestURI()
	}
	to, err := h.follow(c, jar, path)
	if err != nil {
		return "", err
	}
	return codeOf(to.String())
}

func scopeOf(query string) string {
	v, _ := url.ParseQuery(query)
	return v.Get("scope")
}

// follow sends the browser to a path, and returns where it is redirected.
func (h *hydra) follow(c *client, jar cookies, path string) (*url.URL, error) {
	a, err := c.do(request{Addr: h.public, Path: path, Header: jar.header()})
	if err != nil {
		return nil, err
	}
	jar.take(a.Header)
	if a.Status != http.StatusFound && a.Status != http.StatusSeeOther {
		return nil, a.want(http.StatusSeeOther, "authorize")
	}
	return url.Parse(a.Header.Get("Location"))
}
