package session_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

func TestWire(t *testing.T) {
	s := memory.New(nil)
	schemetest.Add(t, s, "alice")
	a := newApp(t, s, nil)
	name, good, _ := strings.Cut(a.login("alice"), "=")
	schemetest.Wire{
		Scheme: a.x, Cookie: name, Good: good, Subject: "id-alice", Lookups: a.reads,
		Add: func(r *http.Request) { r.Host, r.TLS = "app.example", new(tls.ConnectionState) },
	}.Run(t)
}
