//go:build linux

package balanced_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/servertest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

const secret = "a-long-password-42"

// fixture is the database, Redis, nginx and two replicas.
type fixture struct {
	t        *testing.T
	db       *gormstore.Store
	replicas []*process
	client   *http.Client
}

// process is a replica.
type process struct {
	addr, database, redis string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts the replica and waits until it serves.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = exec.Command(os.Args[0], "-test.run=^$")
	p.cmd.Env = append(os.Environ(), replicaAddr+"="+p.addr, replicaDB+"="+p.database, replicaURL+"="+p.redis)
	p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	p.ended = run(t, p.cmd)
	reachable(t, p.addr, p.ended)
}

// kill ends the replica as a crash does.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// run starts a program that ends with this one.
func run(t *testing.T, cmd *exec.Cmd) (ended chan struct{}) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	ended = make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel watches the thread that started the program
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return ended
}

// reachable waits until a program accepts connections.
func reachable(t *testing.T, addr string, ended chan struct{}) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the program for %s ended", addr)
		case <-deadline:
			t.Fatalf("nothing listens on %s", addr)
		case <-tick.C:
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nginx starts nginx with the documented configuration.
func (f *fixture) nginx() {
	t := f.t
	t.Helper()
	text, err := os.ReadFile("../../../examples/nginx/replicas.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := t.TempDir(), freeAddr(t)
	config := string(text)
	for from, to := range map[string]string{
		"listen      443 ssl":      "listen " + addr + " ssl",
		"127.0.0.1:8081":           f.replicas[0].addr,
		"127.0.0.1:8082":           f.replicas[1].addr,
		"/etc/ssl/app.example.pem": dir + "/cert.pem",
		"/etc/ssl/app.example.key": dir + "/key.pem",
	} {
		if strings.Count(config, from) != 1 {
			t.Fatalf("replicas.conf has %q %d times, want once", from, strings.Count(config, from))
		}
		config = strings.ReplaceAll(config, from, to)
	}
	certificate(t, dir)
	main := "daemon off; master_process off; pid " + dir + "/pid; error_log stderr crit; events {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(main+config+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(servertest.Program(t, "nginx"), "-p", dir, "-c", path, "-e", "stderr")
	cmd.Stderr = os.Stderr
	ended := run(t, cmd)
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	reachable(t, addr, ended)
	f.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the test's own certificate
	}}
	t.Cleanup(f.client.CloseIdleConnections)
}

// send returns the status and the body, or 0 if there was no answer.
func (f *fixture) send(r *http.Request) (int, string, *http.Response) {
	answer, err := f.client.Do(r)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return answer.StatusCode, string(body), answer
}

// register creates an account and returns its ID.
func (f *fixture) register(name string) string {
	f.t.Helper()
	passwords, err := password.New(f.db, passwordtest.New(f.t, nil), &password.Options{InsecureNoLimiter: true})
	if err != nil {
		f.t.Fatal(err)
	}
	u, err := passwords.Register(f.t.Context(), password.NewUser{Name: name, Password: secret})
	if err != nil {
		f.t.Fatal(err)
	}
	return u.ID
}

func certificate(t *testing.T, dir string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app.example"}, DNSNames: []string{"app.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
