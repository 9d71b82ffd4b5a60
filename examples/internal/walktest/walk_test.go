package walktest

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// alone are the examples that people copy, below examples/.
var alone = []string{
	"hello", "tutorial/1", "tutorial/2", "tutorial/3", "tutorial/4", "tutorial/5", "tutorial/6", "purego", "five",
	"routers/chi", "routers/echo", "routers/gin", "twoservices", "spa", "nginx", "ownusers", "oauth2", "oauth2-client",
}

// An example that people copy needs no other package of examples, limits connections and bodies,
// stops cleanly and drops no error.
func TestAlone(t *testing.T) {
	for _, name := range alone {
		t.Run(name, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join("../..", name, "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				all.Write(text)
				parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
				if err != nil {
					t.Fatal(err)
				}
				for _, spec := range parsed.Imports {
					if path := strings.Trim(spec.Path.Value, `"`); strings.Contains(path, "/internal/") || strings.Contains(path, "vestibule/examples/") {
						t.Errorf("%s imports %s", file, path)
					}
				}
			}
			code := all.String()
			for _, must := range []string{"ReadHeaderTimeout:", "ReadTimeout:", "WriteTimeout:", "IdleTimeout:", "MaxHeaderBytes:", "http.MaxBytesHandler(", "server.Shutdown(", "signal.NotifyContext("} {
				if !strings.Contains(code, must) {
					t.Errorf("no %s", must)
				}
			}
			for _, never := range []string{"http.ListenAndServe", "_ = ", "//nolint"} {
				if strings.Contains(code, never) {
					t.Errorf("%s", never)
				}
			}
		})
	}
}

// What only the examples of other routers need stays out of the main module.
func TestMainModule(t *testing.T) {
	sums, err := os.ReadFile("../../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"github.com/go-chi/chi", "github.com/labstack/echo", "github.com/gin-gonic/gin", "github.com/modelcontextprotocol"} {
		if strings.Contains(string(sums), module) {
			t.Errorf("go.sum has %s", module)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "a", true}, {"a\n", "ab", false}, {"", "", true}, {"", "x", false}, {"{…\"a\"…}\n", "{\n\"x\",\"a\",1}", true}, {"…\n", "", true},
		{"a.c\n", "abc", false},
	} {
		if ok := pattern(c.want).MatchString(c.got); ok != c.ok {
			t.Errorf("%q matches %q: %v", c.want, c.got, ok)
		}
	}
}
