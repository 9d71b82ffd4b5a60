package login

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
)

// Answer writes v as JSON with status 200. Caches must not keep it (RFC 6749, section 5.1).
func Answer(w http.ResponseWriter, v any) {
	private(w.Header())
	_ = json.NewEncoder(w).Encode(v)
}

func private(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
}

// object encodes members as an object that keeps their order.
func object(members []authn.Member) ([]byte, error) {
	b := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}', '\n'), nil
}

// Time returns t as answers have it: RFC 3339 in UTC with microseconds.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// TimeOrNull is Time, and nil for the zero time, which JSON writes as null.
func TimeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := Time(t)
	return &s
}
