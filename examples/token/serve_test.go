package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/walktest"
)

func TestMain(m *testing.M) { walktest.Main(m, main) }

// The commands of the doc comment print what it says.
func TestDoc(t *testing.T) { walktest.Doc(t) }

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen("unix:" + path); err == nil {
		t.Error("edge_C09: took the socket of a server that runs")
	}
	// A server that was killed leaves its socket behind.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := listen("unix:" + path)
	if err != nil {
		t.Fatalf("edge_C09: a socket that nobody serves: %v", err)
	}
	second.Close()
	// Anything else that has the name stays.
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen("unix:" + path); err == nil {
		t.Error("edge_C09: took the place of a file")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("edge_C09: the file holds %q, %v", text, err)
	}
}
