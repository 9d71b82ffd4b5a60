package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A browser logs in through a real nginx with the example's own configuration.
func TestBehindNginx(t *testing.T) {
	h, err := newServer(t.Context(), "https://app.example", []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	plain, secure := start(t, server.Listener.Addr().String())

	// The client connects from 127.0.0.2, and nginx to the server from 127.0.0.1.
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if strings.HasSuffix(to, ":80") {
				return dialer.DialContext(ctx, network, plain)
			}
			return dialer.DialContext(ctx, network, secure)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the test's own certificate
	}}
	do := func(method, target string, form url.Values, headers ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, strings.TrimSpace(string(body))
	}

	alice := url.Values{"username": {"alice"}, "password": {"wonderland-42"}}
	if status, body := do("POST", "https://app.example/login", alice, "Origin", "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("a login form of another site: %d %s", status, body)
	}
	const want = `{"address":"127.0.0.2","https":true,"user":"alice"}`
	if status, body := do("POST", "https://app.example/login", alice, "Origin", "https://app.example"); status != http.StatusOK || body != want {
		t.Fatalf("login: %d %s", status, body)
	}
	if cookies := jar.Cookies(&url.URL{Scheme: "https", Host: "app.example"}); len(cookies) != 1 || cookies[0].Name != "__Host-session" {
		t.Errorf("cookies %v", cookies)
	}
	// What a client writes into the forwarding headers is replaced.
	spoofed := []string{"X-Forwarded-For", "203.0.113.1", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example", "Forwarded", "for=203.0.113.1"}
	if status, body := do("GET", "https://app.example/whoami", nil, spoofed...); status != http.StatusOK || body != want {
		t.Errorf("spoofed headers: %d %s", status, body)
	}
	if status, body := do("GET", "http://app.example/whoami", nil); status != http.StatusOK || body != want { // by a redirect to https
		t.Errorf("plain http: %d %s", status, body)
	}
	if status, body := do("POST", "https://app.example/logout", url.Values{}, "Origin", "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("a logout form of another site: %d %s", status, body)
	}
	if status, body := do("GET", "https://app.example/whoami", nil); status != http.StatusOK {
		t.Errorf("after that: %d %s", status, body)
	}
}

// A client that reaches the server without nginx is not believed.
func TestWithoutNginx(t *testing.T) {
	h, err := newServer(t.Context(), "https://app.example", []string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h) // its peer, 127.0.0.1, is no proxy
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/login", strings.NewReader("username=alice&password=wonderland-42"))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "app.example"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-Proto", "https")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden || len(response.Cookies()) != 0 {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// start runs nginx with nginx.conf in front of server, and returns its addresses for http and https.
func start(t *testing.T, server string) (plain, secure string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("nginx is required: apt-get install nginx")
		}
		t.Skip("not run: nginx is not installed")
	}
	text, err := os.ReadFile("nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plain, secure = freeAddr(t), freeAddr(t)
	config := string(text)
	for _, pair := range [][2]string{
		{"listen      80", "listen " + plain}, {"listen      443 ssl", "listen " + secure + " ssl"}, {"127.0.0.1:8080", server},
		{"/etc/ssl/app.example.pem", dir + "/cert.pem"}, {"/etc/ssl/app.example.key", dir + "/key.pem"},
	} {
		if strings.Count(config, pair[0]) != 1 {
			t.Fatalf("nginx.conf: %q is not there once", pair[0])
		}
		config = strings.ReplaceAll(config, pair[0], pair[1])
	}
	certificate(t, dir)
	main := "daemon off; master_process off; pid " + dir + "/pid; error_log stderr warn; events {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(main+config+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(strings.Builder)
	nginx := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-p", dir, "-c", path, "-e", "stderr")
	nginx.Stderr = log
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- nginx.Wait() }()
	t.Cleanup(func() {
		if err := nginx.Process.Kill(); err != nil {
			t.Log(err)
		}
		if err := <-ended; t.Failed() {
			t.Logf("nginx: %v\n%s", err, log)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { //house: nginx has no clock of ours
		c, err := net.Dial("tcp", secure)
		if err == nil {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			return plain, secure
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen: %v\n", err)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// certificate writes cert.pem and key.pem for app.example.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
