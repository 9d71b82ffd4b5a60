package storage_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// The package documentation counts the parts and their methods right, and names each.
func TestDocumentationCounts(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var doc string
	methods := map[string]int{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc != nil {
			doc = f.Doc.Text()
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if i, ok := spec.Type.(*ast.InterfaceType); ok {
					methods[spec.Name.Name] = i.Methods.NumFields()
				}
			}
			return true
		})
	}
	var counts []int
	for _, p := range storagetest.AllParts() {
		n, ok := methods[string(p)]
		if !ok || !strings.Contains(doc, string(p)) {
			t.Errorf("%s is no interface, or not in the documentation", p)
		}
		counts = append(counts, n)
		delete(methods, string(p))
	}
	if len(counts) != 25 || slices.Min(counts) != 1 || slices.Max(counts) != 9 || !strings.Contains(doc, "There are 25 interfaces, of one to nine methods each.") {
		t.Errorf("%d parts of %d to %d methods", len(counts), slices.Min(counts), slices.Max(counts))
	}
	for name := range methods { // what is no part
		if !strings.Contains(doc, name) {
			t.Errorf("%s is not in the documentation", name)
		}
	}
}
