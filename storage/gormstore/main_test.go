package gormstore_test

import (
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patient is for tests that are not about the timeout: on a busy machine the usual one of 2 s ends
// calls that wait for others.
var patient = gormstore.Options{Timeout: time.Minute}
