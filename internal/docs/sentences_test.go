package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSentences(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"README.md": "# A heading of four words\n\nOne sentence of the\nREADME. Too short. nil or `f[T](x)` is one too (see [`the` page](x.md)).\nVersions 1.2, e.g. this, are not two. Or are they?\nLetters, digits and @ . + - are one.\n" +
			"```go\n// Code is no sentence here.\n```\n<!-- A comment is none either. -->\n- An item without its end\n- <a id=\"x\"></a>[1. A title with number](x.md): one.\n- [ ] Another item of a list.\n\n" +
			"| Cell of four words | `a \\| b` in a cell |\n|---|---|\n| Go | One sentence of the |\n> A quotation is a sentence.\n",
		"CHANGELOG.md":           "The changelog is left out.\n",
		"docs/a.md":              "---\ntitle: The front matter is left out\n---\nA sentence of the guide.\nAn item without its end\n",
		"docs/reference/b.md":    "A page that is generated.\n",
		"docs/decisions/1.md":    "A record of its day.\n",
		"internal/x/x.go":        "// Package x is left out.\npackage x\n",
		"examples/x/main.go":     "// Command x is left out.\npackage main\n",
		"a/a_test.go":            "// Tests are left out here.\npackage a\n",
		"a/a.go":                 "// Package a is a package.\n//\n//\tcode is left out here\n//\n//   - an item of the comment\n//go:build a b c d\npackage a\n\n// a comment of the file\n\n// A is a function here.\nfunc A() {\n\t// B in a body: left out.\n\tvar B int\n}\n\n// hidden has no readers here.\nfunc hidden() {}\n",
		"a/b.go":                 "package a\n\n// T is a struct type.\ntype T[K any] struct {\n\tF int // F is a field here\n\t// g has no readers here.\n\tg int\n}\n\n// M of T is exported.\nfunc (*T[K]) M() {}\n\ntype u struct{}\n\n// M of u is not exported.\nfunc (u) M() {}\n\n// V and the next one\nconst (\n\tV = 1 // V is a value.\n)\n",
		"docs/snippets/main.go":  "// Package main is left out.\npackage main\n",
		"contrib/nested/go.mod":  "module nested\n",
		"contrib/nested/main.go": "// Package nested is left out.\npackage nested\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := sentences(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprintf("%s:%d: %s", s.file, s.line, s.text))
	}
	want := []string{
		"README.md:3: One sentence of the README.",
		"README.md:4: nil or `f[T](x)` is one too (see `the` page).",
		"README.md:5: Versions 1.2, e.g. this, are not two.",
		"README.md:6: Letters, digits and @ . + - are one.",
		"README.md:11: An item without its end",
		"README.md:12: 1. A title with number: one.",
		"README.md:13: Another item of a list.",
		"README.md:15: Cell of four words",
		"README.md:15: `a | b` in a cell",
		"README.md:17: One sentence of the",
		"README.md:18: A quotation is a sentence.",
		"docs/a.md:4: A sentence of the guide.",
		"a/a.go:1: Package a is a package.",
		"a/a.go:5: an item of the comment",
		"a/a.go:11: A is a function here.",
		"a/b.go:3: T is a struct type.",
		"a/b.go:5: F is a field here",
		"a/b.go:10: M of T is exported.",
		"a/b.go:18: V and the next one",
		"a/b.go:20: V is a value.",
	}
	if !slices.Equal(got, want) { // "An item without its end" is there twice, and drawn once
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDraw(t *testing.T) {
	drawn := func(seed uint64, count int) string {
		var b strings.Builder
		if err := draw(&b, root, seed, count); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := drawn(7, 200)
	if !strings.HasPrefix(first, "seed 7: 200 of ") || strings.Count(first, "\n") != 201 {
		t.Error(first)
	}
	if drawn(7, 200) != first {
		t.Error("the same seed draws other sentences")
	}
	_, one, _ := strings.Cut(first, "\n")
	if _, other, _ := strings.Cut(drawn(8, 200), "\n"); other == one {
		t.Error("another seed draws the same sentences")
	}
	if err := draw(&strings.Builder{}, root, 7, 1_000_000); err == nil {
		t.Error("more sentences than there are")
	}
}
