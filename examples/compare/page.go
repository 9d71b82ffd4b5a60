package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"

	"github.com/vestibule-auth/vestibule/authz"
)

//go:embed web
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "web/index.html"))

// column is a scheme of the comparison, and what it is called on the page.
type column struct{ Name, Scheme string }

// cell is what was observed of a scheme, and what is known of Django's where that differs.
type cell struct {
	column
	Answer, Django string
}

type question struct {
	Question, How string
	Cells         []cell
}

// table is what comparison_test.go of the repository observed.
type table struct {
	Schemes []column
	Rows    []question
}

// schemeOf says which scheme a column is about, in the order of the columns.
var schemeOf = [...]string{"token", "knox", "jwt", "", "oauth2", "session", "", "basic"}

func readTable() (*table, error) {
	text, err := files.ReadFile("web/comparison.json")
	if err != nil {
		return nil, err
	}
	var in struct {
		Schemes []string
		Rows    []struct {
			Question, How   string
			Answers, Django []string
		}
	}
	if err := json.Unmarshal(text, &in); err != nil || len(in.Schemes) != len(schemeOf) {
		return nil, fmt.Errorf("comparison.json: %d schemes, want %d (%v)", len(in.Schemes), len(schemeOf), err)
	}
	t := new(table)
	for i, name := range in.Schemes {
		t.Schemes = append(t.Schemes, column{name, schemeOf[i]})
	}
	for _, r := range in.Rows {
		q := question{Question: r.Question, How: r.How}
		for i, answer := range r.Answers {
			c := cell{column: t.Schemes[i], Answer: answer}
			if r.Django != nil && r.Django[i] != answer {
				c.Django = r.Django[i]
			}
			q.Cells = append(q.Cells, c)
		}
		t.Rows = append(t.Rows, q)
	}
	return t, nil
}

// pageRoutes mounts the page, its files, and the page that the authorization server sends the
// browser back to.
func pageRoutes(mux *authz.Mux, cfg *config) error {
	t, err := readTable()
	if err != nil {
		return err
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		base := cfg.Origin
		if base == "" {
			base = "http://" + r.Host
		}
		if err := pageTemplate.Execute(&b, map[string]any{"Routes": mux.Routes(), "Table": t, "Kept": cfg.Cache, "Base": base}); err != nil {
			http.Error(w, "The page cannot be made.", http.StatusInternalServerError)
			return
		}
		secure(w.Header())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store") // the address of /callback holds a code
		_, _ = w.Write(b.Bytes())
	})
	mux.Public("GET /{$}", page)
	mux.Public("GET /callback", page)
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8"} {
		text, err := files.ReadFile("web/" + name)
		if err != nil {
			return err
		}
		mux.Public("GET /"+name, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			secure(w.Header())
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(text)
		}))
	}
	return nil
}

// secure says that the page runs nothing but its own files and sends nothing elsewhere.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
}
