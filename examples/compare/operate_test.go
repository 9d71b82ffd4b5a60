package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// safeLog is a log that can be read while it is written.
type safeLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *safeLog) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// Servers over one database have different settings or master keys: the log warns. One whose master key
// opens no signing key does not start, and what the others accept stays accepted.
func TestOtherServers_attack_231(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		if !isPostgres(flags.DB) {
			return
		}
		other, err := keys.NewRing(keys.Generate())
		if err != nil {
			t.Fatal(err)
		}
		var logs [2]safeLog
		var first demotest.Client
		var access string
		for i, x := range []struct {
			ring    *keys.Ring
			ttl     string
			refused bool
		}{{ring, "5m", false}, {ring, "6m", false}, {other, "5m", true}} {
			cfg, err := parseFlags([]string{"-db", flags.DB, "-cache", "off", "-jwt-access-ttl", x.ttl})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Flags = flags
			cfg.Demo = true
			cfg.replica.Logger = slog.New(slog.NewTextHandler(&logs[min(i, 1)], nil))
			h, err := testServer(t, cfg, db, x.ring)
			if x.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "master key") {
				t.Errorf("server %d: %v", i, err)
			}
			if i == 0 && err == nil {
				first = demotest.NewClient(t, h)
				access = "Authorization: Bearer " + first.JSON("/jwt/token", `{"username":"alice","password":"wonderland-42"}`)["access"]
			}
		}
		first.Is(200, "*", "GET", "/api/jwt/profile", "", access)
		for _, want := range []string{"replicas have different settings", "replicas have different master keys"} {
			for !logs[1].has(want) { // the others have announced themselves before
				if err := db.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}, gormstore.Options{})
}

// While the database is read-only, as during a fail-over, a server starts, credentials are accepted,
// and what must write is 503. Nothing is 401.
func TestReadOnlyDatabase_attack_223(t *testing.T) {
	demotest.Each(t, func(t *testing.T, flags demo.Flags, db *gormstore.Store, ring *keys.Ring) {
		if !isPostgres(flags.DB) || strings.Contains(flags.DB, "exec") { // a pooler does not pass the setting
			return
		}
		start := func(url string, db *gormstore.Store) demotest.Client {
			cfg, err := parseFlags([]string{"-db", url, "-cache", "off"})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Flags = flags
			cfg.DB, cfg.Demo = url, true
			if db == nil {
				var cleanup func()
				if db, _, cleanup, err = cfg.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(cleanup)
			}
			h, err := testServer(t, cfg, db, ring)
			if err != nil {
				t.Fatal(err)
			}
			return demotest.NewClient(t, h)
		}
		before := start(flags.DB, db)
		const alice = `{"username":"alice","password":"wonderland-42"}`
		device := strings.Replace(before.Token("/knox/login", "alice", "wonderland-42"), "Token ", "Knox ", 1)
		static := before.Token("/token/login", "alice", "wonderland-42")
		access := "Authorization: Bearer " + before.JSON("/jwt/token", alice)["access"]
		c := start(flags.DB+"&default_transaction_read_only=on", nil)
		for path, header := range map[string]string{"/api/knox/profile": device, "/api/token/profile": static, "/api/jwt/profile": access} {
			c.Is(200, "*", "GET", path, "", header)
		}
		c.Is(503, "*", "POST", "/knox/login", alice)
		c.Is(503, "*", "POST", "/jwt/token", alice)
		c.Is(503, "*", "POST", "/session/login", alice)
		c.Is(503, "*", "POST", "/knox/logout", "", device)
		c.Is(503, "*", "POST", "/logout-everywhere", "", device)
		c.Is(200, "*", "GET", "/api/knox/profile", "", device)
	}, gormstore.Options{})
}

// After SIGTERM a server is first not ready, and serves on; then it ends, and no request is cut.
func TestDrain(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-addr", "127.0.0.1:0", "-db", "sqlite:"+filepath.Join(t.TempDir(), "db"), "-login-rate", "off", "-drain", "3s")
	cmd.Env = append(os.Environ(), "VESTIBULE_KEY=", serve+"=1")
	var stderr safeLog
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, stderr.text.String())
	}
	url := strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	get := func(path string) int {
		t.Helper()
		client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if code := get("/healthz"); code != 200 {
		t.Fatal("before:", code)
	}
	// A login whose body is not complete when the signal comes.
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"username":"alice","password":"wonderland-42"}`
	fmt.Fprintf(conn, "POST /knox/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", conn.RemoteAddr(), len(body), body[:9])
	if code := get("/api/open"); code != 200 { // the server has read the beginning by now, or it is in its queue
		t.Fatal(code)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for get("/healthz") != 503 {
	}
	if code := get("/api/open"); code != 200 {
		t.Error("while it drains:", code)
	}
	// Until no new connection is accepted.
	for {
		c, err := net.Dial("tcp", conn.RemoteAddr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	fmt.Fprint(conn, body[9:])
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		t.Errorf("the running request: %.60q, %v", answer, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error("ended with", err)
	}
	if stderr.has("failed") {
		t.Error(stderr.text.String())
	}
}
