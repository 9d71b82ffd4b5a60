// Package deploy checks the files of examples/deploy.
package deploy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const dir = "../../../examples/deploy"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manifests returns the documents of a YAML file. The decoder rejects a name that is there twice.
func manifests(t *testing.T, file string) (list []map[string]any) {
	t.Helper()
	for d := yaml.NewDecoder(strings.NewReader(read(t, filepath.Join(dir, file)))); ; {
		var m map[string]any
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, m)
	}
}

// at follows names and indexes into a document.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			list, _ := v.([]any)
			if p >= len(list) {
				return nil
			}
			v = list[p]
		}
	}
	return v
}

func TestManifests(t *testing.T) {
	pods := map[string][]any{"Deployment": {"spec", "template", "spec"}, "CronJob": {"spec", "jobTemplate", "spec", "template", "spec"}, "Service": nil, "NetworkPolicy": nil}
	seen := map[any]bool{}
	for _, file := range []string{"kubernetes.yaml", "prune-cronjob.yaml"} {
		for _, m := range manifests(t, file) {
			kind, _ := m["kind"].(string)
			path, ok := pods[kind]
			if !ok || m["apiVersion"] == nil || at(m, "metadata", "name") == nil {
				t.Fatalf("%s: %v", file, m)
			}
			seen[kind] = true
			if path == nil {
				continue
			}
			pod := at(m, path...)
			c := at(pod, "containers", 0)
			for name, want := range map[string]any{"runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false} {
				if at(c, "securityContext", name) != want {
					t.Errorf("%s: %s is not %v", kind, name, want)
				}
			}
			if image, _ := at(c, "image").(string); strings.HasSuffix(image, ":latest") || !strings.Contains(image, ":") {
				t.Errorf("%s: image %q has no version", kind, image)
			}
		}
	}
	if len(seen) != len(pods) {
		t.Errorf("only %v", seen)
	}
	for _, file := range []string{"kubernetes.yaml", "prune-cronjob.yaml", "notes.service", "vestibule-prune.service", "crontab", "Dockerfile"} {
		if regexp.MustCompile(`://[^/@\s]+:[^/@\s]+@`).MatchString(read(t, filepath.Join(dir, file))) {
			t.Errorf("%s has a password in a URL", file)
		}
	}
}

// The server and the command have the flags and commands that the files use, and the pod has what
// they name.
func TestFlags(t *testing.T) {
	server, command := read(t, "../../../examples/tutorial/6/main.go"), read(t, "../../reference/cli.md")
	flags := regexp.MustCompile(`(?:^|\s)-([a-z]+)[ =]`)
	unit := read(t, filepath.Join(dir, "notes.service"))
	deployment := manifests(t, "kubernetes.yaml")[0]
	pod := at(deployment, "spec", "template", "spec")
	var args string
	for _, a := range at(pod, "containers", 0, "args").([]any) {
		args += " " + a.(string)
	}
	for name, text := range map[string]string{"notes.service": unit[strings.Index(unit, "ExecStart="):], "kubernetes.yaml": args} {
		found := flags.FindAllStringSubmatch(text, -1)
		if len(found) < 5 {
			t.Errorf("%s: flags %q", name, found)
		}
		for _, f := range found {
			if !strings.Contains(server, `, "`+f[1]+`", "`) && !strings.Contains(server, `("`+f[1]+`", `) {
				t.Errorf("%s: the server has no flag -%s", name, f[1])
			}
		}
	}
	for _, file := range []string{"vestibule-prune.service", "crontab", "prune-cronjob.yaml"} {
		if text := read(t, filepath.Join(dir, file)); !regexp.MustCompile(`/usr/local/bin/vestibule"?,? "?prune`).MatchString(text) || !strings.Contains(text, "VESTIBULE_DB") || !strings.Contains(command, "\n## vestibule prune\n") || !strings.Contains(command, "$VESTIBULE_DB") {
			t.Errorf("%s does not run vestibule prune", file)
		}
	}
	if !strings.Contains(args, " -key="+at(pod, "containers", 0, "volumeMounts", 0, "mountPath").(string)+"/"+at(pod, "volumes", 0, "secret", "items", 0, "path").(string)) {
		t.Errorf("the key is mounted elsewhere: %s", args)
	}
}

// systemd accepts the units. The programs are not installed here, so others stand for them.
func TestUnits(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("systemd-analyze is required: apt-get install systemd")
		}
		t.Skip("not run: systemd-analyze is not installed")
	}
	program := regexp.MustCompile(`/usr/local/bin/\w+`)
	check := func(change func(string) string) (string, error) {
		tmp := t.TempDir()
		args := []string{"verify"}
		for _, unit := range []string{"notes.service", "vestibule-prune.service", "vestibule-prune.timer"} {
			path := filepath.Join(tmp, unit)
			text := change(program.ReplaceAllString(read(t, filepath.Join(dir, unit)), "/bin/true"))
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
		out, err := exec.CommandContext(t.Context(), verify, args...).CombinedOutput()
		return string(bytes.TrimSpace(out)), err
	}
	if out, err := check(func(s string) string { return s }); err != nil || out != "" {
		t.Errorf("%v: %s", err, out)
	}
	if out, _ := check(func(s string) string { return strings.ReplaceAll(s, "ProtectHome=", "ProtectHouse=") }); !strings.Contains(out, "ProtectHouse") {
		t.Errorf("a misspelled setting is not found: %s", out)
	}
}
