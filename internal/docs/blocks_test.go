package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a page. line is that of its first line of code.
type block struct {
	info, code string
	line       int
	snippet    bool // it comes from a file of the repository
}

func blocks(text []byte) (found []block) {
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		n := fenced(lines[i:])
		if n == 0 {
			continue
		}
		code := dedent(lines[i+1 : i+max(n-1, 1)])
		found = append(found, block{
			info: strings.TrimLeft(lines[i], " `"), code: strings.Join(code, "\n") + "\n", line: i + 2,
			snippet: i > 0 && snippetLine.MatchString(lines[i-1]),
		})
		i += n - 1
	}
	return found
}

// Every block of Go in a page is code of a file that is compiled, or has no type errors with the
// declarations of testdata/prelude: those of common.go, and those of the page's own file, which
// take precedence. A block can be statements, declarations, or both; a line "…" stands for what
// is left out. What a block declares and does not use, and how many values it returns, is not
// checked.
func TestGoBlocks(t *testing.T) {
	c := newChecker(t)
	pages := all(t)
	seen, used := 0, map[string]bool{"common.go": true}
	for _, page := range sorted(pages) {
		if page == "CHANGELOG.md" {
			continue
		}
		for _, b := range blocks(pages[page]) {
			if b.info != "go" {
				if strings.HasPrefix(b.info, "go ") || b.info == "golang" || b.info == "" && strings.Contains(b.code, ":= ") {
					t.Errorf("%s:%d: a block of Go begins with ```go and nothing else", page, b.line)
				}
				continue
			}
			seen++
			used[preludeOf(page)] = true
			if b.snippet {
				continue
			}
			for _, err := range c.check(page, b) {
				t.Error(err)
			}
		}
	}
	if seen < 60 {
		t.Errorf("%d blocks", seen)
	}
	files, err := filepath.Glob("testdata/prelude/*.go")
	for _, f := range files {
		if err != nil || !used[filepath.Base(f)] {
			t.Errorf("%s belongs to no page with Go blocks (%v)", f, err)
		}
	}
}

func TestGoBlocksAreChecked(t *testing.T) {
	c := newChecker(t)
	for code, want := range map[string]string{
		"tokens, err := token.New(db, ring, nil)\n": "", "mux.Public(\"POST /x\", tokens.Login(passwords))\n": "", "func f() int {\n\t…\n}\n\nx := f()\n": "", "return 1, 2, nil\n": "",
		"tokens, err := token.New(db, ring)\n": "docs/x.md:7: not enough arguments in call to token.New", "x := nothing.Here()\n": "docs/x.md:7: undefined: nothing",
		"\n\nx := db.None()\n": "docs/x.md:9: db.None undefined", "func f() int {\n\treturn \"x\"\n}\n": "docs/x.md:8: cannot use", "x := &token.Options{Nil: 1}\n": "docs/x.md:7: unknown field Nil", "x := (\n": "docs/x.md",
	} {
		errs := c.check("docs/x.md", block{info: "go", code: code, line: 7})
		if got := fmt.Sprint(errs...); (want == "") != (len(errs) == 0) || !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", code, got, want)
		}
	}
}

// standardPackages are those that blocks import without saying so, beside the public ones of the module.
var standardPackages = []string{
	"context", "crypto/rand", "encoding/json", "errors", "fmt", "log", "log/slog", "net/http", "net/http/httptest", "net/url", "os", "slices", "strconv", "strings", "testing", "time", "gorm.io/gorm", "iter",
}

type checker struct {
	fset    *token.FileSet
	imports types.Importer
	paths   map[string]string // of packages, by their names
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	list, err := library(root)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{fset: token.NewFileSet(), paths: map[string]string{}}
	for _, p := range standardPackages {
		c.paths[path.Base(p)] = p
	}
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, standardPackages...)
	for _, s := range list {
		c.paths[path.Base(s.dir)] = module + "/" + s.dir
		args = append(args, module+"/"+s.dir)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		p, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[p] = file
	}
	c.imports = importer.ForCompiler(c.fset, "gc", func(p string) (io.ReadCloser, error) { return os.Open(exports[p]) })
	return c
}

// preludeOf returns the name of the page's own file of declarations.
func preludeOf(page string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(page, "docs/"), ".md")
	return strings.ReplaceAll(name, "/", "_") + ".go"
}

var (
	declaration = regexp.MustCompile(`^(func [(\w]|type \w)`)
	leftOut     = regexp.MustCompile(`(?m)^(\t*)…$`)
	selector    = regexp.MustCompile(`\b([a-z]\w*)\.[A-Z]`)
)

// check returns the type errors of a block.
func (c *checker) check(page string, b block) (errs []any) {
	own, statements := parts(leftOut.ReplaceAllString(b.code, "${1}panic(`…`)"))
	var src strings.Builder
	fmt.Fprintf(&src, "//line %s:%d\n%sfunc _() {\n//line %s:%d\n%s}\n", page, b.line, own, page, b.line, statements)
	declared := map[string]bool{}
	file, err := parser.ParseFile(c.fset, "block.go", "package p\n"+src.String(), parser.SkipObjectResolution)
	if err != nil {
		return []any{err}
	}
	names(file, declared)
	text := src.String()
	for _, name := range []string{preludeOf(page), "common.go"} {
		prelude, err := os.ReadFile(filepath.Join("testdata/prelude", name))
		if err != nil {
			continue // most pages have none of their own
		}
		text += c.without(string(prelude), declared, &errs)
	}
	imports := map[string]bool{}
	for _, m := range selector.FindAllStringSubmatch(text, -1) {
		if p := c.paths[m[1]]; p != "" && !declared[m[1]] {
			imports[fmt.Sprintf("import %q;", p)] = true
		}
	}
	var head bytes.Buffer
	for p := range imports {
		head.WriteString(p)
	}
	file, err = parser.ParseFile(c.fset, "block.go", "package p;"+head.String()+"\n"+text, parser.SkipObjectResolution)
	if err != nil {
		return []any{err}
	}
	conf := types.Config{Importer: c.imports, Error: func(err error) {
		e := err.(types.Error)
		if !e.Soft && !strings.Contains(e.Msg, "return values") {
			errs = append(errs, fmt.Errorf("%s: %s\n", c.fset.Position(e.Pos), e.Msg))
		}
	}}
	_, _ = conf.Check("p", c.fset, []*ast.File{file}, nil)
	return errs
}

// parts divides a block into declarations and statements, each with as many lines as the block.
func parts(code string) (declarations, statements string) {
	within := false
	for line := range strings.Lines(code) {
		begins := !within && declaration.MatchString(line)
		if begins || within {
			declarations, statements = declarations+line, statements+"\n"
			end := strings.HasPrefix(line, "}") || begins && !strings.HasSuffix(strings.TrimRight(line, "\n"), "{")
			within = !end
		} else {
			declarations, statements = declarations+"\n", statements+line
		}
	}
	return declarations, statements
}

// names adds the names of a file's top level to declared.
func names(file *ast.File, declared map[string]bool) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			declared[d.Name.Name] = declared[d.Name.Name] || d.Recv == nil
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					declared[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						declared[n.Name] = true
					}
				}
			}
		}
	}
}

// without returns a prelude less what is declared already, and adds its names.
func (c *checker) without(prelude string, declared map[string]bool, errs *[]any) string {
	file, err := parser.ParseFile(c.fset, "prelude.go", prelude, parser.SkipObjectResolution)
	if err != nil {
		*errs = append(*errs, err)
		return ""
	}
	var out bytes.Buffer
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && declared[d.Name.Name] {
				continue
			}
		case *ast.GenDecl:
			d.Specs = slices.DeleteFunc(d.Specs, func(s ast.Spec) bool {
				v, ok := s.(*ast.ValueSpec)
				if !ok {
					return declared[s.(*ast.TypeSpec).Name.Name]
				}
				v.Names = slices.DeleteFunc(v.Names, func(n *ast.Ident) bool { return declared[n.Name] })
				return len(v.Names) == 0
			})
			if len(d.Specs) == 0 {
				continue
			}
		}
		out.WriteString("//line prelude.go:1\n")
		_ = printer.Fprint(&out, c.fset, d)
		out.WriteString("\n")
	}
	names(file, declared)
	return out.String()
}
