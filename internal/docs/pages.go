package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// markdown returns the paths of all pages below docs, and of the Markdown files in the root.
func markdown(root string) (files []string, err error) {
	tree := os.DirFS(root)
	top, err := fs.Glob(tree, "*.md")
	if err != nil {
		return nil, err
	}
	files = append(files, top...)
	err = fs.WalkDir(tree, "docs", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (p == "docs/site" || p == "docs/snippets"):
			return fs.SkipDir
		case path.Ext(p) == ".md":
			files = append(files, p)
		}
		return nil
	})
	return files, err
}

// front is the front matter of a page.
type front struct{ title, description, kind, audience string }

var kinds = []string{"tutorial", "how-to", "concept", "reference"}

var audiences = []string{"newcomer", "developer", "operator", "security", "migrator"}

// header renders front matter.
func (f front) header() string {
	return fmt.Sprintf("---\ntitle: %s\ndescription: %s\nkind: %s\naudience: %s\n---\n\n", f.title, f.description, f.kind, f.audience)
}

// parseFront reads the front matter of a page, which must hold the four fields and no other but
// those of VitePress.
func parseFront(text []byte) (front, error) {
	head, ok := bytes.CutPrefix(text, []byte("---\n"))
	head, _, end := bytes.Cut(head, []byte("\n---\n"))
	if !ok || !end {
		return front{}, errors.New("no front matter (title, description, kind and audience between two lines ---)")
	}
	var f front
	fields := map[string]*string{"title": &f.title, "description": &f.description, "kind": &f.kind, "audience": &f.audience}
	for line := range strings.Lines(string(head)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			return f, fmt.Errorf("front matter: %q is not NAME: VALUE", line)
		}
		if p := fields[name]; p != nil {
			if strings.Contains(value, ": ") && !strings.ContainsAny(value[:1], `"'`) {
				return f, fmt.Errorf("front matter: %s: quote a value that holds a colon", name)
			}
			*p = unquote(value)
		}
	}
	if n := len(f.description); f.title == "" || n == 0 || n > 160 || !strings.HasSuffix(f.description, ".") {
		return f, errors.New("front matter: title is empty, or description is no sentence of at most 160 bytes that ends with a period")
	}
	if !slices.Contains(kinds, f.kind) {
		return f, fmt.Errorf("front matter: kind %q is not one of %s", f.kind, strings.Join(kinds, ", "))
	}
	for a := range strings.SplitSeq(f.audience, ", ") {
		if !slices.Contains(audiences, a) {
			return f, fmt.Errorf("front matter: audience %q is not one of %s", a, strings.Join(audiences, ", "))
		}
	}
	return f, nil
}

func unquote(s string) string {
	if n := len(s); n > 1 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// section is a heading of the site's menu with its pages, below docs.
type section struct {
	Section string
	Pages   []string
}

// menu reads docs/site/menu.json, the one list of pages, and resolves its patterns. Every page
// of docs must be in it once, and it must name no other.
func menu(root string, pages map[string][]byte) ([]section, error) {
	text, err := os.ReadFile(filepath.Join(root, "docs/site/menu.json"))
	if err != nil {
		return nil, err
	}
	var list []section
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	seen := map[string]bool{indexPage: true}
	for i, s := range list {
		var found []string
		for _, pattern := range s.Pages {
			var some []string
			for p := range pages {
				if ok, _ := path.Match("docs/"+pattern, p); ok {
					some = append(some, p)
				}
			}
			slices.Sort(some)
			if len(some) == 0 {
				return nil, fmt.Errorf("docs/site/menu.json: there is no page %s", pattern)
			}
			found = append(found, some...)
		}
		for _, p := range found {
			if seen[p] {
				return nil, fmt.Errorf("docs/site/menu.json: %s is there twice", p)
			}
			seen[p] = true
		}
		list[i].Pages = found
	}
	for p := range pages {
		if strings.HasPrefix(p, "docs/") && !seen[p] {
			return nil, fmt.Errorf("docs/site/menu.json does not name %s", p)
		}
	}
	return list, nil
}

const (
	indexPage  = "docs/README.md"
	indexBegin = "<!-- pages: written by make docs-generate -->\n"
	indexEnd   = "<!-- /pages -->\n"
)

// index returns docs/README.md with the list of all pages in the order of the menu.
func index(root string, pages map[string][]byte) ([]byte, error) {
	list, err := menu(root, pages)
	if err != nil {
		return nil, err
	}
	before, rest, ok := strings.Cut(string(pages[indexPage]), indexBegin)
	_, after, end := strings.Cut(rest, indexEnd)
	if !ok || !end {
		return nil, fmt.Errorf("%s has no lines %q and %q", indexPage, indexBegin, indexEnd)
	}
	var b strings.Builder
	b.WriteString(before + indexBegin)
	for _, s := range list {
		if len(s.Pages) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", s.Section)
		for _, p := range s.Pages {
			f, err := parseFront(pages[p])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			fmt.Fprintf(&b, "- [%s](%s): %s\n", f.title, strings.TrimPrefix(p, "docs/"), f.description)
		}
	}
	b.WriteString("\n" + indexEnd + after)
	return []byte(b.String()), nil
}
