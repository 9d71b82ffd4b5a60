package demo

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	first, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if got := where(first.Addr()); got != "unix:"+path {
		t.Errorf("edge_C09: prints %q", got)
	}
	if l, err := Listen("unix:" + path); err == nil {
		l.Close()
		t.Error("edge_C09: took the socket of a server that runs")
	}
	// A server that was killed leaves its socket behind.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen("unix:" + path)
	if err != nil {
		t.Fatalf("edge_C09: a socket that nobody serves: %v", err)
	}
	second.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("edge_C09: the socket stays: %v", err)
	}
	// Whatever else has the name stays.
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + path); err == nil {
		t.Error("edge_C09: took the place of a file")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("edge_C09: the file holds %q, %v", text, err)
	}
	tcp, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if got := where(tcp.Addr()); got != "http://"+tcp.Addr().String() {
		t.Errorf("prints %q", got)
	}
}
