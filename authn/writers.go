package authn

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// ErrorWriter writes the status and body of an error response. The headers that carry information
// (WWW-Authenticate, Retry-After, Cache-Control) are already set.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, e *Error)

// WriteDetail writes the body of Django REST Framework: {"detail": "…"}, followed by the Members
// of the error. If Detail is "", it writes only the Members.
func WriteDetail(w http.ResponseWriter, _ *http.Request, e *Error) {
	var body Object
	if e.Detail != "" {
		body = append(body, Member{"detail", e.Detail})
	}
	writeJSON(w, "application/json", e.Status, append(body, e.Members...))
}

// WriteProblem writes application/problem+json (RFC 9457): type, title, status, detail and code,
// and the Members of the error under "errors".
func WriteProblem(w http.ResponseWriter, _ *http.Request, e *Error) {
	body := Object{{"type", "about:blank"}, {"title", http.StatusText(e.Status)}, {"status", e.Status}}
	if e.Detail != "" {
		body = append(body, Member{"detail", e.Detail})
	}
	body = append(body, Member{"code", e.Code})
	var more Object
	for _, m := range e.Members {
		if m.Name != "code" {
			more = append(more, m)
		}
	}
	if len(more) > 0 {
		body = append(body, Member{"errors", more})
	}
	writeJSON(w, "application/problem+json", e.Status, body)
}

func writeJSON(w http.ResponseWriter, contentType string, status int, body Object) {
	b, err := body.MarshalJSON()
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"detail":"A server error occurred."}`)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// Object is a JSON object whose members keep their order.
type Object []Member

// MarshalJSON writes the members in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
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
	return append(b, '}'), nil
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
