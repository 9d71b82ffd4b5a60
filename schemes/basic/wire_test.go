package basic_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/schemetest"
	"github.com/vestibule-auth/vestibule/schemes/basic"
)

func TestWire(t *testing.T) {
	c := &checker{name: "alice", password: "secret"}
	x, err := basic.New(c, nil)
	schemetest.Must(t, err)
	schemetest.Wire{Scheme: x, Keyword: "Basic", Kind: "basic", Good: pair("alice:secret")[6:], Subject: "1", Invalid: "*", Lookups: c.asked.Load}.Run(t)
}
