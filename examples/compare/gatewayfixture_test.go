package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/examples/internal/demo"
	"github.com/vestibule-auth/vestibule/examples/internal/demotest"
	"github.com/vestibule-auth/vestibule/internal/servertest"
)

// guide returns the n-th block of that language in docs/gateways.md.
func guide(t *testing.T, language string, n int) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```"+language+"\n")
	if len(blocks) <= n+1 {
		t.Fatalf("the guide has no block %d of %s", n, language)
	}
	block, _, _ := strings.Cut(blocks[n+1], "```")
	return block
}

// replace replaces what must be there.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the guide's configuration has no %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// serveCompare serves the comparison server on l, with those flags.
func serveCompare(t *testing.T, l net.Listener, flags ...string) {
	t.Helper()
	cfg, err := parseFlags(append([]string{"-db", "sqlite:" + t.TempDir() + "/db", "-cache", "off"}, flags...))
	if err != nil {
		t.Fatal(err)
	}
	demotest.Weaken(t, &cfg.Flags)
	db, ring, cleanup, err := cfg.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanup)
	cfg.Base = cfg.Origin
	h, err := testServer(t, cfg, db, ring)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: demo.Slashless(h)}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// application is one behind the gateway that knows nothing of Vestibule: it answers with what
// it was told.
func application(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := map[string]string{"method": r.Method, "uri": r.RequestURI}
		for name, values := range r.Header {
			if folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name)); strings.HasPrefix(folded, "x-auth-") {
				told[name] = strings.Join(values, "|")
			}
		}
		w.Header().Set("X-App", "reached")
		json.NewEncoder(w).Encode(told)
	}))
	t.Cleanup(s.Close)
	return s
}

// certificate writes one for app.example and returns its two files.
func certificate(t *testing.T) (cert, key string) {
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
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startGateway runs a gateway with the guide's configuration, in front of the server that
// authenticates and of the application, and returns its address.
func startGateway(t *testing.T, gateway, server, app string) (addr string) {
	t.Helper()
	addr = freeAddr(t)
	cert, key := certificate(t)
	servers := []string{"127.0.0.1:8080", server, "127.0.0.1:9000", app}
	if gateway == "nginx" {
		startNginx(t, addr, replace(t, guide(t, "nginx", 1), append(servers, "443 ssl", addr+" ssl", "/etc/ssl/app.example.pem", cert, "/etc/ssl/app.example.key", key)...))
		return addr
	}
	_, port, _ := net.SplitHostPort(addr)
	startCaddy(t, addr, replace(t, guide(t, "caddy", 0), append(servers, "app.example {", "https://app.example:"+port+" {\n\tbind 127.0.0.1\n\ttls "+cert+" "+key)...))
	return addr
}

// startNginx runs nginx with a guide's configuration inside of http.
func startNginx(t *testing.T, addr, config string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := "daemon off; master_process off; pid " + dir + "/pid; error_log stderr warn; events {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	if err := os.WriteFile(conf, []byte(text+config+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, addr, exec.Command(servertest.Program(t, "nginx"), "-p", dir, "-c", conf, "-e", "stderr"))
}

// startCaddy runs Caddy with a guide's configuration.
func startCaddy(t *testing.T, addr, config string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(conf, []byte("{\n\tadmin off\n\tauto_https off\n}\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(servertest.Program(t, "caddy"), "run", "--config", conf, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	start(t, addr, cmd)
}

// start runs a program until the test ends, once it accepts connections.
func start(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	out := new(sink)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, out)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", cmd.Path, out)
		case <-deadline:
			t.Fatalf("%s does not listen:\n%s", cmd.Path, out)
		case <-tick.C:
		}
	}
}

// client calls a gateway as app.example, as it is written: paths are not cleaned.
type client struct {
	t    *testing.T
	addr string
}

// do returns the answer and its body; headers are "Name: value".
func (c client) do(method, target, body string, headers ...string) (*http.Response, string) {
	c.t.Helper()
	raw, err := tls.Dial("tcp", c.addr, &tls.Config{ServerName: "app.example", InsecureSkipVerify: true})
	if err != nil {
		c.t.Fatal(err)
	}
	defer raw.Close()
	if deadline, ok := c.t.Deadline(); ok {
		raw.SetDeadline(deadline)
	}
	fmt.Fprintf(raw, "%s %s HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n", method, target)
	for _, h := range headers {
		fmt.Fprintf(raw, "%s\r\n", h)
	}
	if body != "" {
		kind := "application/x-www-form-urlencoded"
		if strings.HasPrefix(body, "{") {
			kind = "application/json"
		}
		fmt.Fprintf(raw, "Content-Type: %s\r\nContent-Length: %d\r\n", kind, len(body))
	}
	fmt.Fprintf(raw, "\r\n%s", body)
	resp, err := http.ReadResponse(bufio.NewReader(raw), &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp, strings.TrimSpace(string(text))
}
