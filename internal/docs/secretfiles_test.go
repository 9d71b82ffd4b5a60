package main

import (
	"regexp"
	"strings"
	"testing"
)

// writesSecrets matches commands that write keys, or a copy of the database, into a file.
var writesSecrets = regexp.MustCompile(`pg_dump|\.backup '|VACUUM INTO|openssl rand.*>|cp .*\.(sqlite3|key|dump)|> \S+\.key`)

// A command of a page that writes a key or a copy of the database sets the umask before, in the same
// block: readers copy one block into a new shell, and others on the machine could read the file.
func TestSecretFiles_attack_450(t *testing.T) {
	found := 0
	pages := all(t)
	for _, page := range sorted(pages) {
		for _, b := range blocks(pages[page]) {
			if b.info != "sh" && !strings.HasPrefix(b.info, "sh ") {
				continue
			}
			if at := writesSecrets.FindStringIndex(b.code); at != nil {
				found++
				if i := strings.Index(b.code, "umask 077"); i < 0 || i > at[0] {
					t.Errorf("%s:%d: %q comes without umask 077", page, b.line, b.code[at[0]:at[1]])
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("%d blocks found", found)
	}
}
