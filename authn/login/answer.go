package login

import (
	"encoding/json"
	"net/http"
	"time"
)

// Answer writes v as JSON with status 200 and forbids caching (RFC 6749, section 5.1).
func Answer(w http.ResponseWriter, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// Time formats t for responses: RFC 3339 in UTC with microseconds.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// TimeOrNull is [Time], but returns nil for the zero time, which is null in JSON.
func TimeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := Time(t)
	return &s
}
