package main

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const module = "github.com/vestibule-auth/vestibule"

// source is a public package of the library.
type source struct {
	dir   string // below the root, such as "schemes/jwt"
	fset  *token.FileSet
	files []*ast.File
}

// library parses the packages of the library that users can import, in the order of their paths. Of the
// modules in other folders only those in modules count.
func library(root string, modules ...string) (list []*source, err error) {
	byDir := map[string]*source{}
	tree := os.DirFS(root)
	err = fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := fs.Stat(tree, path.Join(p, "go.mod"))
			name := d.Name()
			if p != "." && (nested == nil && !slices.Contains(modules, p) || name == "internal" || name == "testdata" || name == "examples" || name == "cmd" || name == "docs" || name[0] == '.') {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go") || path.Dir(p) == "." {
			return nil
		}
		s := byDir[path.Dir(p)]
		if s == nil {
			s = &source{dir: path.Dir(p), fset: token.NewFileSet()}
			byDir[s.dir] = s
			list = append(list, s)
		}
		f, err := parser.ParseFile(s.fset, filepath.Join(root, p), nil, parser.ParseComments)
		s.files = append(s.files, f)
		return err
	})
	slices.SortFunc(list, func(a, b *source) int { return strings.Compare(a.dir, b.dir) })
	return list, err
}

// doc returns the package's documentation. It changes the syntax tree, so it comes last.
func (s *source) doc() (*doc.Package, error) {
	return doc.NewFromFiles(s.fset, s.files, module+"/"+s.dir)
}

// show prints a node of the syntax in one line.
func (s *source) show(node any) string {
	var b bytes.Buffer
	_ = printer.Fprint(&b, s.fset, node)
	return strings.Join(strings.Fields(b.String()), " ")
}

var (
	docLink = regexp.MustCompile(`\[(\*?[A-Za-z][\w.]*)\]`)
	escape  = strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "{{", "&#123;&#123;", "*", `\*`, "_", `\_`, "`", "'")
)

// cell renders the text of a doc comment in a cell of a table.
func cell(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	var b strings.Builder
	for {
		at := docLink.FindStringSubmatchIndex(text)
		if at == nil {
			return b.String() + escape.Replace(text)
		}
		b.WriteString(escape.Replace(text[:at[0]]) + "`" + text[at[2]:at[3]] + "`")
		text = text[at[1]:]
	}
}

// row renders a row of a table.
func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

const generated = "<!-- Written by make docs-generate from the code; do not edit. -->\n\n"
