package main

import (
	"os"
	"testing"

	"github.com/vestibule-auth/vestibule/internal/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(serve) != "" {
		main()
		return
	}
	storetest.Main(m)
}
