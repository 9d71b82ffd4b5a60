package deptest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rooms are the packages of OAuth2 in steps. A package may import those of earlier steps, and
// neither later ones nor one of its own step.
var rooms = [][]string{
	{"schemes/oauth2/dpop"},
	{"schemes/oauth2"},
	{"schemes/oauth2/introspect", "schemes/oauth2/backchannel", "schemes/oauth2/resource"},
	{"schemes/oauth2/server"},
	{"schemes/oauth2/registration", "schemes/oauth2/openid", "schemes/oauth2/exchange", "schemes/oauth2/globalrevocation"},
	{"schemes/oauth2/consent"},
}

// step returns the step of a package of OAuth2, or -1 for any other package.
func step(name string) int {
	return slices.IndexFunc(rooms, func(same []string) bool { return slices.Contains(same, name) })
}

func TestRoomsOfOAuth2(t *testing.T) {
	own, _ := list(t)
	for name, p := range own {
		if !strings.HasPrefix(name+"/", "schemes/oauth2/") || strings.Contains(name, "/internal/") {
			continue
		}
		at := step(name)
		if at < 0 {
			t.Errorf("%s is in no step of rooms", name)
			continue
		}
		for _, dep := range p.Deps {
			if s := step(strings.TrimPrefix(dep, module+"/")); s >= at {
				t.Errorf("%s depends on %s, which is not in an earlier step", name, dep)
			}
		}
	}
}

// Package server meets go-oauth2 in one file, so that a reader, or a later release without it, does
// too.
func TestOneFileUsesGoOAuth2(t *testing.T) {
	var files []string
	err := filepath.WalkDir(filepath.Join(root, "schemes"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), `"`+goOAuth2) {
			files = append(files, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if want := []string{"schemes/oauth2/server/goauth2.go"}; err != nil || !slices.Equal(files, want) {
		t.Errorf("%v, %v, want %v", files, err, want)
	}
}
