package credential_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/authn/authntest"
	"github.com/vestibule-auth/vestibule/storage"
)

// The code of the guide is that of the example, which is compiled and run.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/new-scheme.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(guide), "```go\n")[1:]
	if len(blocks) < 6 {
		t.Fatalf("%d blocks of code", len(blocks))
	}
	for _, b := range blocks {
		block, _, _ := strings.Cut(b, "```")
		if !strings.Contains(string(code), block) {
			t.Errorf("not in example_test.go:\n%s", block)
		}
	}
}

// The scheme of the guide keeps the contract.
func TestGuideContract(t *testing.T) {
	db := &store{users: map[string]storage.User{"id-alice": {ID: "id-alice", Active: true, Epoch: 1}}, keys: map[storage.Digest]Key{}}
	s, err := New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Issue(t.Context(), "id-alice", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	with := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("X-Api-Key", text) }
	}
	authntest.Run(t, authntest.Suite{Scheme: s, Good: with(key.Reveal()), Bad: map[string]func(*http.Request){
		"unknown": with(s.format.Encode([32]byte{1})), "malformed": with(key.Reveal()[:50]), "junk": with("junk"), "empty": with(""),
		"two": func(r *http.Request) { with(key.Reveal())(r); with(key.Reveal())(r) },
	}})
}
