package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a module with one benchmark that reports a fixed time per operation.
func module(t *testing.T, ns string) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.com/x\n\ngo 1.26.0\n",
		"p/p.go":      "package p\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc BenchmarkWork(b *testing.B) {\n\tb.Run(\"loop\", func(b *testing.B) { b.ReportMetric(" + ns + ", \"ns/op\") })\n}\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestGate(t *testing.T) {
	base, slower, slow := module(t, "1000"), module(t, "1140"), module(t, "1160")
	args := []string{"-rounds", "3", "-time", "1x"}
	var out strings.Builder
	if err := run(append(args, base, slow, "./p"), &out); err == nil || !strings.Contains(err.Error(), "BenchmarkWork/loop") {
		t.Errorf("16 %% slower: %v", err)
	}
	if !strings.Contains(out.String(), "./p: second try") {
		t.Errorf("no second try:\n%s", out.String())
	}
	for _, pair := range [][2]string{{base, slower}, {slow, base}} {
		out.Reset()
		if err := run(append(args, pair[0], pair[1], "./p"), &out); err != nil || strings.Contains(out.String(), "second try") {
			t.Errorf("within the limit: %v\n%s", err, out.String())
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"-rounds", "0", "a", "b", "c"}, {"-limit", "-1", "a", "b", "c"}, {"-x"}} {
		if err := run(args, &strings.Builder{}); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run([]string{t.TempDir(), t.TempDir(), "./p"}, &strings.Builder{}); err == nil || errors.Is(err, errUsage) {
		t.Errorf("folders without the package: %v", err)
	}
}

func TestMedian(t *testing.T) {
	if m := median([]float64{9, 1, 5}); m != 5 {
		t.Error(m)
	}
	if m := median([]float64{9, 1, 5, 3}); m != 4 {
		t.Error(m)
	}
}
