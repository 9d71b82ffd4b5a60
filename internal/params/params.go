// Package params parses the parameters of requests in bounded memory: each parameter costs more
// than its length shows, and callers that are not authenticated choose how many they send.
package params

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Most is how many parameters a request may have, and MaxQuery how long the query of an address
// may be, in bytes.
const (
	Most     = 256
	MaxQuery = 64 << 10
)

// Parse parses a form. More than Most parameters are an error.
func Parse(text string) (url.Values, error) {
	if strings.Count(text, "&") >= Most {
		return nil, errors.New("too many parameters")
	}
	return url.ParseQuery(text)
}

// Query returns the parameters of the request's address. A query that has too many, or is too
// long, has none; of a malformed one those that can be read, as in URL.Query.
func Query(r *http.Request) url.Values {
	if len(r.URL.RawQuery) > MaxQuery || strings.Count(r.URL.RawQuery, "&") >= Most {
		return url.Values{}
	}
	return r.URL.Query()
}
