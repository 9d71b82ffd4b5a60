//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/interop/visitor"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
)

// gateway is a proxy that logs users in, in front of an application.
type gateway struct {
	issuer   string
	address  string // of the proxy
	secret   string // of the client "gateway"
	upstream string // the application

	mu     sync.Mutex
	tokens []string // each access token that the application got, once
}

// newGateway runs examples/compare with a client for the gateway, and the application, which calls
// the API with the token in the header that the gateway sets.
func newGateway(t *testing.T, callback, header string) *gateway {
	t.Helper()
	text, digest, err := oauth2.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{secret: text, address: "http://" + freeAddress(t)}
	path := filepath.Join(t.TempDir(), "gateway.sqlite3")
	db, err := sqlite.Open(path, nil)
	if err == nil {
		err = db.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	client := storage.Client{
		ID: "gateway", Name: "Gateway", Method: oauth2.SecretBasic, Secret: digest, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken},
		Scopes: []string{"openid", "profile", "email"}, RedirectURIs: []string{g.address + callback}, LogoutURIs: []string{g.address + "/bye"}, Created: time.Now(),
	}
	err = oauth2.CheckClient(client)
	if err == nil {
		err = db.CreateClient(t.Context(), client)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	g.issuer = compare(t, "-db", "sqlite:"+path, "-demo")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get(header)
		g.mu.Lock()
		if len(g.tokens) == 0 || g.tokens[len(g.tokens)-1] != token {
			g.tokens = append(g.tokens, token)
		}
		g.mu.Unlock()
		status, name := profile(r.Context(), g.issuer, token)
		fmt.Fprintf(w, "the API says %d %s", status, name)
	}))
	t.Cleanup(app.Close)
	g.upstream = app.URL
	return g
}

// given returns the access tokens that the application got.
func (g *gateway) given() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.tokens...)
}

// run starts the gateway and waits until it listens.
func (g *gateway) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("%s", text)
		}
		log.Close()
	})
	at, err := url.Parse(g.address)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", at.Host)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("the gateway ended")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// says fails unless a page of the gateway is as wanted.
func (g *gateway) says(t *testing.T, v *visitor.Visitor, path, want string) {
	t.Helper()
	p, err := v.Open(g.address + path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != http.StatusOK || p.Text != want {
		t.Fatalf("%s: at %s: %d %q, want %q", path, p.URL.Redacted(), p.Status, p.Text, want)
	}
}

// profile calls the API with a token.
func profile(ctx context.Context, base, token string) (status int, name string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/profile", nil)
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var who struct{ Username string }
	if body, err := io.ReadAll(resp.Body); err != nil || json.Unmarshal(body, &who) != nil {
		return resp.StatusCode, "malformed"
	}
	return resp.StatusCode, who.Username
}

// freeAddress returns an address where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
