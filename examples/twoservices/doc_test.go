package main

import (
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/walk"
)

func TestMain(m *testing.M) { walk.Main(m, main) }

// The commands of the doc comment print what it says.
func TestDoc(t *testing.T) {
	issuer := walk.Start(t, "-role", "issuer")
	verifier := walk.Start(t, "-role", "verifier", "-jwks", "http://"+issuer.Addr+"/.well-known/jwks.json")
	issuer.Comment(t, "main.go", "127.0.0.1:8081", verifier.Addr)
}
