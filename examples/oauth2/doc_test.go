package main

import (
	"testing"

	"github.com/vestibule-auth/vestibule/examples/internal/walk"
)

func TestMain(m *testing.M) { walk.Main(m, main) }

// The commands of the doc comment print what it says.
func TestDoc(t *testing.T) { walk.Doc(t) }
