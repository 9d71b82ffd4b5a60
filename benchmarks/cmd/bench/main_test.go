package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What is published is replaced by a whole run alone, or by who says so.
func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir()) // "../docs" is no folder of the project's
	t.Setenv("TMPDIR", t.TempDir())
	named := filepath.Join(t.TempDir(), "named")
	for _, c := range []struct {
		out             string
		rounds          int
		match, sections string
		want            string // "": a temporary folder
	}{
		{"", 3, all, everything, published},
		{"", 9, all, everything, published},
		{"", 2, all, everything, ""},
		{"", 9, "authenticate", everything, ""},
		{"", 9, all, "work", ""},
		{named, 1, "authenticate", "work", named},
		{published, 1, all, "work", published},
	} {
		got, err := folder(c.out, c.rounds, c.match, c.sections)
		if err != nil {
			t.Fatal(err)
		}
		if c.want != "" && got != c.want || c.want == "" && filepath.Dir(got) != os.Getenv("TMPDIR") {
			t.Errorf("%+v: %s", c, got)
		}
		if info, err := os.Stat(got); err != nil || !info.IsDir() {
			t.Errorf("%+v: no folder: %v", c, err)
		}
	}
}
