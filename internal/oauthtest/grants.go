package oauthtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/authntest"
)

// Behind sends a request to h behind a chain, which found id; nil for nobody.
func (w *World) Behind(h http.Handler, id *authn.Identity, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	authn.New(authn.Chain{w.Scheme()}, &authn.Options{Logger: Quiet}).Handler(http.HandlerFunc(func(rw http.ResponseWriter, in *http.Request) {
		if id != nil {
			in = authntest.As(in, *id)
		}
		h.ServeHTTP(rw, in)
	})).ServeHTTP(rec, r)
	return rec
}

type GrantItem struct {
	ID, Client, Name, Created, Expiry string
	Scopes, Resource                  []string
}

// GrantsOf lists the grants of an identity.
func (w *World) GrantsOf(id *authn.Identity) (list []GrantItem) {
	w.T.Helper()
	rec := w.Behind(w.Grants(), id, "GET", "/grants", "")
	if rec.Code != 200 || rec.Header().Get("Cache-Control") != "no-store" || strings.HasPrefix(rec.Body.String(), "null") {
		w.T.Fatalf("%d %s", rec.Code, rec.Body)
	}
	Must(w.T, json.Unmarshal(rec.Body.Bytes(), &list))
	return list
}
