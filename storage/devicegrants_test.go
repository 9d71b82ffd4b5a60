package storage_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/vestibule-auth/vestibule/storage"
)

func TestMACPrintsNothing(t *testing.T) {
	m := storage.MAC{1, 2, 3}
	text, err := json.Marshal(m)
	if err != nil || string(text) != `"[redacted]"` {
		t.Errorf("%s, %v", text, err)
	}
	for _, got := range []string{fmt.Sprint(m), fmt.Sprintf("%#v", m), m.LogValue().String()} {
		if got != "[redacted]" {
			t.Errorf("printed %q", got)
		}
	}
}
