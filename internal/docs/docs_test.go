package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// all returns every page as it is in the repository.
func all(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := markdown(root)
	if err != nil || len(files) < 30 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	pages := map[string][]byte{}
	for _, path := range files {
		if pages[path], err = os.ReadFile(filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

func sorted(pages map[string][]byte) []string { return slices.Sorted(maps.Keys(pages)) }

// What comes from the code is what the code says now.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	sources, err := filepath.Glob(filepath.Join(root, "cmd/vestibule/*.go"))
	for _, file := range sources { // so that the result is not taken from the cache after a change
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil || len(sources) < 5 {
		t.Fatalf("%d files of the command, %v", len(sources), err)
	}
	pages, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	stale, err := differ(root, pages)
	if err != nil || len(stale) > 0 {
		t.Errorf("stale, run make docs-generate: %q, %v", stale, err)
	}
	for path, want := range map[string][]string{
		"docs/reference/settings.md": {"## jwt.Options\n", "| `MaxSessions` | `int` | 1,000 |", "| `Logger` | `*slog.Logger` | slog.Default() |"},
		"docs/reference/cli.md":      {"## vestibule client create\n", "--redirect"},
		"docs/reference/errors.md":   {"## invalid_grant\n", "| 429 Too Many Requests | API | `authn` | Request was throttled. |"},
		"docs/reference/events.md":   {"| `login.failed` | `audit.LoginFailed` | rejected |", "| `UserAgent`, `user_agent` |"},
		"docs/reference/schema.md":   {"## vestibule_sessions\n", "| `epoch` | `BIGINT NOT NULL` | `INTEGER NOT NULL` |"},
	} {
		for _, part := range want {
			if !strings.Contains(string(pages[path]), part) {
				t.Errorf("%s has no %q", path, part)
			}
		}
	}
}

// Each error code of the wire is on the page: a code that is created in a way that the command
// does not know would be absent.
func TestErrorCodesAreComplete(t *testing.T) {
	page, err := errorCodes(root)
	if err != nil {
		t.Fatal(err)
	}
	for code := range strings.FieldsSeq("authentication_failed not_authenticated permission_denied not_found method_not_allowed throttled invalid_credentials insufficient_scope " +
		"insecure_transport unavailable error invalid parse_error too_large unsupported_media_type token_not_valid token_limit not_logged_out invalid_token invalid_client invalid_grant " +
		"invalid_scope invalid_target invalid_request unauthorized_client unsupported_grant_type authorization_pending slow_down expired_token access_denied login_required " +
		"consent_required invalid_dpop_proof use_dpop_nonce invalid_client_metadata invalid_redirect_uri invalid_request_uri temporarily_unavailable") {
		if !strings.Contains(string(page), "\n## "+code+"\n") {
			t.Errorf("no section %s", code)
		}
	}
}

func TestFrontMatter(t *testing.T) {
	pages := all(t)
	for _, path := range sorted(pages) {
		if !strings.HasPrefix(path, "docs/") {
			continue
		}
		if _, err := parseFront(pages[path]); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		titles := 0
		for _, line := range prose(string(pages[path])) {
			if strings.HasPrefix(line, "# ") {
				titles++
			}
		}
		if titles != 1 {
			t.Errorf("%s has %d first-level headings, want 1", path, titles)
		}
	}
	for name, text := range map[string]string{
		"none": "# x\n", "no description": "---\ntitle: x\nkind: concept\naudience: developer\n---\n", "kind": "---\ntitle: x\ndescription: X.\nkind: essay\naudience: developer\n---\n",
		"audience": "---\ntitle: x\ndescription: X.\nkind: concept\naudience: developer,operator\n---\n", "period": "---\ntitle: x\ndescription: X\nkind: concept\naudience: developer\n---\n",
		"colon": "---\ntitle: x: y\ndescription: X.\nkind: concept\naudience: developer\n---\n",
	} {
		if f, err := parseFront([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Every page of docs is in the menu of the site, and the menu names no other.
func TestMenu(t *testing.T) {
	pages := all(t)
	if _, err := menu(root, pages); err != nil {
		t.Error(err)
	}
	pages["docs/unlisted.md"] = nil
	if _, err := menu(root, pages); err == nil || !strings.Contains(err.Error(), "docs/unlisted.md") {
		t.Error(err)
	}
}

func TestLinks(t *testing.T) {
	pages := all(t)
	for _, path := range sorted(pages) {
		if err := checkLinks(os.DirFS(root), pages, path); err != nil {
			t.Error(err)
		}
	}
}

func TestLinksAreChecked(t *testing.T) {
	tree := os.DirFS(root)
	pages := map[string][]byte{"docs/b.md": []byte("# One `two`, and *three*\n\n## Again\n## Again\n```sh\n# no heading\n```\n<a id=\"own\"></a>\n")}
	for link, ok := range map[string]bool{
		"b.md": true, "b.md#one-two-and-three": true, "b.md#again-1": true, "b.md#own": true, "../go.mod": true, "../examples": true, "../authn/errors.go#L3": true, "https://example.com/x": true, "#here": true,
		"c.md": false, "b.md#again-2": false, "b.md#no-heading": false, "/docs/b.md": false, "../../x": false, "//example.com": false, "javascript:x": false, "../go.mod#x": false, "decisions": false, "#there": false,
	} {
		for _, line := range []string{"[x](" + link + ")", `see [a b](` + link + ` "title") and`, `<a href="` + link + `">`, "![x](" + link + ")"} {
			pages["docs/a.md"] = []byte("# Here\n\n" + line + "\n`[x](none)` <!-- [x](none) -->\n```\n[x](none)\n```\n")
			if err := checkLinks(tree, pages, "docs/a.md"); (err == nil) != ok {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

func TestPhrases(t *testing.T) {
	allowed, err := counts(countsText)
	if err != nil {
		t.Fatal(err)
	}
	pages := all(t)
	for _, path := range sorted(pages) {
		if found := find(path, pages[path]); len(found) > allowed[path] {
			t.Errorf("%s has %d banned phrases, %d are allowed:\n%s", path, len(found), allowed[path], strings.Join(found, "\n"))
		}
	}
	for path := range allowed {
		if pages[path] == nil {
			t.Errorf("%s names %s, which is not there", countsFile, path)
		}
	}
}

func TestPhrasesAreFound(t *testing.T) {
	for text, n := range map[string]int{
		"It can not be.": 1, "Whoever asks is told.": 2, "`can not`": 0, "```\ncan not\n```\n": 0, "It cannot.": 0, "The key of the ring of the server": 1, "A master key is needed.": 1, "e.g. this": 1, "It looks at once": 2,
	} {
		if found := find("docs/x.md", []byte(text)); len(found) != n {
			t.Errorf("%q: %q", text, found)
		}
	}
}

func TestSnippets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "package a\n\nfunc f() {\n\t// #region outer\n\tx()\n\t// #region inner\n\tif y {\n\n\t\tz()\n\t}\n\t// #endregion inner\n\t// #endregion outer\n}\n")
	write("glued.go", "package a\n\n// #region f\nfunc f() {}\n\n// #endregion f\n")
	write("open.sh", "# #region x\ntrue\n")
	write("twice.sh", "# #region x\ntrue\n# #endregion x\n# #region x\ntrue\n# #endregion x\n")
	write("fence.md", "```\n")
	const before = "A\n\n<!-- snippet: a.go#outer -->\n```go\nold\n```\n\n- b\n  <!-- snippet: a.go#inner -->\n  ```go\n  ```\n\n````\n<!-- snippet: none -->\n````\n"
	const after = "A\n\n<!-- snippet: a.go#outer -->\n```go\nx()\nif y {\n\n\tz()\n}\n```\n\n- b\n  <!-- snippet: a.go#inner -->\n  ```go\n  if y {\n\n  \tz()\n  }\n  ```\n\n````\n<!-- snippet: none -->\n````\n"
	for range 2 { // the second time nothing changes
		if got, err := expand(dir, []byte(before)); err != nil || string(got) != after {
			t.Errorf("%v\n%s", err, got)
		}
	}
	if got, err := expand(dir, []byte("<!-- snippet: open.sh#x -->\n```sh\n```\n")); err == nil {
		t.Errorf("a region without an end: %s", got)
	}
	for _, bad := range []string{"a.go#none", "none.go", "../a.go", "glued.go#f", "open.sh#x", "twice.sh#x", "fence.md"} {
		if got, err := expand(dir, []byte("<!-- snippet: "+bad+" -->\n```go\n```\n")); err == nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
	for _, bad := range []string{"<!-- snippet: a.go#outer -->\ntext\n", "<!-- snippet: a.go#outer -->\n\n```go\n```\n", "x <!-- snippet: a.go#outer -->\n```go\n```\n", "<!-- snippet a.go -->\n"} {
		if got, err := expand(dir, []byte(bad)); err == nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	for kind, want := range map[string]string{
		"Idle is how long it lives; 0 is two weeks.": "two weeks", "X is \"api\" if \"\".": "\"api\"", "Clock is time.Now if nil.": "time.Now", "How long it is: 5 minutes where 0.": "5 minutes",
		"Nothing is said.": "", "Slots bound it. The default is one.": "one", "Nothing is said of the limit": "",
	} {
		if got := standard(kind, "int"); got != want {
			t.Errorf("%q: %q, want %q", kind, got, want)
		}
	}
}
