package main

import (
	"embed"
	"html/template"
	"net/http"

	"github.com/vestibule-auth/vestibule/authz"
)

//go:embed page.html
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

// page shows what is served, and a form to try each scheme from the browser.
func page(mux *authz.Mux) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("Referrer-Policy", "same-origin")
		_ = pageTemplate.Execute(w, mux.Routes())
	}
}
