package main

import (
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/walktest"
)

func TestMain(m *testing.M) { walktest.Main(m, main) }

// The commands of the doc comment print what it says.
func TestDoc(t *testing.T) {
	issuer := walktest.Start(t, "-role", "issuer")
	verifier := walktest.Start(t, "-role", "verifier", "-jwks", "http://"+issuer.Addr+"/.well-known/jwks.json")
	issuer.Comment(t, "main.go", "127.0.0.1:8081", verifier.Addr)
}
