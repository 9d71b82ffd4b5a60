//go:build linux

package hydra

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Module and Version are the Ory Hydra that is measured.
const (
	Module  = "github.com/ory/hydra/v2"
	Version = "v2.3.0"
)

// ownClient is the one replacement of Hydra's go.mod that leads to a folder. The module proxy leaves
// that folder out, because it is a module of its own, so the published version is used instead.
var ownClient = regexp.MustCompile(`(?m)^replace github\.com/ory/hydra-client-go/v2 => \./.*$`)

// Build builds Hydra from the module proxy, unless the program file exists. It takes minutes.
func Build(ctx context.Context, file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "hydra-source-")
	if err != nil {
		return err
	}
	err = buildIn(ctx, dir, file)
	return errors.Join(err, os.RemoveAll(dir))
}

func buildIn(ctx context.Context, dir, file string) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", Module+"@"+Version)
	download.Dir = dir
	out, err := output(download)
	if err != nil {
		return err
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		return err
	}
	source := filepath.Join(dir, "hydra")
	if err := os.CopyFS(source, os.DirFS(at.Dir)); err != nil {
		return err
	}
	mod := filepath.Join(source, "go.mod")
	text, err := os.ReadFile(mod)
	if err != nil {
		return err
	}
	changed, err := withoutOwnClient(text)
	if err != nil {
		return err
	}
	// The copies of files in the module cache are read-only.
	if err := errors.Join(os.Chmod(mod, 0o644), os.Chmod(filepath.Join(source, "go.sum"), 0o644), os.WriteFile(mod, changed, 0o644)); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", file, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOWORK=off")
	_, err = output(build)
	return err
}

func withoutOwnClient(mod []byte) ([]byte, error) {
	if n := len(ownClient.FindAll(mod, -1)); n != 1 {
		return nil, fmt.Errorf("%s %s: go.mod replaces its own client %d times, want once", Module, Version, n)
	}
	return ownClient.ReplaceAll(mod, nil), nil
}

// output runs a command. Its error has what the command wrote.
func output(cmd *exec.Cmd) ([]byte, error) {
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd.Args[:2], err, errText.Bytes()[max(0, errText.Len()-2000):])
	}
	return out, nil
}
