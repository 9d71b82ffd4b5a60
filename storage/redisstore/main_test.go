package redisstore_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/redistest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	storetest.Main(m)
}
