package globalrevocation_test

import (
	"testing"

	"github.com/vestibule-auth/vestibule/internal/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
