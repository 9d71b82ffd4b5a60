package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vestibule-auth/vestibule"

const root = "../.."

type pkg struct {
	ImportPath string
	Standard   bool
	Deps       []string
	Imports    []string
}

// list returns the module's packages and, of every package they need, whether it
// is of the standard library.
func list(t *testing.T) (own map[string]pkg, standard map[string]bool) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Deps,Imports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	own, standard = make(map[string]pkg), make(map[string]bool)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return own, standard
		} else if err != nil {
			t.Fatal(err)
		}
		standard[p.ImportPath] = p.Standard
		if name, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok {
			own[name] = p
		}
	}
}

// matches reports whether pattern covers name: a/... is a and all below it, a/* is what is below
// it, and * is everything.
func matches(pattern, name string) bool {
	if pattern == anything {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(name, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == base || strings.HasPrefix(name, base+"/")
	}
	return name == pattern
}

func TestImportRules(t *testing.T) {
	own, standard := list(t)
	lines := make(map[string]rule)
	for _, r := range rules {
		lines[r.pkg] = r
		if _, ok := own[r.pkg]; !ok {
			t.Errorf("there is a rule for %s and no such package", r.pkg)
		}
	}
	for name, p := range own {
		r, ok := lines[name]
		if !ok {
			if !strings.HasPrefix(name, "examples/") && !strings.HasPrefix(name, "cmd/") {
				t.Errorf("package %s has no import rule: add one", name)
			}
			continue
		}
		for _, dep := range p.Deps {
			short := strings.TrimPrefix(dep, module+"/")
			if standard[dep] || short == always {
				continue
			}
			if !slices.ContainsFunc(r.allow, func(a string) bool { return matches(a, short) }) {
				t.Errorf("%s depends on %s", name, short)
			}
		}
	}
}

func TestForbidden(t *testing.T) {
	own, _ := list(t)
	for name, p := range own {
		for _, f := range forbidden {
			if !matches(f[0], name) {
				continue
			}
			for _, dep := range p.Deps {
				short := strings.TrimPrefix(dep, module+"/")
				// A scheme may have packages of its own below it; rooms orders those of OAuth2.
				if matches(f[1], short) && scheme(short) != scheme(name) {
					t.Errorf("%s depends on %s, which is forbidden", name, short)
				}
			}
		}
	}
}

// scheme returns the scheme that a package below schemes belongs to, or the name itself.
func scheme(name string) string {
	if parts := strings.SplitN(name, "/", 3); len(parts) > 1 && parts[0] == "schemes" {
		return parts[0] + "/" + parts[1]
	}
	return name
}

// What the modules below contrib bring reaches no user of the library.
func TestContribIsNested(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range []string{"prometheus/", "opentelemetry", module + "/contrib"} {
		if strings.Contains(string(text), dep) {
			t.Errorf("the root module requires %s", dep)
		}
	}
	own, _ := list(t)
	for name := range own {
		if strings.HasPrefix(name, "contrib/") {
			t.Errorf("%s has no go.mod of its own", name)
		}
	}
}

// A user who imports the first schemes gets nothing of anybody else.
func TestNoThirdParty(t *testing.T) {
	own, standard := list(t)
	for _, name := range []string{"schemes/token", "schemes/basic", "authn", "authz", "keys", "storage", "storage/memory", "authn/throttle"} {
		for _, dep := range own[name].Deps {
			if !standard[dep] && !strings.HasPrefix(dep, module+"/") {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}

func TestTestingStaysInTestPackages(t *testing.T) {
	own, _ := list(t)
	for name, p := range own {
		if slices.Contains(p.Deps, "testing") && !strings.HasSuffix(name, "test") {
			t.Errorf("%s depends on testing", name)
		}
	}
}

// houseRules are those that can be read off a line.
var houseRules = []struct {
	name    string
	line    *regexp.Regexp
	applies func(path string) bool
}{
	{"an init function", regexp.MustCompile(`^func init\(`), func(string) bool { return true }},
	{"a sleep in a test that has no clock of its own", regexp.MustCompile(`time\.Sleep\(`), func(p string) bool { return strings.HasSuffix(p, "_test.go") }},
	{"the environment, read in the library", regexp.MustCompile(`os\.(Getenv|LookupEnv|Environ)\(`), inLibrary},
	{"a template without HTML escaping", regexp.MustCompile(`"text/template"`), inLibrary},
	{"a file of more than 320 lines", nil, func(p string) bool { return !strings.HasSuffix(p, "_test.go") }},
}

// inLibrary reports code that users import.
func inLibrary(path string) bool {
	for _, free := range []string{"examples/", "cmd/", "internal/", "benchmarks/"} {
		if strings.HasPrefix(path, free) {
			return false
		}
	}
	return !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "test/")
}

// excused marks a line that breaks a rule for a reason, which follows.
const excused = "//house: "

func TestHouseRules(t *testing.T) {
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		files++
		short := strings.TrimPrefix(path, root+"/")
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		for _, r := range houseRules {
			if !r.applies(short) || strings.HasPrefix(r.name, "a sleep") && strings.Contains(string(text), `"testing/synctest"`) {
				continue
			}
			if r.line == nil && len(lines) > 321 {
				t.Errorf("%s: %s (%d)", short, r.name, len(lines)-1)
			}
			for i, line := range lines {
				if r.line != nil && r.line.MatchString(line) && !strings.Contains(line, excused) {
					t.Errorf("%s:%d: %s", short, i+1, r.name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("looked at %d files only", files)
	}
}

// Importing net/http/pprof or expvar mounts handlers on http.DefaultServeMux, which tell
// anybody of the program's memory and arguments.
func TestNoDebugHandlers(t *testing.T) {
	t.Run("attack_251", func(t *testing.T) {
		own, _ := list(t)
		for name, p := range own {
			for _, dep := range p.Deps {
				if dep == "net/http/pprof" || dep == "expvar" {
					t.Errorf("%s depends on %s", name, dep)
				}
			}
		}
	})
}
