package main

import (
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/walktest"
)

func TestMain(m *testing.M) { walktest.Main(m, main) }

// The commands of the doc comment print what it says.
func TestDoc(t *testing.T) { walktest.Doc(t) }
